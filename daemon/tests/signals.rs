//! Signals, sent to a real process.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

struct Ends(Child, BufReader<ChildStdout>);

impl Ends {
    fn start(args: &[&str]) -> Self {
        let test = std::env::current_exe().unwrap();
        let example: PathBuf = [test.ancestors().nth(2).unwrap(), "examples/ends".as_ref()]
            .iter()
            .collect();
        let mut child = Command::new(example).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut ends = Self(child, lines);
        assert_eq!(ends.line(), "listening");
        ends
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_first_signal_asks_for_an_orderly_end() {
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let mut process = Ends::start(&["at once"]);
        process.send(signal);
        assert_eq!(process.line(), name);
        assert_eq!(process.0.wait().unwrap().code(), Some(0), "{name}");
    }
}

#[test]
fn the_second_signal_ends_a_process_that_hangs() {
    let mut process = Ends::start(&[]);
    process.send(Signal::TERM);
    assert_eq!(process.line(), "SIGTERM");
    process.send(Signal::INT);
    assert_eq!(process.0.wait().unwrap().code(), Some(130));
}
