//! The pictures of the report. Each is small enough for a phone and says by itself what its axes and colours mean.

mod axis;
mod classroom;
mod counts;
mod flow;
mod kill;
mod moved;
mod scatter;
mod shares;

use crate::{Algorithm, measured::Run, scene::Scene};

pub(crate) use scatter::Figure;

/// Where a picture stands in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The main picture, for other documents.
    Cover,
    /// What matters most.
    Overview,
    /// requests per server; so many servers.
    Counts(usize),
    /// A-2, scatter against the number of servers.
    Scatter,
    /// Classroom against the exact counts.
    Exact,
    /// A-3, a server left.
    Removal,
    /// A-4, a server joined.
    Addition,
    /// A server was killed.
    Kill,
}

/// A picture with its name.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Name of its files, without an ending.
    pub name: String,
    /// Where it stands.
    pub section: Section,
    /// The picture.
    pub scene: Scene,
}

/// Numbers of servers of which requests per server are shown.
pub(crate) const COUNTED: [usize; 3] = [3, 5, 7];

/// All pictures that a run has the data for.
#[must_use]
pub fn charts(run: &Run) -> Vec<Chart> {
    let mut charts = Vec::new();
    let mut add = |name: String, section: Section, scene: Option<Scene>| {
        charts.extend(scene.map(|scene| Chart { name, section, scene }));
    };
    let (shares, moved) = (shares::chart(run), moved::chart(run));
    let cover = shares
        .clone()
        .zip(moved.clone())
        .map(|(shares, moved)| shares.beside(moved, 16.0));
    add("cover".to_owned(), Section::Cover, cover);
    add("shares".to_owned(), Section::Overview, shares);
    add("moved".to_owned(), Section::Overview, moved);
    for servers in COUNTED {
        for algorithm in Algorithm::ALL {
            let name = format!("counts-{servers}-{}", algorithm.slug());
            add(name, Section::Counts(servers), counts::chart(run, algorithm, servers));
        }
    }
    for figure in [Figure::Deviation, Figure::Spread] {
        add(figure.slug().to_owned(), Section::Scatter, scatter::chart(run, figure));
    }
    add("classroom-exact".to_owned(), Section::Exact, classroom::chart(run));
    for change in &run.changes {
        let (section, word) = match change.kind {
            crate::ChangeKind::Removal => (Section::Removal, "removal"),
            crate::ChangeKind::Addition => (Section::Addition, "addition"),
        };
        let name = format!("{word}-{}", change.algorithm.slug());
        add(name, section, flow::chart(change));
    }
    for kill in &run.kills {
        let name = format!("kill-{}", kill.algorithm.slug());
        add(name, Section::Kill, kill::chart(kill));
    }
    charts
}

/// Names without what all of them begin with, and that beginning: `demo-` and `0`, `1`, `2`.
fn short_names(names: &[String]) -> (&str, Vec<&str>) {
    let first = names.first().map_or("", String::as_str);
    let shared = names.iter().fold(first.len(), |shared, name| {
        let same = name.bytes().zip(first.bytes()).take_while(|(a, b)| a == b).count();
        shared.min(same)
    });
    // Only whole words are left out, and never all of a name.
    let cut = first[..shared].rfind('-').map_or(0, |at| at + 1);
    if names.len() < 2 || names.iter().any(|name| name.len() <= cut) {
        return ("", names.iter().map(String::as_str).collect());
    }
    (&first[..cut], names.iter().map(|name| &name[cut..]).collect())
}

/// `demo-...` as the label of an axis of servers.
fn servers_label(prefix: &str) -> String {
    if prefix.is_empty() {
        "server".to_owned()
    } else {
        format!("server ({prefix}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_they_share_and_no_more() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(short_names(&names(&["demo-0", "demo-10"])), ("demo-", vec!["0", "10"]));
        assert_eq!(short_names(&names(&["S1", "S10"])), ("", vec!["S1", "S10"]));
        assert_eq!(short_names(&names(&["demo-0"])), ("", vec!["demo-0"]));
        assert_eq!(short_names(&names(&["a-", "a-1"])), ("", vec!["a-", "a-1"]));
    }
}
