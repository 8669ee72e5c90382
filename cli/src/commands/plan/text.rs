//! A plan as people read it.

use lbpool_core::diff::Change;
use lbpool_operator::{
    Outlook,
    outlook::{Load, Step, Turn, Way},
};
use serde_json::Value;

use crate::output::columns;

/// Steps that are shown; the rest is in `--json`.
const STEPS: usize = 40;
/// Names that are listed in one line.
const NAMES: usize = 6;
/// Characters of a value of the spec.
const VALUE: usize = 48;

/// `pods`: the pool runs here, so that the names of its members are known. `command` does it.
pub(super) fn text(told: &Outlook, pods: bool, command: Option<&str>) -> String {
    let mut blocks = vec![head(told)];
    if !told.changes.is_empty() {
        let line = |change: &Change| format!("{}: {} -> {}", change.path, value(&change.before), value(&change.after));
        let lines: Vec<String> = told.changes.iter().map(line).collect();
        blocks.push(format!("The spec changes\n{}", indented(&lines.join("\n"))));
    }
    blocks.push(if told.steps.is_empty() {
        "Nothing would be started, routed otherwise or ended.\n".to_owned()
    } else {
        format!("What would be done, in this order\n{}", indented(&steps(told, pods)))
    });
    blocks.push(format!("{}\n{}", moved(told), columns(&loads(&told.members))));
    blocks.extend(told.notes.iter().map(|note| format!("Note: {note}.\n")));
    blocks.push(match command.filter(|_| !told.changes.is_empty()) {
        Some(command) => format!("Nothing was changed. To do it: {command}\n"),
        None => "Nothing was changed.\n".to_owned(),
    });
    blocks.join("\n")
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n") + "\n"
}

fn head(told: &Outlook) -> String {
    let count = |seats: usize| {
        if seats == 1 {
            "1 seat".to_owned()
        } else {
            format!("{seats} seats")
        }
    };
    let (before, after) = (&told.before, &told.after);
    let algorithm = if before.algorithm == after.algorithm || before.algorithm.is_empty() {
        after.algorithm.clone()
    } else {
        format!("{} -> {}", before.algorithm, after.algorithm)
    };
    format!(
        "{}: {} now, {} after ({algorithm})\n",
        told.pool,
        count(before.seats),
        after.seats
    )
}

fn moved(told: &Outlook) -> String {
    if told.before.seats == 0 || told.after.seats == 0 {
        return format!(
            "Keys have {}.",
            if told.after.seats == 0 {
                "no member then"
            } else {
                "no member now"
            }
        );
    }
    if told.moved == 0.0 {
        return "No key moves.".to_owned();
    }
    format!("{} of the keys move to another seat.", percent(told.moved))
}

