//! One child process in a process group of its own: start it, notice its end, end it with all that it started.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    process::{ChildStderr, ChildStdout},
    signal::unix::{self, SignalKind},
    time::timeout,
};

use super::{guard, launch::Launch, leftovers};

/// A child that has not been reaped, so its id and that of its group are its own.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    pid: Pid,
    ends: unix::Signal,
}

/// What a child prints.
#[derive(Debug)]
pub(super) struct Pipes {
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
}

impl Child {
    /// Starts a child from the calling thread: with a guard it is killed when this thread ends.
    pub fn start(launch: &Launch, uid: &str, guarded_by: Option<&Path>) -> io::Result<(Self, Pipes)> {
        // Before the child exists, so that its end can not come before we listen.
        let ends = unix::signal(SignalKind::child())?;
        let mut command = match guarded_by {
            Some(executable) => {
                let mut command = Command::new(executable);
                command.args(guard::arguments(launch.program.as_os_str()));
                command
            }
            None => Command::new(&launch.program),
        };
        command
            .args(&launch.args)
            .envs(&launch.variables)
            .env(leftovers::MARK, uid)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(dir) = &launch.dir {
            command.current_dir(dir);
        }
        let mut process = command.spawn()?;
        let pid = pid_of(&process);
        let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
        let pipes = (stdout.map(ChildStdout::from_std), stderr.map(ChildStderr::from_std));
        if let (Some(pid), (Some(Ok(stdout)), Some(Ok(stderr)))) = (pid, pipes) {
            return Ok((Self { process, pid, ends }, Pipes { stdout, stderr }));
        }
        process.kill()?;
        process.wait()?;
        Err(io::Error::other("no pipes to the child"))
    }

    /// Its process id, and that of its group.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it has ended, kills what is left of its group, reaps it. May be dropped and called again.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.pid), look)?.is_none() {
            self.ends.recv().await;
        }
        // As in a container, where nothing outlives the first process. Not reaped yet, so the group is still ours.
        self.signal(Signal::KILL);
        self.process.wait()
    }

    /// Ends it: SIGTERM to the whole group, SIGKILL after `grace`.
    pub async fn end(&mut self, grace: Duration) -> io::Result<ExitStatus> {
        if !grace.is_zero() {
            self.signal(Signal::TERM);
            if let Ok(status) = timeout(grace, self.ended()).await {
                return status;
            }
        }
        self.signal(Signal::KILL);
        self.ended().await
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process_group(self.pid, signal) {
            // A group whose only process has ended answers EPERM on some systems: nothing is left to be done there.
            tracing::debug!(pid = self.pid(), ?signal, %error, "signal not delivered");
        }
    }
}

fn pid_of(process: &std::process::Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process.id()).ok()?)
}
