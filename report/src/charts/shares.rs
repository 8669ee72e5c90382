//! The overview of balance: each server as a dot at its share of the requests.

use super::axis::{EDGE, LABEL, Linear, Plot, Sign, VALUE, head, key};
use crate::{
    Algorithm, Spread,
    measured::Run,
    number::{grouped, real, real_len},
    palette::Role,
    scene::Scene,
};

const WIDTH: f64 = 420.0;
const ROW: f64 = 52.0;
/// Shown where it was measured: more is harder to read, fewer says less.
const SERVERS: usize = 5;

/// The chart, of the greatest number of requests to five servers.
pub(super) fn chart(run: &Run) -> Option<Scene> {
    let spreads: Vec<&Spread> = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| run.largest(algorithm, SERVERS))
        .collect();
    let requests = spreads.first()?.requests;
    let shares = |spread: &Spread| -> Vec<f64> {
        let all = real(spread.requests.max(1));
        spread.counts.iter().map(|count| real(*count) / all * 100.0).collect()
    };
    let most = spreads.iter().flat_map(|spread| shares(spread)).fold(20.0, f64::max);
    let scale = Linear::to(most, 4.0);

    let height = 62.0 + ROW * real_len(Algorithm::ALL.len()) + 62.0;
    let mut scene = Scene::new(WIDTH, height, format!("How requests spread over {SERVERS} servers"));
    let subtitle = format!(
        "each server's share of {} requests; further right is busier",
        grouped(requests)
    );
    let title = scene.title.clone();
    head(&mut scene, &title, &subtitle);
    let plot = Plot {
        left: 92.0,
        top: 62.0,
        width: WIDTH - 92.0 - EDGE - 8.0,
        height: height - 62.0 - 62.0,
    };
    plot.bottom_axis(&mut scene, scale, " %");
    let x = |share: f64| plot.left + share / scale.max * plot.width;
    let even = 100.0 / real_len(SERVERS);
    scene.dashed(
        vec![(x(even), plot.top - 8.0), (x(even), plot.bottom())],
        1.5,
        Role::Ink,
    );
    for (at, algorithm) in Algorithm::ALL.into_iter().enumerate() {
        let middle = plot.top + ROW * (real_len(at) + 0.5);
        scene.text((EDGE, middle + 4.0), VALUE.bold(), algorithm.as_str());
        let Some(spread) = spreads.iter().find(|spread| spread.algorithm == algorithm) else {
            scene.text((plot.left + 6.0, middle + 4.0), LABEL, "not measured");
            continue;
        };
        let shares = shares(spread);
        for (share, server) in shares.iter().zip(&spread.servers) {
            scene.disc((x(*share), middle), 6.5, Role::Surface);
            scene
                .disc((x(*share), middle), 5.5, Role::Of(algorithm))
                .hint(format!("{server}: {share:.1} %"));
        }
        let (least, greatest) = shares.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), share| {
            (low.min(*share), high.max(*share))
        });
        let range = format!("{least:.1} to {greatest:.1} %");
        scene.text((x(even) + 12.0, middle - 10.0), LABEL, range.clone());
        scene.describe(&format!("{algorithm}: {range}. "));
    }
    plot.ground(&mut scene);
    let foot = plot.bottom();
    scene.text(
        (plot.left + plot.width / 2.0, foot + 31.0),
        LABEL.middle(),
        "share of the requests (%)",
    );
    key(
        &mut scene,
        (EDGE, height - 10.0),
        &[
            (Sign::Dot(Role::Muted), "a server"),
            (Sign::Dashed(Role::Ink), "even shares"),
        ],
    );
    Some(scene)
}