fn steps(told: &Outlook, pods: bool) -> String {
    let runs: Vec<&[Step]> = told
        .steps
        .chunk_by(|one, next| kind(one).is_some() && kind(one) == kind(next))
        .collect();
    let rows = runs.iter().flat_map(|run| match crowd(run) {
        Some(row) => vec![row],
        None => run.iter().map(|step| row(step, pods)).collect(),
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let shown = rows.len().min(STEPS);
    let text = columns(&rows[..shown]);
    match rows.len() - shown {
        0 => text,
        more => format!("{text}and {more} more steps like these: --json has them all\n"),
    }
}

/// What makes steps alike: one after the other they can be told as one.
fn kind(step: &Step) -> Option<(usize, bool, &str)> {
    match step {
        Step::Start { pass, reason, .. } => Some((*pass, true, reason)),
        Step::End { pass, reason, .. } => Some((*pass, false, reason)),
        Step::Route { .. } => None,
    }
}

/// Many steps that are alike, in one row.
fn crowd(run: &[Step]) -> Option<Vec<String>> {
    let (pass, starts, _) = kind(run.first()?).filter(|_| run.len() > NAMES)?;
    let seats: Vec<String> = run
        .iter()
        .filter_map(|step| match step {
            Step::Start { seat, .. } | Step::End { seat, .. } => Some(seat.to_string()),
            Step::Route { .. } => None,
        })
        .collect();
    let (verb, why) = if starts {
        ("start", String::new())
    } else {
        ("end", ", each once its requests have ended".to_owned())
    };
    let what = format!("{} members", run.len());
    Some(vec![
        format!("{pass:>2}"),
        verb.to_owned(),
        what,
        format!("{}{why}", listed(&seats)),
    ])
}

/// `pods`: the names of members are those that they will have.
fn row(step: &Step, pods: bool) -> Vec<String> {
    let name = |seat: &lbpool_api::MemberName, pod: &String| if pods { pod.clone() } else { seat.to_string() };
    let (pass, verb, what, why) = match step {
        Step::Start {
            pass,
            seat,
            pod,
            reason,
            replaces,
        } => {
            let why = match (reason.as_str(), replaces) {
                ("SeatEmpty", _) => format!("the seat {seat} has nobody"),
                ("Outdated", Some(old)) if pods => format!("with the new template, to take over from {old}"),
                ("Outdated", _) => format!("with the new template, to take over the seat {seat}"),
                ("Failed", _) => "the one before it failed".to_owned(),
                (other, _) => other.to_owned(),
            };
            (pass, "start", name(seat, pod), why)
        }
        Step::Route {
            pass,
            epoch,
            turns,
            moved,
            reason,
        } => {
            let said = if turns.is_empty() && reason == "Policy" {
                "routing or health changes".to_owned()
            } else if turns.is_empty() {
                "the members in it stay".to_owned()
            } else {
                all_said(turns)
            };
            let why = if *moved > 0.0 {
                format!("{said} ({} of the keys move)", percent(*moved))
            } else {
                said
            };
            (pass, "route", format!("epoch {epoch}"), why)
        }
        Step::End {
            pass,
            seat,
            pod,
            reason,
        } => {
            let why = match reason.as_str() {
                "ScaledDown" => "once its requests have ended",
                "Replaced" => "once its requests have ended: its seat is taken over",
                "Outdated" => "once its requests have ended, to make room",
                "Failed" => "it has failed",
                "Surplus" => "it is one too many",
                other => other,
            };
            (pass, "end", name(seat, pod), why.to_owned())
        }
    };
    vec![format!("{pass:>2}"), verb.to_owned(), what, why]
}

/// What happens to seats, those with the same fate in one go.
fn all_said(turns: &[Turn]) -> String {
    let fates = [
        (Way::Joins, "joins", "join"),
        (Way::Leaves, "leaves", "leave"),
        (
            Way::HandsOver,
            "is handed over, its keys stay",
            "are handed over, their keys stay",
        ),
        (Way::Empties, "is empty for a while", "are empty for a while"),
        (Way::Returns, "is served again", "are served again"),
        (Way::Weighs, "gets another weight", "get another weight"),
    ];
    let said = fates.iter().filter_map(|(way, one, several)| {
        let seats: Vec<String> = turns
            .iter()
            .filter(|turn| turn.way == *way)
            .map(|turn| turn.seat.to_string())
            .collect();
        match seats.as_slice() {
            [] => None,
            [seat] => Some(format!("{seat} {one}")),
            seats => Some(format!("{} {several}", listed(seats))),
        }
    });
    said.collect::<Vec<_>>().join("; ")
}

/// `a, b and c`; of many the first few.
fn listed(names: &[String]) -> String {
    match names {
        [first @ .., last] if names.len() <= NAMES => format!("{} and {last}", first.join(", ")),
        names => {
            let (first, rest) = names.split_at(names.len().min(NAMES - 1));
            format!("{} and {} others", first.join(", "), rest.len())
        }
    }
}

fn loads(members: &[Load]) -> Vec<Vec<String>> {
    let share = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let head = ["SEAT", "WEIGHT", "KEYS NOW", "AFTER", "CHANGE"];
    let rows = members.iter().map(|load| {
        let change = (load.after.unwrap_or(0.0) - load.before.unwrap_or(0.0)) * 100.0;
        // What rounds to nothing is none, and has no sign.
        let change = if change.abs() < 0.05 {
            "-".to_owned()
        } else {
            format!("{change:+.1}")
        };
        vec![
            load.seat.to_string(),
            load.weight.to_string(),
            share(load.before),
            share(load.after),
            change,
        ]
    });
    [head.map(str::to_owned).to_vec()].into_iter().chain(rows).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A value of the spec on one line, short.
fn value(value: &Value) -> String {
    if value.is_null() {
        return "none".to_owned();
    }
    let text = value.to_string();
    if text.chars().count() <= VALUE {
        return text;
    }
    text.chars().take(VALUE).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use lbpool_operator::Prospect;

    use super::*;
    use crate::manifest::{self, Overrides};

    fn told(before: i32, after: i32) -> Outlook {
        let pool = |replicas| {
            manifest::demo(Overrides {
                replicas: Some(replicas),
            })
            .unwrap()
        };
        Prospect::settled(pool(before), pool(after)).unwrap().outlook().unwrap()
    }

    #[test]
    fn growing_is_told_with_steps_shares_and_what_to_type() {
        let text = text(&told(3, 4), true, Some("lbpool scale --replicas 4"));
        let words: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(words[0], "demo: 3 seats now, 4 after (Rendezvous)");
        assert!(words.contains(&"spec.replicas: 3 -> 4".to_owned()), "{text}");
        assert!(words.iter().any(|line| line.starts_with("1 start demo-3-")), "{text}");
        let route = words.iter().find(|line| line.starts_with("2 route epoch ")).unwrap();
        assert!(
            route.contains("demo-3 joins (25.") && route.ends_with("% of the keys move)"),
            "{text}"
        );
        assert!(words.iter().any(|line| line.starts_with("demo-3 1 - 25.")), "{text}");
        assert_eq!(
            words.last().unwrap(),
            "Nothing was changed. To do it: lbpool scale --replicas 4"
        );
    }

    #[test]
    fn a_pool_that_does_not_run_has_no_names_of_members_and_nothing_to_type() {
        let text = text(&told(3, 2), false, None);
        assert!(!text.contains("To do it"), "{text}");
        let end = text.lines().find(|line| line.contains(" end ")).unwrap();
        assert_eq!(end.split_whitespace().nth(2), Some("demo-2"), "{text}");
    }

    #[test]
    fn nothing_to_do_is_said() {
        let text = text(&told(3, 3), true, Some("lbpool apply -f x"));
        assert!(
            text.contains("Nothing would be started") && text.contains("No key moves."),
            "{text}"
        );
        assert!(text.ends_with("Nothing was changed.\n"), "{text}");
    }

    #[test]
    fn many_seats_and_steps_are_cut() {
        let up = text(&told(1, 90), false, None);
        assert!(
            up.contains("89 members") && up.contains("demo-1, demo-2, demo-3, demo-4, demo-5 and 84 others join"),
            "{up}"
        );
        let down = text(&told(90, 1), false, None);
        assert!(
            down.contains("84 others leave") && down.contains("each once its requests have ended"),
            "{down}"
        );
        assert_eq!(listed(&["a".to_owned(), "b".to_owned(), "c".to_owned()]), "a, b and c");
    }

    #[test]
    fn values_are_short() {
        assert_eq!(value(&Value::Null), "none");
        assert_eq!(value(&serde_json::json!("x".repeat(100))).chars().count(), VALUE + 3);
    }
}
