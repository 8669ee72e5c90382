//! from which server to which the keys went.

use std::collections::HashMap;

use super::axis::{EDGE, LABEL, Sign, VALUE, fitted, head, key};
use crate::{
    Change, ChangeKind, Flow, font,
    number::{grouped, percent, real, real_len},
    palette::Role,
    scene::{Point, Scene, Segment},
};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 330.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 46.0;
/// Between two servers.
const GAP: f64 = 7.0;
/// How thick a server's bar is.
const THICK: f64 = 9.0;
const LEFT: f64 = 92.0;

/// Servers on one side, each with the part of its bar that is not used yet.
struct Side<'c> {
    names: &'c [String],
    tops: HashMap<&'c str, f64>,
    heights: HashMap<&'c str, f64>,
    used: HashMap<&'c str, f64>,
}

/// The chart of one change.
pub(super) fn chart(change: &Change) -> Option<Scene> {
    let keys = change.keys();
    if keys == 0 {
        return None;
    }
    let (word, number) = match change.kind {
        ChangeKind::Removal => ("left", "A-3"),
        ChangeKind::Addition => ("joined", "A-4"),
    };
    let mut scene = Scene::new(
        WIDTH,
        HEIGHT,
        format!("{number}, {}: {} {word}", change.algorithm, change.server),
    );
    let factor = change.moved() / change.ideal();
    let subtitle = format!("{} moved, {factor:.2} × ideal", percent(change.moved()));
    head(&mut scene, change.algorithm.as_str(), &subtitle);

    let servers = change.before.len().max(change.after.len());
    let room = HEIGHT - TOP - BOTTOM - GAP * real_len(servers.saturating_sub(1));
    let per_key = room / real(keys);
    let mut from = Side::new(&change.before, change, per_key, |flow| &flow.from);
    let mut to = Side::new(&change.after, change, per_key, |flow| &flow.to);
    let (left, right) = (LEFT, WIDTH - LEFT - THICK);
    for flow in ordered(change) {
        let height = real(flow.keys) * per_key;
        let (y1, y2) = (from.take(&flow.from, height), to.take(&flow.to, height));
        let (role, opacity) = if flow.from == flow.to {
            (Role::Kept, 0.75)
        } else if change.is_needful(flow) {
            (Role::Of(change.algorithm), 0.8)
        } else {
            (Role::Needless, 0.9)
        };
        let share = percent(real(flow.keys) / real(keys));
        let hint = format!("{} to {}: {} keys, {share}", flow.from, flow.to, grouped(flow.keys));
        let ribbon = ribbon((left + THICK, y1), (right, y2), height.max(0.4));
        scene.area(ribbon, role).opacity(opacity).hint(hint);
    }
    from.draw(&mut scene, left, change, true);
    to.draw(&mut scene, right, change, false);
    scene.text((left + THICK, TOP - 8.0), LABEL.end(), "keys before");
    scene.text((right, TOP - 8.0), LABEL, "keys after");
    key(
        &mut scene,
        (EDGE, HEIGHT - 10.0),
        &[
            (Sign::Box(Role::Kept), "stayed"),
            (Sign::Box(Role::Of(change.algorithm)), "had to move"),
            (Sign::Box(Role::Needless), "needless"),
        ],
    );
    scene.description = format!(
        "{} of {} keys moved, {} of them between servers that were there before and after.",
        grouped(change.needful() + change.needless()),
        grouped(keys),
        grouped(change.needless())
    );
    Some(scene)
}

/// By server before, then by server after: so ribbons cross as little as they can. Those that stayed come first, behind all others.
fn ordered(change: &Change) -> Vec<&Flow> {
    let place = |names: &[String], name: &str| names.iter().position(|other| other == name);
    let mut flows: Vec<&Flow> = change.flows.iter().filter(|flow| flow.keys > 0).collect();
    flows.sort_by_key(|flow| {
        (
            flow.from != flow.to,
            place(&change.before, &flow.from),
            place(&change.after, &flow.to),
        )
    });
    flows
}

fn ribbon((x1, y1): Point, (x2, y2): Point, height: f64) -> Vec<Segment> {
    let middle = f64::midpoint(x1, x2);
    vec![
        Segment::Move((x1, y1)),
        Segment::Cubic((middle, y1), (middle, y2), (x2, y2)),
        Segment::Line((x2, y2 + height)),
        Segment::Cubic((middle, y2 + height), (middle, y1 + height), (x1, y1 + height)),
    ]
}

// === impl Side ===

impl<'c> Side<'c> {
    fn new(names: &'c [String], change: &'c Change, per_key: f64, end: impl Fn(&Flow) -> &String) -> Self {
        let (mut tops, mut heights) = (HashMap::new(), HashMap::new());
        let mut y = TOP;
        for name in names {
            let keys: u64 = change
                .flows
                .iter()
                .filter(|flow| end(flow) == name)
                .map(|flow| flow.keys)
                .sum();
            let height = real(keys) * per_key;
            tops.insert(name.as_str(), y);
            heights.insert(name.as_str(), height);
            y += height + GAP;
        }
        Self {
            names,
            tops,
            heights,
            used: HashMap::new(),
        }
    }

    /// The next part of a server's bar.
    fn take(&mut self, name: &'c str, height: f64) -> f64 {
        let used = self.used.entry(name).or_default();
        let y = self.tops.get(name).copied().unwrap_or(TOP) + *used;
        *used += height;
        y
    }

    fn draw(&self, scene: &mut Scene, x: f64, change: &Change, left: bool) {
        // Names of servers with few keys would lie on each other: each is pushed below the one before it.
        let mut free = f64::NEG_INFINITY;
        for name in self.names {
            let (top, height) = (self.tops[name.as_str()], self.heights[name.as_str()]);
            scene.rect((x, top), (THICK, height.max(1.0)), Role::Muted);
            let keys: u64 = change
                .flows
                .iter()
                .filter(|flow| if left { &flow.from } else { &flow.to } == name)
                .map(|flow| flow.keys)
                .sum();
            let y = (top + height / 2.0 + 3.5).max(free + 11.5);
            free = y;
            let count = grouped(keys);
            let style = if *name == change.server { VALUE.bold() } else { VALUE };
            let room = LEFT - EDGE - 6.0 - font::width(&format!("  {count}"), style.size, style.bold);
            let text = format!("{}  {count}", fitted(name, style, room));
            if left {
                scene.text((x - 6.0, y), style.end(), text);
            } else {
                scene.text((x + THICK + 6.0, y), style, text);
            }
        }
    }
}
