//! Cases: what is sent, what the origin answers, and why proxies differ about it.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

/// The file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    /// Text that several cases share; YAML's anchors refer to it.
    #[serde(default, rename = "parts")]
    _parts: Vec<String>,
    pub(crate) groups: Vec<Group>,
}

/// Cases about one subject.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) cases: Vec<Case>,
}

/// One stream of bytes and what becomes of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What the client sends.
    pub(crate) send: Text,
    /// What the origin answers to each request: an answer of two bytes where nothing is said.
    pub(crate) answer: Option<Text>,
    /// The origin ends the connection behind its answer.
    #[serde(default)]
    pub(crate) end: bool,
    /// Fields that are of interest here, in requests and in answers.
    #[serde(default)]
    pub(crate) show: Vec<String>,
    /// Why the proxies differ: required where they do.
    pub(crate) why: Option<String>,
}

/// Bytes as text: a character is the byte of its number (Latin-1).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Text {
    One(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Part {
    Text(String),
    Repeat { repeat: String, times: usize },
}

// === impl Cases ===

impl Cases {
    /// Reads and checks the file of cases.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let cases: Self = serde_yaml::from_str(text).context("cases.yaml")?;
        let mut names: Vec<&str> = cases.all().map(|case| case.name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            ensure!(pair[0] != pair[1], "cases.yaml: two cases are called `{}`", pair[0]);
        }
        for case in cases.all() {
            let name = &case.name;
            ensure!(
                !name.contains('|'),
                "cases.yaml: `{name}`: the name goes into a table, which `|` would break"
            );
            case.send
                .bytes()
                .with_context(|| format!("cases.yaml: `{name}`: send"))?;
            if let Some(answer) = &case.answer {
                answer
                    .bytes()
                    .with_context(|| format!("cases.yaml: `{name}`: answer"))?;
            }
        }
        Ok(cases)
    }

    /// All cases, in the order of the file.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Case> {
        self.groups.iter().flat_map(|group| &group.cases)
    }
}

// === impl Text ===

impl Text {
    /// The bytes.
    pub(crate) fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let text = match self {
            Self::One(text) => text.clone(),
            Self::Parts(parts) => parts.iter().map(Part::text).collect(),
        };
        text.chars()
            .map(|character| u8::try_from(u32::from(character)))
            .collect::<Result<_, _>>()
            .context("a character above U+00FF is no byte")
    }
}

// === impl Part ===

impl Part {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Repeat { repeat, times } => repeat.repeat(*times),
        }
    }
}

/// Bytes as a person reads them.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            b'\r' => out.push_str("\\r"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(char::from(*byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out
}
