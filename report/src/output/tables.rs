//! The figures as tables, for the page and for the summary alike.

use crate::{
    Algorithm, Change, ChangeKind, Kill, Run, Spread,
    charts::Figure,
    number::{grouped, percent, real, short, tenths, whole},
    theory::{Expected, theory},
};

/// A table of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What was measured of each algorithm, on one line.
pub(super) fn overview(run: &Run) -> Table {
    let servers = 5;
    let mut table = Table::new(&[
        "algorithm",
        "standard deviation, 5 servers",
        "theory",
        "a server left: moved",
        "a server joined: moved",
        "not home once undone",
        "kill: failed",
        "kill: slowest",
        "kill: seat answers after",
    ]);
    for algorithm in run.algorithms() {
        let spread = run.largest(algorithm, servers);
        let deviation = spread.map(|spread| {
            (
                Figure::Deviation.of(&spread.counts),
                expected(spread, Figure::Deviation),
            )
        });
        let change = |kind| {
            run.changes
                .iter()
                .find(|change| change.algorithm == algorithm && change.kind == kind)
        };
        let moved = |kind| cell(change(kind), moved);
        let kill = run.kills.iter().find(|kill| kill.algorithm == algorithm);
        let astray: Vec<u64> = run
            .changes
            .iter()
            .filter(|change| change.algorithm == algorithm)
            .map(|change| change.astray)
            .collect();
        table.rows.push(vec![
            algorithm.to_string(),
            cell(deviation, |(measured, _)| short(measured)),
            cell(deviation, |(_, expected)| short(expected.mean)),
            moved(ChangeKind::Removal),
            moved(ChangeKind::Addition),
            cell((!astray.is_empty()).then_some(astray), |astray| {
                grouped(astray.iter().sum())
            }),
            cell(kill, |kill| grouped(kill.failures())),
            cell(kill, |kill| format!("{} ms", short(kill.slowest()))),
            cell(kill, back),
        ]);
    }
    table
}

/// Standard deviation and spread of every measurement, beside theory's.
pub(super) fn scatter(run: &Run) -> Table {
    let mut table = Table::new(&[
        "algorithm",
        "servers",
        "requests",
        "standard deviation",
        "theory (95 % of runs)",
        "spread",
        "theory (95 % of runs)",
        "failed",
    ]);
    let range = |expected: Expected| {
        let Expected { mean, low, high } = expected;
        format!("{} ({} to {})", short(mean), short(low), short(high))
    };
    for spread in sorted(&run.spreads) {
        table.rows.push(vec![
            spread.algorithm.to_string(),
            spread.servers.len().to_string(),
            grouped(spread.requests),
            short(Figure::Deviation.of(&spread.counts)),
            range(expected(spread, Figure::Deviation)),
            grouped(whole(Figure::Spread.of(&spread.counts))),
            range(expected(spread, Figure::Spread)),
            grouped(spread.failures.values().sum()),
        ]);
    }
    table
}

/// Requests per server, of every measurement.
pub(super) fn counts(run: &Run) -> Table {
    let mut table = Table::new(&["algorithm", "servers", "requests", "answered by each server, by seat"]);
    for spread in sorted(&run.spreads) {
        let counts: Vec<String> = spread.counts.iter().map(|count| grouped(*count)).collect();
        table.rows.push(vec![
            spread.algorithm.to_string(),
            spread.servers.len().to_string(),
            grouped(spread.requests),
            counts.join(" / "),
        ]);
    }
    table
}

/// Classroom's counts per 10,000, measured and exact.
pub(super) fn classroom(run: &Run) -> Table {
    let mut table = Table::new(&["servers", "measured per 10,000", "exact", "standard deviation", "exact"]);
    let mut spreads: Vec<&Spread> = run
        .spreads
        .iter()
        .filter(|spread| spread.algorithm == Algorithm::Classroom && spread.servers.len() < 7)
        .collect();
    spreads.sort_by_key(|spread| (spread.servers.len(), std::cmp::Reverse(spread.requests)));
    spreads.dedup_by_key(|spread| spread.servers.len());
    let per = |count: f64, spread: &Spread| count * 10_000.0 / real(spread.requests.max(1));
    for spread in spreads {
        let exact = theory(spread.algorithm, spread.servers.len(), spread.requests, spread.repeats);
        let list = |counts: &[f64]| {
            let texts: Vec<String> = counts.iter().map(|count| tenths(per(*count, spread))).collect();
            texts.join(" / ")
        };
        let measured: Vec<f64> = spread.counts.iter().map(|count| real(*count)).collect();
        table.rows.push(vec![
            spread.servers.len().to_string(),
            list(&measured),
            list(&exact.counts),
            grouped(whole(per(Figure::Deviation.of(&spread.counts), spread))),
            grouped(whole(per(exact.deviation.mean, spread))),
        ]);
    }
    table
}

/// What each change moved.
pub(super) fn changes(run: &Run, kind: ChangeKind) -> Table {
    let mut table = Table::new(&[
        "algorithm",
        "servers",
        "keys",
        "moved",
        "of these needlessly",
        "ideal",
        "moved, by the tables",
        "not home once undone",
        "failed",
    ]);
    for change in run.changes.iter().filter(|change| change.kind == kind) {
        table.rows.push(vec![
            change.algorithm.to_string(),
            format!("{} to {}", change.before.len(), change.after.len()),
            grouped(change.keys()),
            moved(change),
            grouped(change.needless()),
            percent(change.ideal()),
            percent(change.table_moved),
            grouped(change.astray),
            grouped(change.failures.values().sum()),
        ]);
    }
    table
}

/// What each kill cost.
pub(super) fn kills(run: &Run) -> Table {
    let mut table = Table::new(&[
        "algorithm",
        "requests",
        "per second",
        "failed",
        "slowest after the kill",
        "seat answers after",
        "keys not home at the end",
    ]);
    for kill in &run.kills {
        table.rows.push(vec![
            kill.algorithm.to_string(),
            grouped(kill.samples.len() as u64),
            grouped(u64::from(kill.rate)),
            grouped(kill.failures()),
            format!("{} ms", short(kill.slowest())),
            back(kill),
            grouped(kill.astray),
        ]);
    }
    table
}

fn sorted(spreads: &[Spread]) -> Vec<&Spread> {
    let mut sorted: Vec<&Spread> = spreads.iter().collect();
    sorted.sort_by_key(|spread| (spread.algorithm, spread.servers.len(), spread.requests));
    sorted
}

fn expected(spread: &Spread, figure: Figure) -> Expected {
    figure.expected(&theory(
        spread.algorithm,
        spread.servers.len(),
        spread.requests,
        spread.repeats,
    ))
}

fn moved(change: &Change) -> String {
    let factor = change.moved() / change.ideal();
    format!("{} ({factor:.2} × ideal)", percent(change.moved()))
}

fn back(kill: &Kill) -> String {
    kill.back()
        .map_or_else(|| "not back".to_owned(), |back| format!("{} ms", short(back)))
}

fn cell<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "not measured".to_owned(), text)
}

// === impl Table ===

impl Table {
    fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }
}
