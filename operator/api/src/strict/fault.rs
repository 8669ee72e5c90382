//! What is wrong with a file, as a person reads it.

use std::fmt;

use super::locate;

/// Most faults that are listed; a file with more is better mended from the top.
const LISTED: usize = 20;

/// Why a file can not be used: all that is wrong with it, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    file: String,
    faults: Vec<Fault>,
}

/// One thing that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: `spec.members[1].name`. Empty for the file as a whole.
    pub path: String,
    /// The line of the file, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong and what was expected.
    pub message: String,
}

// === impl Error ===

impl Error {
    /// What was found wrong by who knows more than the types; lines are looked up in the file's first document.
    #[must_use]
    pub fn new(file: &str, text: &str, faults: Vec<Fault>) -> Self {
        Self::located(file, text, 0, faults)
    }

    /// A fault of the file as a whole.
    #[must_use]
    pub fn whole(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            faults: vec![Fault::new("", message)],
        }
    }

    /// The same with lines from the `index`th document of the file.
    pub(super) fn located(file: &str, text: &str, index: usize, mut faults: Vec<Fault>) -> Self {
        for fault in faults.iter_mut().filter(|fault| fault.line.is_none()).take(LISTED) {
            fault.line = locate::line_in(text, index, &fault.path);
        }
        // In the file's order, since that is how it will be mended.
        faults.sort_by_key(|fault| fault.line.unwrap_or(usize::MAX));
        Self {
            file: file.to_owned(),
            faults,
        }
    }

    /// A text that is no YAML, or has a key twice.
    pub(super) fn syntax(file: &str, text: &str, index: usize, error: &serde_yaml::Error) -> Self {
        let said = error.to_string();
        // The place is said once, in front.
        let message = said.split(" at line ").next().unwrap_or(&said);
        if let Some((outer, key)) = message.split_once("duplicate entry with key ") {
            let key = key.trim_matches('"');
            let path = outer
                .strip_suffix(": ")
                .map_or_else(|| key.to_owned(), |outer| format!("{outer}.{key}"));
            return Self::located(file, text, index, vec![Fault::new(path, "this key stands here twice")]);
        }
        let line = error.location().map(|location| location.line());
        let message = format!("this is no YAML: {message}");
        Self {
            file: file.to_owned(),
            faults: vec![Fault {
                path: String::new(),
                line,
                message,
            }],
        }
    }

    /// All that is wrong, in the file's order. Never empty.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().take(LISTED).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            f.write_str(&self.file)?;
            if let Some(line) = fault.line {
                write!(f, ":{line}")?;
            }
            write!(f, ": {fault}")?;
        }
        match self.faults.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "\n{}: and {more} more", self.file),
        }
    }
}

impl std::error::Error for Error {}

// === impl Fault ===

impl Fault {
    /// A fault at a path.
    #[must_use]
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}
