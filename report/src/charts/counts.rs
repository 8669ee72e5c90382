//! how many requests each server answered, beside what theory expects.

use super::axis::{EDGE, LABEL, Linear, Plot, Sign, TICK, VALUE, fitted, head, key};
use crate::{
    Algorithm, Spread,
    measured::Run,
    number::{grouped, real, real_len},
    palette::Role,
    scene::Scene,
    theory::theory,
};

const WIDTH: f64 = 300.0;
const HEAD: f64 = 46.0;
/// One number of requests: its label, bars, and names of servers.
const PANEL: f64 = 148.0;
const FOOT: f64 = 34.0;

/// The chart of one algorithm and number of servers; the scale is that of all algorithms with as many.
pub(super) fn chart(run: &Run, algorithm: Algorithm, servers: usize) -> Option<Scene> {
    let of = |spread: &&Spread| spread.servers.len() == servers;
    let mut spreads: Vec<&Spread> = run
        .spreads
        .iter()
        .filter(of)
        .filter(|spread| spread.algorithm == algorithm)
        .collect();
    spreads.sort_by_key(|spread| spread.requests);
    let names = &spreads.first()?.servers;
    let most = run.spreads.iter().filter(of).filter_map(|spread| {
        let most = real(*spread.counts.iter().max()?);
        Some(most / real(spread.requests.max(1)))
    });
    let most = most.fold(0.0, f64::max);

    let height = HEAD + PANEL * real_len(spreads.len()) + FOOT;
    let mut scene = Scene::new(
        WIDTH,
        height,
        format!("{algorithm}, {servers} servers: requests per server"),
    );
    head(&mut scene, algorithm.as_str(), &format!("{servers} servers"));
    let (prefix, names) = super::short_names(names);
    for (at, spread) in spreads.iter().enumerate() {
        panel(&mut scene, HEAD + PANEL * real_len(at), spread, &names, most);
        scene.describe(&describe(spread));
    }
    let foot = height - FOOT;
    scene.text(
        (WIDTH / 2.0 + 15.0, foot + 6.0),
        LABEL.middle(),
        super::servers_label(prefix),
    );
    key(
        &mut scene,
        (EDGE, foot + 26.0),
        &[
            (Sign::Box(Role::Of(algorithm)), "answered"),
            (Sign::Line(Role::Ink), "expected by theory"),
        ],
    );
    Some(scene)
}

fn panel(scene: &mut Scene, top: f64, spread: &Spread, names: &[&str], most: f64) {
    let plot = Plot {
        left: 46.0,
        top: top + 26.0,
        width: WIDTH - 46.0 - EDGE,
        height: PANEL - 26.0 - 30.0,
    };
    let label = format!("requests answered, of {}", grouped(spread.requests));
    scene.text((EDGE, top + 8.0), LABEL, label);
    let scale = Linear::to(most * real(spread.requests), 3.0);
    plot.left_axis(scene, scale);
    let expected = theory(spread.algorithm, names.len(), spread.requests, spread.repeats).counts;
    let slot = plot.width / real_len(names.len().max(1));
    let bar = (slot * 0.62).min(44.0);
    for (at, ((name, count), expected)) in names.iter().zip(&spread.counts).zip(expected).enumerate() {
        let middle = plot.left + slot * (real_len(at) + 0.5);
        let height = real(*count) / scale.max * plot.height;
        let hint = format!(
            "{}: {} answered, {expected:.0} expected",
            spread.servers[at],
            grouped(*count)
        );
        let corner = (middle - bar / 2.0, plot.bottom() - height);
        scene.rect(corner, (bar, height), Role::Of(spread.algorithm)).hint(hint);
        let line = plot.bottom() - expected / scale.max * plot.height;
        let reach = bar / 2.0 + 3.0;
        scene.line(vec![(middle - reach, line), (middle + reach, line)], 1.5, Role::Ink);
        let above = (plot.bottom() - height).min(line) - 4.0;
        scene.text((middle, above), VALUE.middle(), grouped(*count));
        scene.text(
            (middle, plot.bottom() + 14.0),
            TICK.middle(),
            fitted(name, TICK, slot - 2.0),
        );
    }
    plot.ground(scene);
}

fn describe(spread: &Spread) -> String {
    let counts = spread.servers.iter().zip(&spread.counts);
    let counts: Vec<String> = counts
        .map(|(server, count)| format!("{server} {}", grouped(*count)))
        .collect();
    format!("Of {} requests: {}. ", grouped(spread.requests), counts.join(", "))
}
