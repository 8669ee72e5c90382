//! `lbpool explain`: where keys go, and why.

use std::{fmt::Write as _, io::Write as _};

use lbpool_balancer::explain::{Explanation, Outcome, Rank};

use super::runtime;
use crate::{cli::ExplainArgs, client::Client, output::columns, runtime::Places};

/// Ranks that are shown where not all are asked for: who answers is nearly always among them.
const SHOWN: usize = 5;

/// Explains keys of a running pool.
///
/// # Errors
/// Where it does not run or does not answer.
pub fn run(places: &Places, ExplainArgs { keys, pool, all, json }: ExplainArgs) -> anyhow::Result<()> {
    let running = places.find(pool.as_deref())?;
    let client = Client::new(&running.socket());
    let told = runtime()?.block_on(async {
        let mut told = Vec::with_capacity(keys.len());
        for key in &keys {
            told.push(client.explain(key).await?);
        }
        anyhow::Ok(told)
    })?;
    let text = if json {
        format!("{}\n", serde_json::to_string_pretty(&told)?)
    } else {
        let shown = if all { usize::MAX } else { SHOWN };
        told.iter().map(|told| text(told, shown)).collect::<Vec<_>>().join("\n")
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// One key: a line that tells all that most want to know, and its ranks below.
fn text(told: &Explanation, shown: usize) -> String {
    let arrow = match (told.outcome, &told.member) {
        (Outcome::Held, Some(member)) => format!("waits for {member}"),
        (Outcome::Refused, _) => "503".to_owned(),
        (_, Some(member)) => member.clone(),
        (_, None) => "nobody".to_owned(),
    };
    let head = ["RANK", "SEAT", "POD", "ADDRESS", "READY", "IN-FLIGHT", "TROUBLE"];
    let head = head.map(str::to_owned).to_vec();
    // Up to the one that answers, however far down that is.
    let answers = told
        .ranks
        .iter()
        .position(|rank| Some(&rank.member) == told.member.as_ref());
    let shown = shown.max(answers.map_or(0, |place| place + 1));
    let rows: Vec<_> = [head]
        .into_iter()
        .chain((1..).zip(&told.ranks).take(shown).map(row))
        .collect();
    let mut text = format!("{} -> {arrow}: {}\n{}", told.key, told.why, columns(&rows));
    let more = told.ranks.len().saturating_sub(shown);
    if more > 0 {
        // Writing into a String does not fail.
        _ = writeln!(text, "and {more} more: --all");
    }
    text
}

fn row((place, rank): (usize, &Rank)) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        place.to_string(),
        rank.member.clone(),
        rank.pod.clone().unwrap_or_else(none),
        rank.address.map_or_else(none, |address| address.to_string()),
        if rank.ready { "yes" } else { "no" }.to_owned(),
        rank.in_flight.to_string(),
        rank.trouble.clone().unwrap_or_else(none),
    ]
}

#[cfg(test)]
mod tests {
    use lbpool_api::status::SeatState;

    use super::*;

    #[test]
    fn a_key_is_told_with_its_ranks_in_columns() {
        let rank = |member: &str, ready: bool| Rank {
            member: member.to_owned(),
            pod: Some(format!("{member}-x")),
            address: None,
            state: SeatState::Serving,
            ready,
            trouble: (!ready).then(|| "probes fail".to_owned()),
            in_flight: 3,
        };
        let mut ranks = vec![rank("demo-1", false), rank("demo-0", true)];
        ranks.extend((2..9).map(|n| rank(&format!("demo-{n}"), true)));
        let told = Explanation {
            key: "cart/42".to_owned(),
            epoch: 1,
            digest: String::new(),
            owner: Some("demo-1".to_owned()),
            member: Some("demo-0".to_owned()),
            outcome: Outcome::Spilled,
            why: "next in rank".to_owned(),
            ranks,
        };
        let few = text(&told, SHOWN);
        let lines: Vec<Vec<&str>> = few.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(few.lines().next(), Some("cart/42 -> demo-0: next in rank"));
        assert_eq!(lines[2], ["1", "demo-1", "demo-1-x", "-", "no", "3", "probes", "fail"]);
        assert_eq!(lines[3], ["2", "demo-0", "demo-0-x", "-", "yes", "3", "-"]);
        assert_eq!(few.lines().last(), Some("and 4 more: --all"));
        assert_eq!(text(&told, usize::MAX).lines().count(), 2 + 9);
        let last = Explanation {
            member: Some("demo-8".to_owned()),
            ..told
        };
        assert_eq!(text(&last, SHOWN).lines().count(), 2 + 9, "who answers is shown");
    }
}
