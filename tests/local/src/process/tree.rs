//! Processes as /proc shows them.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// A process that was alive when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in the kernel's ticks: with the number it names a process for good.
    pub started: u64,
    /// The program, without its folder.
    pub program: String,
    /// `SERVER_ID` in its environment.
    pub seat: Option<String>,
}

/// Every living process with `name=value` in its environment.
pub(super) fn marked(name: &str, value: &Path) -> Vec<Process> {
    let mark = [name.as_bytes(), b"=", value.as_os_str().as_bytes()].concat();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?, &mark))
        .collect()
}

// === impl Process ===

impl Process {
    /// `None`: it has ended, is someone else's, or is not marked.
    fn read(pid: i32, mark: &[u8]) -> Option<Self> {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        if !variables.clone().any(|variable| variable == mark) {
            return None;
        }
        let seat = variables.find_map(|variable| variable.strip_prefix(b"SERVER_ID="));
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let program = Path::new(OsStr::from_bytes(command.split(|byte| *byte == 0).next()?)).file_name()?;
        Some(Self {
            pid,
            started: started(pid)?,
            program: program.to_string_lossy().into_owned(),
            seat: seat.map(|seat| String::from_utf8_lossy(seat).into_owned()),
        })
    }

    /// Sends a signal, unless the process has ended.
    pub fn send(&self, signal: Signal) {
        if let (true, Some(pid)) = (self.lives(), Pid::from_raw(self.pid)) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether this very process is still there. One that has ended and is not reaped does not live.
    #[must_use]
    pub fn lives(&self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// When a process started. `None`: it has ended.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in parentheses and may contain anything; what follows is plain.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_marked_process_is_found_while_it_lives() {
        let place = Path::new("/a place of this test alone");
        let mut child = Command::new("sleep")
            .arg("60")
            .env("TREE_TEST", place)
            .env("SERVER_ID", "m-0")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let found = loop {
            // Between fork and exec the child still has our environment.
            if let [process] = &marked("TREE_TEST", place)[..] {
                break process.clone();
            }
        };
        assert_eq!((found.program.as_str(), found.seat.as_deref()), ("sleep", Some("m-0")));
        found.send(Signal::KILL);
        child.wait().unwrap();
        assert!(!found.lives());
        assert_eq!(marked("TREE_TEST", place), []);
    }
}
