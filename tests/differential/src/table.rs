//! What is known of earlier runs, and the table for people.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::{
    case::{Case, Cases},
    outcome::Outcome,
};

/// The proxies, in the order of the table's columns.
pub(crate) const NAMES: [&str; 3] = ["lbpool", "HAProxy", "nginx"];

/// A run: what each proxy did with each case.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Versions of HAProxy and nginx.
    pub(crate) versions: [String; 2],
    /// In the order of [`NAMES`].
    pub(crate) outcomes: BTreeMap<String, [Outcome; 3]>,
}

// === impl Run ===

impl Run {
    /// What is otherwise than it was `before`, a line for each. Other versions of a rival may do otherwise.
    pub(crate) fn changes(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, now) in &self.outcomes {
            let Some(then) = before.outcomes.get(name) else {
                changes.push(format!("`{name}` is new"));
                continue;
            };
            for (index, proxy) in NAMES.iter().enumerate() {
                let known = index
                    .checked_sub(1)
                    .is_none_or(|rival| self.versions[rival] == before.versions[rival]);
                if known && now[index] != then[index] {
                    changes.push(format!(
                        "`{name}`, {proxy}:\n  was {}\n  is  {}",
                        cell(&then[index]),
                        cell(&now[index])
                    ));
                }
            }
        }
        changes
    }

    /// Cases that are there no more.
    pub(crate) fn gone(&self, before: &Self) -> Vec<String> {
        let gone = before.outcomes.keys().filter(|name| !self.outcomes.contains_key(*name));
        gone.map(|name| format!("`{name}` is gone")).collect()
    }

    /// Cases about which the proxies differ and nobody has said why.
    pub(crate) fn unexplained(&self, cases: &Cases) -> Vec<String> {
        let differs = |case: &&Case| self.outcomes.get(&case.name).is_some_and(differ);
        let silent = cases.all().filter(differs).filter(|case| case.why.is_none());
        silent
            .map(|case| format!("`{}`: the proxies differ, and `why` is missing", case.name))
            .collect()
    }

    /// The page docs/reference/differences.md.
    pub(crate) fn page(&self, cases: &Cases) -> String {
        let [haproxy, nginx] = &self.versions;
        let total = self.outcomes.len();
        let different = self.outcomes.values().filter(|outcomes| differ(outcomes)).count();
        let mut page = PREFACE
            .replace("@HAPROXY@", haproxy)
            .replace("@NGINX@", nginx)
            .replace("@TOTAL@", &total.to_string())
            .replace("@DIFFERENT@", &different.to_string());
        for group in &cases.groups {
            // Writing to a String cannot fail.
            let _ = write!(
                page,
                "\n## {}\n\n| sent | {} | why |\n|---|---|---|---|---|\n",
                group.name,
                NAMES.join(" | ")
            );
            for case in &group.cases {
                let Some(outcomes) = self.outcomes.get(&case.name) else {
                    continue;
                };
                let _ = write!(page, "| {} |", case.name);
                for outcome in outcomes {
                    let _ = write!(page, " {} |", cell(outcome));
                }
                let why = if differ(outcomes) {
                    case.why.as_deref().unwrap_or_default()
                } else {
                    "alike"
                };
                let _ = writeln!(page, " {} |", why.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        page
    }
}

fn differ(outcomes: &[Outcome; 3]) -> bool {
    outcomes.windows(2).any(|pair| pair[0] != pair[1])
}

/// What reached the origin, and what the client was told.
fn cell(outcome: &Outcome) -> String {
    let code = |text: &str| format!("`{}`", text.replace('|', "\\|").replace('`', "'"));
    match outcome.origin.as_str() {
        "nothing" => outcome.client.clone(),
        origin => format!("{} → {}", code(origin), code(&outcome.client)),
    }
}

const PREFACE: &str = "\
# The same bytes through lbpool, HAProxy and nginx
Written by `make differential`; the cases, their bytes and the reasons are in tests/differential/cases.yaml. HAProxy @HAPROXY@, nginx @NGINX@, each as
tests/differential/conf has it and with defaults for the rest, in front of an origin that keeps what it gets. Of @TOTAL@ cases @DIFFERENT@ differ in the
outcome.

How to read a cell: what reached the origin → what the client got. `400, closed` alone: nothing reached the origin. `waits`: no answer, and the
connection stays open. `[length 5]`, `[chunked]`: how the body's end is told; `{name: value}`: a field that the case is about; `unfinished`: the
end never came. Several requests or answers stand one behind the other.
";

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("../../../docs/reference/differences.md");

    fn kept() -> (Cases, Run) {
        let cases = Cases::parse(include_str!("../cases.yaml")).unwrap();
        (cases, serde_json::from_str(include_str!("../outcomes.json")).unwrap())
    }

    #[test]
    fn the_page_is_what_cases_and_outcomes_say() {
        let (cases, run) = kept();
        assert!(run.page(&cases) == PAGE, "make differential WRITE=1");
        assert!(cases.all().all(|case| run.outcomes.contains_key(&case.name)));
    }

    #[test]
    fn each_difference_has_a_reason() {
        let (mut cases, run) = kept();
        assert_eq!(run.unexplained(&cases), Vec::<String>::new());
        for case in cases.groups.iter_mut().flat_map(|group| &mut group.cases) {
            case.why = None;
        }
        assert!(!run.unexplained(&cases).is_empty());
    }

    #[test]
    fn an_outcome_that_changed_is_told_but_not_of_another_version_of_a_rival() {
        let (_, before) = kept();
        let (_, mut now) = kept();
        assert_eq!(now.changes(&before), Vec::<String>::new());
        for outcome in now.outcomes.get_mut("plain GET").unwrap() {
            outcome.client = "500, open".to_owned();
        }
        assert_eq!(now.changes(&before).len(), 3);
        now.versions[1] = "1.0".to_owned();
        assert_eq!(now.changes(&before).len(), 2);
        let gone = now.outcomes.remove("plain GET");
        assert!(gone.is_some() && now.changes(&before).is_empty());
        assert_eq!(now.gone(&before), ["`plain GET` is gone"]);
    }
}
