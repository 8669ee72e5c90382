//! What the API server was asked to write, and by whom.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::PathBuf,
};

use serde_json::Value;

use crate::Harness;

/// The API server's audit log, from a moment on.
#[derive(Debug)]
pub struct Audit {
    log: PathBuf,
    from: u64,
}

/// Writes by verb and resource, such as `create pods`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes(BTreeMap<String, u64>);

impl Audit {
    /// From now on.
    #[must_use]
    pub fn begin(harness: &Harness) -> Self {
        let log = harness.audit_log();
        let from = log.metadata().unwrap().len();
        Self { log, from }
    }

    /// What accounts whose name ends like this wrote in a namespace since then. Refused writes count as well: they cost the
    /// API server as much.
    #[must_use]
    pub fn writes(&self, account: &str, namespace: &str) -> Writes {
        let mut file = File::open(&self.log).unwrap();
        file.seek(SeekFrom::Start(self.from)).unwrap();
        let mut writes = Writes::default();
        for line in BufReader::new(file).lines() {
            // The last line may be under way.
            let Ok(event) = serde_json::from_str::<Value>(&line.unwrap()) else {
                continue;
            };
            let of = &event["objectRef"];
            let user = event["user"]["username"].as_str().unwrap_or_default();
            if of["namespace"] == namespace && user.ends_with(account) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let mut what = format!("{} {}", text(&event["verb"]), text(&of["resource"]));
                if let Some(part) = of["subresource"].as_str() {
                    what = format!("{what}/{part}");
                }
                *writes.0.entry(what).or_default() += 1;
            }
        }
        writes
    }
}

// === impl Writes ===

impl Writes {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those whose text begins like one of these.
    #[must_use]
    pub fn of(&self, beginnings: &[&str]) -> u64 {
        let counts = |what: &str| beginnings.iter().any(|beginning| what.starts_with(beginning));
        self.0
            .iter()
            .filter(|(what, _)| counts(what))
            .map(|(_, count)| count)
            .sum()
    }

    /// Those of a verb on a resource.
    #[must_use]
    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, (what, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {what}")?;
        }
        Ok(())
    }
}
