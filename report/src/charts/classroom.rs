//! Classroom's counts, measured and exact, for every number of servers.

use super::axis::{EDGE, LABEL, Linear, Plot, Sign, VALUE, fitted, head, key};
use crate::{
    Algorithm, Spread,
    measured::Run,
    number::{grouped, real, real_len, tenths, whole},
    palette::Role,
    scene::Scene,
    theory::theory,
};

const WIDTH: f64 = 420.0;
const ROW: f64 = 17.0;
const GROUP: f64 = 22.0;
/// What counts are told per, as the assignment does.
const PER: f64 = 10_000.0;

/// The chart, of the greatest number of requests for each number of servers.
pub(super) fn chart(run: &Run) -> Option<Scene> {
    let mut spreads: Vec<&Spread> = run
        .spreads
        .iter()
        .filter(|spread| spread.algorithm == Algorithm::Classroom && spread.servers.len() < 7)
        .collect();
    spreads.sort_by_key(|spread| (spread.servers.len(), std::cmp::Reverse(spread.requests)));
    spreads.dedup_by_key(|spread| spread.servers.len());
    let requests = spreads.first()?.requests;
    let rows: usize = spreads.iter().map(|spread| spread.servers.len()).sum();
    let height = 50.0 + ROW * real_len(rows) + GROUP * real_len(spreads.len()) + 58.0;
    let mut scene = Scene::new(WIDTH, height, "Classroom: measured and exact");
    let subtitle = format!(
        "requests per server, per 10,000, from {} requests each",
        grouped(requests)
    );
    head(&mut scene, "Classroom: measured and exact", &subtitle);
    let scale = Linear::to(PER, 4.0);
    let plot = Plot {
        left: 78.0,
        top: 46.0,
        width: WIDTH - 78.0 - 122.0,
        height: height - 46.0 - 58.0,
    };
    plot.bottom_axis(&mut scene, scale, "");
    let mut y = plot.top;
    for spread in spreads {
        y = group(&mut scene, &plot, scale, y, spread);
    }
    plot.ground(&mut scene);
    let middle = plot.left + plot.width / 2.0;
    scene.text((middle, plot.bottom() + 31.0), LABEL.middle(), "requests per 10,000");
    key(
        &mut scene,
        (EDGE, height - 8.0),
        &[
            (Sign::Box(Role::Of(Algorithm::Classroom)), "measured"),
            (Sign::Line(Role::Ink), "exact, from the assignment's functions"),
        ],
    );
    Some(scene)
}

/// The bars of one number of servers. Gives where the next begin.
fn group(scene: &mut Scene, plot: &Plot, scale: Linear, top: f64, spread: &Spread) -> f64 {
    let servers = spread.servers.len();
    scene.text((EDGE, top + 15.0), LABEL.bold(), format!("{servers} servers"));
    let exact = theory(Algorithm::Classroom, servers, spread.requests, spread.repeats).counts;
    let per = PER / real(spread.requests.max(1));
    let mut y = top + GROUP;
    for ((server, count), exact) in spread.servers.iter().zip(&spread.counts).zip(exact) {
        let (measured, exact) = (real(*count) * per, exact * per);
        let x = |value: f64| plot.left + value / scale.max * plot.width;
        scene.text(
            (plot.left - 8.0, y + 11.0),
            LABEL.end(),
            fitted(server, LABEL, plot.left - 8.0 - EDGE),
        );
        scene.rect(
            (plot.left, y + 2.0),
            (x(measured) - plot.left, ROW - 5.0),
            Role::Of(Algorithm::Classroom),
        );
        scene.line(vec![(x(exact), y), (x(exact), y + ROW - 1.0)], 1.5, Role::Ink);
        let text = format!("{}, exact {}", grouped(whole(measured)), tenths(exact));
        scene.text((WIDTH - EDGE, y + 11.0), VALUE.end(), text.clone());
        scene.describe(&format!("{servers} servers, {server}: {text}. "));
        y += ROW;
    }
    y
}
