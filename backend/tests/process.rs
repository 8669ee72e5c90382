//! The server as a process of its own: how it starts, and how it ends.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

struct Backend {
    child: Child,
    address: SocketAddr,
}

impl Backend {
    fn start(args: &[&str]) -> Self {
        Self::spawn(&mut command(args))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.args(["--port", "0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = log.next().unwrap().unwrap();
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next())
            .unwrap()
            .parse()
            .unwrap();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backend"));
    command
        .args(args)
        .env_remove("SERVER_ID")
        .env_remove("PORT")
        .env_remove("SERVER_HOST")
        .stdin(Stdio::null());
    command
}

fn get(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
}

/// Everything up to the end of the connection.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_request_that_is_under_way_is_answered_after_sigterm() {
    let mut backend = Backend::start(&["--id", "m-0", "--trials"]);
    let mut idle = backend.connect();
    get(&mut idle, "/heartbeat");
    let mut byte = [0];
    idle.read_exact(&mut byte).unwrap();
    let mut busy = backend.connect();
    get(&mut busy, "/stream?chunks=5&interval=50");
    busy.read_exact(&mut byte).unwrap(); // the answer has begun
    backend.terminate();
    let answer = rest(&mut busy);
    assert!(
        answer.contains("5/5 from m-0") && answer.ends_with("0\r\n\r\n"),
        "{answer}"
    );
    rest(&mut idle); // ends, since nothing is under way on it
    assert_eq!(backend.child.wait().unwrap().code(), Some(0));
    assert!(TcpStream::connect(backend.address).is_err(), "nobody listens any more");
}

#[test]
fn a_request_that_takes_longer_than_the_grace_does_not_keep_the_process() {
    let mut backend = Backend::start(&["--trials", "--grace", "1s"]);
    let mut busy = backend.connect();
    get(&mut busy, "/stream?chunks=1000&interval=1000");
    busy.read_exact(&mut [0]).unwrap();
    backend.terminate();
    assert_eq!(backend.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_port_in_use_is_said_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let output = command(&["--port", &address.port().to_string()]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.starts_with(&format!("backend: can not listen on {address}")) && error.contains("--port"),
        "{error}"
    );
}

#[test]
fn the_environment_names_the_server_and_an_empty_name_is_none() {
    for (id, expected) in [("demo-3", "Hello from Server: demo-3"), ("", "Hello from Server: ")] {
        let backend = Backend::spawn(command(&[]).env("SERVER_ID", id));
        let mut stream = backend.connect();
        write!(stream, "GET /home HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let answer = rest(&mut stream);
        assert!(answer.contains(expected) && !answer.contains("Server: \""), "{answer}");
    }
}

#[test]
fn http_2_is_spoken_on_the_same_port_with_prior_knowledge() {
    let backend = Backend::start(&[]);
    let mut stream = backend.connect();
    // The preface, empty SETTINGS, and GET /heartbeat in fields of HPACK's static table (RFC 7541) that end the stream.
    let path = b"/heartbeat";
    let mut fields = vec![0x82, 0x86, 0x04, 0x0a];
    fields.extend_from_slice(path);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1]);
    bytes.extend_from_slice(&fields);
    stream.write_all(&bytes).unwrap();
    // The first field of the first HEADERS is the status: 200 is one byte, 8 of the static table.
    let status = loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        if head[3] == 1 {
            break payload[0];
        }
    };
    assert_eq!(status, 0x88);
}
