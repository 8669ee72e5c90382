//! The overview of: how many keys moved, how many of them had to, and the ideal.

use super::axis::{EDGE, LABEL, Linear, Plot, Sign, VALUE, head, key, outlined};
use crate::{
    Change, ChangeKind,
    measured::Run,
    number::{grouped, percent, real, real_len},
    palette::Role,
    scene::Scene,
};

const WIDTH: f64 = 420.0;
const BAR: f64 = 14.0;
const ROW: f64 = 20.0;
const GROUP: f64 = 24.0;

/// The chart of all changes.
pub(super) fn chart(run: &Run) -> Option<Scene> {
    let groups: Vec<(ChangeKind, Vec<&Change>)> = [ChangeKind::Removal, ChangeKind::Addition]
        .into_iter()
        .map(|kind| {
            let mut changes: Vec<&Change> = run.changes.iter().filter(|change| change.kind == kind).collect();
            changes.sort_by_key(|change| change.algorithm);
            (kind, changes)
        })
        .filter(|(_, changes)| !changes.is_empty())
        .collect();
    let keys = groups.first()?.1.first()?.keys();
    let rows: usize = groups.iter().map(|(_, changes)| changes.len()).sum();
    let most = run
        .changes
        .iter()
        .map(|change| change.moved().max(change.ideal()) * 100.0);
    // Room to the right for what is written there.
    let scale = Linear::to(most.fold(0.0, f64::max) * 1.55, 4.0);

    let height = 62.0 + ROW * real_len(rows) + GROUP * real_len(groups.len()) + 62.0;
    let mut scene = Scene::new(WIDTH, height, "Keys that moved");
    let subtitle = format!("of {} keys, when a server left or joined", grouped(keys));
    head(&mut scene, "Keys that moved", &subtitle);
    let plot = Plot {
        left: 92.0,
        top: 50.0,
        width: WIDTH - 92.0 - EDGE - 8.0,
        height: height - 50.0 - 62.0,
    };
    plot.bottom_axis(&mut scene, scale, " %");
    let mut y = plot.top + 6.0;
    for (kind, changes) in &groups {
        y = group(&mut scene, &plot, scale, y, *kind, changes);
    }
    plot.ground(&mut scene);
    let middle = plot.left + plot.width / 2.0;
    scene.text((middle, plot.bottom() + 31.0), LABEL.middle(), "share of all keys (%)");
    let needful = run.algorithms();
    let mut signs: Vec<(Sign, &str)> = vec![
        (Sign::Box(Role::Needless), "moved needlessly"),
        (Sign::Dashed(Role::Ink), "ideal: one server's share"),
    ];
    if !needful.is_empty() {
        signs.insert(0, (Sign::Box(Role::Muted), "had to move"));
    }
    key(&mut scene, (EDGE, height - 10.0), &signs);
    Some(scene)
}

/// The bars of one change. Gives where the next begin.
fn group(scene: &mut Scene, plot: &Plot, scale: Linear, top: f64, kind: ChangeKind, changes: &[&Change]) -> f64 {
    let Some(first) = changes.first() else { return top };
    let (before, after) = (first.before.len(), first.after.len());
    let word = match kind {
        ChangeKind::Removal => "left",
        ChangeKind::Addition => "joined",
    };
    let title = format!("A server {word}: {before} to {after}");
    scene.text((EDGE, top + 14.0), LABEL.bold(), title);
    let x = |share: f64| plot.left + share * 100.0 / scale.max * plot.width;
    let from = top + GROUP - 2.0;
    let to = from + ROW * real_len(changes.len()) - 2.0;
    for (at, change) in changes.iter().enumerate() {
        let y = from + ROW * real_len(at) + (ROW - BAR) / 2.0;
        scene.text((EDGE, y + 11.0), VALUE.bold(), change.algorithm.as_str());
        let keys = real(change.keys().max(1));
        let (needful, needless) = (real(change.needful()) / keys, real(change.needless()) / keys);
        let hint = format!("{}: {} had to move", change.algorithm, percent(needful));
        let length = x(needful) - x(0.0);
        scene
            .rect((x(0.0), y), (length, BAR), Role::Of(change.algorithm))
            .hint(hint);
        if needless > 0.0 {
            outlined(scene, (x(needful), y), (x(needless) - x(0.0), BAR), Role::Needless);
        }
        let factor = change.moved() / change.ideal();
        let text = format!("{}, {factor:.2} × ideal", percent(change.moved()));
        scene.text(
            (x(change.moved().max(change.ideal())) + 8.0, y + 11.0),
            VALUE,
            text.clone(),
        );
        scene.describe(&format!("{} {word}: {text}. ", change.algorithm));
    }
    let ideal = x(first.ideal());
    scene.dashed(vec![(ideal, from - 2.0), (ideal, to + 2.0)], 1.5, Role::Ink);
    to + 4.0
}
