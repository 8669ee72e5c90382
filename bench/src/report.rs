//! The results as text: JSON lines for programs, a table for people.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};

use crate::{
    figures::{Row, Sample, Verdict, figure, verdicts},
    workload::Workload,
};

const BEGIN: &str = "<!-- bench -->";
const END: &str = "<!-- /bench -->";

/// What a contestant is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ours is to be better than it.
    Rival,
    /// Nothing can be better than it.
    Floor,
    /// It is there to be known: ours, another build of it, others.
    Beside,
}

/// What was measured, and what was not.
#[derive(Debug, Default)]
pub struct Results {
    pub machine: String,
    pub workers: usize,
    /// Name and version of each contestant, ours first, and what it is there for.
    pub contestants: Vec<(String, String, Role)>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
    pub samples: Vec<Sample>,
}

/// Where samples go while they are taken.
pub struct Lines(fs::File);

impl Lines {
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("latest.jsonl");
        Ok(Self(
            fs::File::create(&path).with_context(|| format!("writing {}", path.display()))?,
        ))
    }

    pub fn add(&mut self, sample: &Sample) -> anyhow::Result<()> {
        writeln!(self.0, "{}", serde_json::to_string(sample)?)?;
        Ok(())
    }
}

impl Results {
    /// What came out under a load, by contestant.
    pub fn rows(&self, workload: &Workload) -> Vec<Row> {
        let names = self.contestants.iter().map(|(name, ..)| name);
        names
            .filter_map(|name| Row::of(&self.samples, workload.name, name))
            .collect()
    }

    /// Which goals are met under a load.
    pub fn verdicts(&self, workload: &Workload) -> Vec<Verdict> {
        let rows = self.rows(workload);
        let of = |role: Role| {
            let named = move |row: &&Row| {
                let mut all = self.contestants.iter();
                all.any(|(name, _, own)| *own == role && *name == row.contestant)
            };
            rows.iter().filter(named)
        };
        let rivals: Vec<&Row> = of(Role::Rival).collect();
        let floor = of(Role::Floor).next();
        let ours = self
            .contestants
            .first()
            .and_then(|(name, ..)| rows.iter().find(|row| row.contestant == *name));
        ours.map(|ours| verdicts(workload, ours, &rivals, floor))
            .unwrap_or_default()
    }

    /// The tables.
    pub fn markdown(&self, workloads: &[Workload]) -> String {
        let mut out = String::new();
        let versions: Vec<String> = self
            .contestants
            .iter()
            .map(|(name, version, _)| format!("{name} {version}"))
            .collect();
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{}. {}; {} threads each. Load, contestant and origin share the cores. Medians over rounds in turns.\n",
            versions.join(", "),
            self.machine,
            self.workers
        );
        let _ = writeln!(
            out,
            "| load | | CPU us/request | requests/s | at the same rate: CPU us | p50 ms | p99 ms | p99.9 ms | PSS MB |\n\
             |---|---|---|---|---|---|---|---|---|"
        );
        for workload in workloads {
            for (n, row) in self.rows(workload).iter().enumerate() {
                let title = if n == 0 {
                    format!("{}; {}/s", workload.title, row.rate)
                } else {
                    String::new()
                };
                let _ = writeln!(out, "{}", line(&title, row));
            }
        }
        out.push('\n');
        for verdict in workloads.iter().flat_map(|workload| self.verdicts(workload)) {
            let met = verdict
                .met
                .map_or("not known", |met| if met { "met" } else { "missed" });
            let _ = writeln!(out, "- {}: {} ({met})", verdict.goal, verdict.found);
        }
        for skipped in &self.skipped {
            let _ = writeln!(out, "- left out: {skipped}");
        }
        let _ = writeln!(out, "\nMeasured {date}.");
        out
    }

    /// Writes the table to the folder, and into a file that has a place for it.
    pub fn write(&self, workloads: &[Workload], folder: &Path, into: Option<&PathBuf>) -> anyhow::Result<()> {
        let markdown = self.markdown(workloads);
        fs::write(folder.join("latest.md"), &markdown)?;
        if let Some(path) = into {
            let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            fs::write(path, put(&text, &markdown).with_context(|| path.display().to_string())?)?;
        }
        Ok(())
    }
}

fn line(title: &str, row: &Row) -> String {
    let ms = |us: f64| format!("{:.2}", us / 1000.0);
    let mut name = row.contestant.clone();
    if row.failed > 0 {
        let _ = write!(name, " ({} failed)", row.failed);
    }
    if row.kept_up < 0.98 {
        let _ = write!(name, " (kept up with {:.0} %)", 100.0 * row.kept_up);
    }
    format!(
        "| {title} | {name} | {:.1} | {:.0} | {:.1} | {} | {} | {} | {:.1} |",
        row.cpu,
        row.per_second,
        row.cpu_at_rate,
        ms(row.p50),
        ms(row.p99),
        ms(row.p999),
        figure(row.memory_bytes) / 1e6
    )
}

/// Puts a table where the marks are.
fn put(text: &str, table: &str) -> anyhow::Result<String> {
    let place = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    ensure!(place.is_some(), "no place for the table: {BEGIN} and {END}");
    let (before, after) = place.unwrap_or_default();
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_replaces_what_is_between_the_marks() {
        let text = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(put(&text, "new\n").unwrap(), format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert!(put("a", "new").is_err());
    }
}
