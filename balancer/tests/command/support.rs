//! Processes, their members, and a client that sends one request.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

pub const LONG: Duration = Duration::from_secs(20);

/// A member that answers each request with its name, after `delay` milliseconds.
pub fn member(name: &'static str, delay: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream, name, delay));
        }
    });
    address
}

pub fn serve(stream: TcpStream, name: &str, delay: u64) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut line = String::new();
    let mut path = String::new();
    while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
        if path.is_empty() {
            path.push_str(line.split(' ').nth(1).unwrap_or_default());
        }
        if line == "\r\n" {
            if path != "/heartbeat" {
                thread::sleep(Duration::from_millis(delay));
            }
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            path.clear();
        }
        line.clear();
    }
}

/// A running balancer, its members file and what it logs.
pub struct Fixture {
    pub dir: tempfile::TempDir,
    process: Child,
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Fixture {
    /// A balancer with a members file.
    pub fn start(members: &str, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("members.yaml");
        fs::write(&file, members).unwrap();
        let command = command(&file);
        Self::spawn(dir, command, flags)
    }

    pub fn spawn(dir: tempfile::TempDir, mut command: Command, flags: &[&str]) -> Self {
        let mut process = command.args(flags).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(String::new()));
        let (started, addresses) = mpsc::channel();
        let written = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                written.lock().unwrap().push_str(&(line.clone() + "\n"));
                let field = |name: &str| line.split(' ').find_map(|part| part.strip_prefix(name)?.parse().ok());
                if let (true, Some(listen), Some(admin)) = (line.contains("serving"), field("listen="), field("admin="))
                {
                    let _ = started.send((listen, admin));
                }
            }
        });
        let (listen, admin): (SocketAddr, SocketAddr) = addresses
            .recv_timeout(LONG)
            .unwrap_or_else(|_| panic!("does not start: {}", log.lock().unwrap()));
        Self {
            dir,
            process,
            listen,
            admin,
            log,
        }
    }

    pub fn replace(&self, members: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, members).unwrap();
        fs::rename(new, self.dir.path().join("members.yaml")).unwrap();
    }

    pub fn admin(&self, path: &str) -> (u16, String) {
        get(self.admin, path, "").unwrap()
    }

    pub fn table(&self) -> serde_json::Value {
        serde_json::from_str(&self.admin("/v1/table").1).unwrap()
    }

    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.admin("/metrics").1;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// A line of the process's status, in kB.
    pub fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub fn logged(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        let mut status = None;
        until("the process ends", || {
            status = process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command, on free ports of this machine.
pub fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_balancer"));
    command.env_clear();
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "2"]);
    command
}

pub fn command(file: &std::path::Path) -> Command {
    let mut command = bare();
    command.arg("--members").arg(file);
    command
}

/// What the command says when it does not start, and its exit code.
pub fn refused(file: &std::path::Path, flags: &[&str]) -> (Option<i32>, String) {
    let dir = file.parent().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_balancer"));
    let out = command
        .env_clear()
        .current_dir(dir)
        .arg("--members")
        .arg(file)
        .args(flags)
        .output()
        .unwrap();
    (out.status.code(), String::from_utf8(out.stderr).unwrap())
}

pub fn get(address: SocketAddr, path: &str, headers: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let whole = head
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    whole
        .is_none_or(|n: usize| n == body.len())
        .then(|| (status, body.to_owned()))
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub fn file(members: &[(&str, SocketAddr)]) -> String {
    let entry = |(name, address): &(&str, SocketAddr)| format!("- {{name: {name}, address: '{address}'}}\n");
    format!(
        "pool: web\nhealth: {{period: 100ms}}\nmembers:\n{}",
        members.iter().map(entry).collect::<String>()
    )
}
