//! Whole processes: started in a directory of their own, watched through /proc, and ended whatever happens.
//!
//! Whatever fails here panics, and with it the test that uses it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod http;
mod pool;
mod started;
mod tree;
mod up;

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::Instant;

pub use http::{Reply, request, send};
pub use pool::{Policy, Pool};
pub use started::Started;
pub use tree::Process;
pub use up::Up;

/// The variable by which processes of a test are recognised, and never those of anyone else.
const MARK: &str = "LBPOOL_TEST_SANDBOX";

/// A runtime directory of its own, and everything that was started in it. Ends it all when dropped.
///
/// One test holds a sandbox at a time, since each of them loads the whole machine.
#[derive(Debug)]
pub struct Sandbox {
    dir: TempDir,
    _alone: File,
}

/// What became of a command that has ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code. `None`: a signal ended it.
    pub code: Option<i32>,
    /// What it wrote for programs.
    pub stdout: String,
    /// What it wrote for people.
    pub stderr: String,
}

/// Waits until `check` gives a value. The panic otherwise says what was waited for, and the last reason why not.
pub fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(reason) if began.elapsed() > limit => panic!("not within {limit:?}: {what}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// How long the load of a test lasts in all: `LBPOOL_TEST_SECONDS`, or 5 s.
#[must_use]
pub fn load_time() -> Duration {
    let seconds = std::env::var_os("LBPOOL_TEST_SECONDS").map_or(5, |text| {
        text.to_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("LBPOOL_TEST_SECONDS={}", text.display()))
    });
    Duration::from_secs(seconds)
}

// === impl Sandbox ===

impl Sandbox {
    /// A new one, when all others have ended.
    #[must_use]
    pub fn new() -> Self {
        let name = format!("lbpool-tests-{}.lock", rustix::process::getuid().as_raw());
        let lock = File::create(std::env::temp_dir().join(name)).unwrap();
        lock.lock().unwrap();
        for name in ["lbpool", "backend", "balancer"] {
            let path = program(name);
            assert!(
                path.exists(),
                "{} is not built: run `make local`, or `cargo build --bins`",
                path.display()
            );
        }
        Self {
            dir: tempfile::Builder::new().prefix("lbpool-test-").tempdir().unwrap(),
            _alone: lock,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file.
    #[must_use]
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// `lbpool` with these arguments, in this sandbox.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        self.program("lbpool", args)
    }

    /// Starts one of the project's other programs. `name` is for messages.
    #[must_use]
    pub fn start(&self, name: &str, program: &str, args: &[&str]) -> Started {
        self.started(name, self.program(program, args))
    }

    /// Starts a command of this sandbox. `name` is for messages and for the file of its output, `name.log`.
    #[must_use]
    pub fn started(&self, name: &str, command: Command) -> Started {
        Started::new(name, command, self.path().join(format!("{name}.log")))
    }

    /// An address of this machine where nobody listens.
    #[must_use]
    pub fn free_address(&self) -> SocketAddr {
        up::free_address()
    }

    fn program(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program(name));
        let runtime = self.path().join("run");
        fs::create_dir_all(&runtime).unwrap();
        command
            .args(args)
            .current_dir(self.path())
            .env("XDG_RUNTIME_DIR", runtime)
            .env(MARK, self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs `lbpool` to its end.
    #[must_use]
    pub fn lbpool(&self, args: &[&str]) -> Outcome {
        let Output { status, stdout, stderr } = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome {
            code: status.code(),
            stdout: text(stdout),
            stderr: text(stderr),
        }
    }

    /// Starts `lbpool up` for a pool, and waits until all its members serve.
    #[must_use]
    pub fn up(&self, pool: &Pool) -> Up<'_> {
        Up::start(self, pool)
    }

    /// Every process that was started here and has not ended.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        tree::marked(MARK, self.path())
    }

    /// Waits until nothing that was started here is left.
    pub fn assert_nothing_left(&self, limit: Duration) {
        wait_for("every process has ended", limit, || match self.processes() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        });
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Twice, since the first of them may have started another one in between.
        for _ in 0..2 {
            for process in self.processes() {
                process.send(Signal::KILL);
            }
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// What it wrote for programs.
    #[must_use]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// What it wrote for people.
    #[must_use]
    pub fn failure(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// A command of the build that this test belongs to.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join(name)
}
