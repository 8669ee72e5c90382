//! Commands as a person would type them.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// What became of a command.
#[derive(Debug)]
pub struct Outcome {
    line: String,
    /// Whether it succeeded.
    pub success: bool,
    /// What it wrote for programs.
    pub stdout: String,
    /// What it wrote for people.
    pub stderr: String,
}

/// Runs a command to its end, with this input.
#[must_use]
pub fn run(program: &str, args: &[&str], input: &str) -> Outcome {
    let line = format!("{program} {}", args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    // Whoever reads no input has ended the pipe: nothing is wrong with that.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome {
        line,
        success: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// `kubectl` with these arguments.
#[must_use]
pub fn kubectl(args: &[&str]) -> Outcome {
    run("kubectl", args, "")
}

/// `helm` with these arguments.
#[must_use]
pub fn helm(args: &[&str]) -> Outcome {
    run("helm", args, "")
}

// === impl Outcome ===

impl Outcome {
    /// What it wrote for programs; the test fails if the command has.
    #[must_use]
    pub fn ok(self) -> String {
        assert!(self.success, "{}: {}{}", self.line, self.stdout, self.stderr);
        self.stdout
    }

    /// What it wrote for people; the test fails if the command has not.
    #[must_use]
    pub fn refused(self) -> String {
        assert!(!self.success, "{} was not refused: {}", self.line, self.stdout);
        self.stderr
    }
}
