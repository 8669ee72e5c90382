//! A process of a test, whatever it runs.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::wait_for;

/// Longer than anything takes on a slow machine.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// A process that was started, with what it writes. Ends when dropped.
#[derive(Debug)]
pub struct Started {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Started {
    pub(super) fn new(name: &str, mut command: Command, output: PathBuf) -> Self {
        let log = File::create(&output).unwrap();
        let child = command
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        Self {
            name: name.to_owned(),
            child,
            output,
        }
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Sends the process, and not its children, a signal.
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Fails the test if the process has ended.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.exited() {
            panic!("{} ended with {status}:\n{}", self.name, self.output());
        }
    }

    /// Waits for something to become true while the process runs.
    pub fn until<T>(&mut self, what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
        wait_for(what, LIMIT, || {
            self.assert_runs();
            check().map_err(|reason| format!("{reason}\n{}", self.output()))
        })
    }

    /// Waits for its end: the exit code, and how long it took. `None`: a signal ended it.
    pub fn ended(&mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let what = format!("{} ends", self.name);
        let status = wait_for(&what, LIMIT, || self.exited().ok_or_else(|| self.output()));
        (status.code(), began.elapsed())
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.name, self.output());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
