//! `summary.md`: the figures for those who read text.

use super::{
    path,
    tables::{self, Table},
};
use crate::{
    ChangeKind, Run,
    charts::{Chart, Section},
    number::{each, grouped},
};

/// The whole summary.
pub(super) fn summary(run: &Run, charts: &[Chart]) -> String {
    let mut text = format!("# How requests spread, what moves, what breaks\n\n{}\n\n", about(run));
    text += &each(verdicts(run), |line| format!("- {line}\n"));
    if charts.iter().any(|chart| chart.section == Section::Cover) {
        text += "\n![Balance and movement of four algorithms](cover.svg)\n";
    }
    let parts = [
        ("Overview", Section::Overview, tables::overview(run)),
        (
            "Requests per server (A-1, A-2)",
            Section::Counts(3),
            tables::counts(run),
        ),
        (
            "Scatter against the number of servers (A-2)",
            Section::Scatter,
            tables::scatter(run),
        ),
        ("Classroom, measured and exact", Section::Exact, tables::classroom(run)),
        (
            "After removing a server (A-3)",
            Section::Removal,
            tables::changes(run, ChangeKind::Removal),
        ),
        (
            "After adding a server (A-4)",
            Section::Addition,
            tables::changes(run, ChangeKind::Addition),
        ),
        ("A server is killed", Section::Kill, tables::kills(run)),
    ];
    for (title, section, table) in parts {
        text.extend(["\n## ", title, "\n"]);
        if table.rows.is_empty() {
            text += "Nothing was measured.\n";
            continue;
        }
        text += &write(&table);
        let links: Vec<String> = charts
            .iter()
            .filter(|chart| same(chart.section, section))
            .map(|chart| format!("[{}]({})", chart.name, path(chart, "svg")))
            .collect();
        if !links.is_empty() {
            text.extend(["\nCharts: ", &links.join(", "), "\n"]);
        }
    }
    text += "\nRaw data: [data.json](data.json), [requests.csv](data/requests.csv), [scatter.csv](data/scatter.csv), \
             [moves.csv](data/moves.csv), [kills.csv](data/kills.csv). The page with all pictures: [index.html](index.html).\n";
    text
}

/// When, where and how.
pub(super) fn about(run: &Run) -> String {
    let (about, setup) = (&run.about, &run.setup);
    let load = about.load.map_or_else(String::new, |[before, after]| {
        format!(", load average {before:.1} before and {after:.1} after")
    });
    format!(
        "`lbpool analyze` {} on {}: {} requests in {:.0} s from {} connections to the pool {} ({}), keys {} with seed {}, on {} \
         cores that load generator, balancer and servers share{load}.",
        about.version,
        about.started,
        grouped(run.requests()),
        about.seconds,
        setup.connections,
        setup.pool,
        setup.url,
        setup.keys,
        setup.seed,
        about.cores,
    )
}

/// What must be true of a run, and whether it is.
pub(super) fn verdicts(run: &Run) -> Vec<String> {
    let check = run.check();
    let mut lines = Vec::new();
    lines.push(if check.is_good() {
        format!(
            "Self-check passed: all {} answers came from the server that the table of the servers' names has for their key.",
            grouped(check.compared)
        )
    } else {
        format!(
            "**Self-check FAILED**: {} of {} answers came from another server than the table has; first: {}",
            grouped(check.differing),
            grouped(check.compared),
            check.first.unwrap_or_default()
        )
    });
    lines.push(format!(
        "{} of {} requests failed.",
        grouped(run.failures()),
        grouped(run.requests())
    ));
    for failed in &run.failed {
        lines.push(format!(
            "**Could not be done**: {}, {}: {}",
            failed.algorithm, failed.experiment, failed.reason
        ));
    }
    lines
}

fn same(a: Section, b: Section) -> bool {
    a == b || matches!((a, b), (Section::Counts(_), Section::Counts(_)))
}

fn write(table: &Table) -> String {
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
    let rule = format!("|{}\n", "---|".repeat(table.head.len()));
    let rows: String = table.rows.iter().map(|cells| row(cells)).collect();
    format!("{}{rule}{rows}", row(&table.head))
}
