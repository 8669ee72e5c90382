//! how uneven the counts are, against the number of servers, beside what theory expects.

use super::axis::{EDGE, LABEL, Log, Plot, Sign, TICK, head, key};
use crate::{
    Algorithm, Spread,
    measured::Run,
    number::{grouped, real, real_len, short, whole},
    palette::Role,
    scene::Scene,
    stats,
    theory::{Expected, Theory, theory},
};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 340.0;
/// From one algorithm to the next, where they share a number of servers.
const STEP: f64 = 12.5;

/// How unevenness is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The standard deviation.
    Deviation,
    /// The greatest less the least.
    Spread,
}

/// A number of requests to a number of servers, and what theory says of it.
struct Point<'r> {
    spread: &'r Spread,
    measured: f64,
    expected: Expected,
}

/// The chart of one figure, of the greatest number of requests for each number of servers.
pub(super) fn chart(run: &Run, figure: Figure) -> Option<Scene> {
    let points = points(run, figure);
    let requests = points.iter().map(|point| point.spread.requests).max()?;
    let mut servers: Vec<usize> = points.iter().map(|point| point.spread.servers.len()).collect();
    servers.sort_unstable();
    servers.dedup();

    let mut scene = Scene::new(
        WIDTH,
        HEIGHT,
        format!("{} against the number of servers", figure.title()),
    );
    head(&mut scene, figure.title(), figure.explained());
    let plot = Plot {
        left: 56.0,
        top: 86.0,
        width: WIDTH - 56.0 - EDGE,
        height: HEIGHT - 86.0 - 60.0,
    };
    scene.text(
        (EDGE, 76.0),
        LABEL,
        format!("requests, of {} (logarithmic)", grouped(requests)),
    );
    let values = points
        .iter()
        .flat_map(|point| [point.measured, point.expected.mean, point.expected.high]);
    let scale = Log::around(values);
    plot.log_axis(&mut scene, scale, |value| grouped(whole(value)));
    let slot = plot.width / real_len(servers.len());
    for (at, count) in servers.iter().enumerate() {
        let x = plot.left + slot * (real_len(at) + 0.5);
        scene.text((x, plot.bottom() + 15.0), TICK.middle(), count.to_string());
        for point in points.iter().filter(|point| point.spread.servers.len() == *count) {
            let algorithm = point.spread.algorithm;
            let place = Algorithm::ALL.iter().position(|other| *other == algorithm).unwrap_or(0);
            mark(&mut scene, &plot, scale, x + (real_len(place) - 1.5) * STEP, point);
        }
    }
    plot.ground(&mut scene);
    let middle = plot.left + plot.width / 2.0;
    scene.text((middle, plot.bottom() + 31.0), LABEL.middle(), "number of servers");
    let signs: Vec<_> = run
        .algorithms()
        .into_iter()
        .map(|algorithm| (Sign::Dot(Role::Of(algorithm)), algorithm.as_str()))
        .collect();
    key(&mut scene, (EDGE, 56.0), &signs);
    key(
        &mut scene,
        (EDGE, HEIGHT - 10.0),
        &[
            (Sign::Line(Role::Ink), "theory's mean"),
            (Sign::Box(Role::Kept), "95 % of all runs, by theory"),
        ],
    );
    scene.description = points.iter().map(|point| describe(point, figure)).collect();
    Some(scene)
}

fn points(run: &Run, figure: Figure) -> Vec<Point<'_>> {
    let mut points: Vec<Point<'_>> = Vec::new();
    for algorithm in Algorithm::ALL {
        let mut spreads: Vec<&Spread> = run
            .spreads
            .iter()
            .filter(|spread| spread.algorithm == algorithm)
            .collect();
        spreads.sort_by_key(|spread| (spread.servers.len(), std::cmp::Reverse(spread.requests)));
        spreads.dedup_by_key(|spread| spread.servers.len());
        points.extend(spreads.into_iter().map(|spread| Point {
            spread,
            measured: figure.of(&spread.counts),
            expected: figure.expected(&theory(
                spread.algorithm,
                spread.servers.len(),
                spread.requests,
                spread.repeats,
            )),
        }));
    }
    points
}

fn mark(scene: &mut Scene, plot: &Plot, scale: Log, x: f64, point: &Point<'_>) {
    let y = |value: f64| plot.bottom() - scale.at(value) * plot.height;
    let Expected { mean, low, high } = point.expected;
    scene.rect((x - 4.0, y(high)), (8.0, (y(low) - y(high)).max(1.0)), Role::Kept);
    scene.line(vec![(x - 6.0, y(mean)), (x + 6.0, y(mean))], 1.5, Role::Ink);
    let hint = format!(
        "{}, {} servers: {} measured, {} expected ({} to {})",
        point.spread.algorithm,
        point.spread.servers.len(),
        short(point.measured),
        short(mean),
        short(low),
        short(high)
    );
    scene.disc((x, y(point.measured)), 5.0, Role::Surface);
    scene
        .disc((x, y(point.measured)), 4.0, Role::Of(point.spread.algorithm))
        .hint(hint);
}

fn describe(point: &Point<'_>, figure: Figure) -> String {
    format!(
        "{} with {} servers: {} {}, expected {}. ",
        point.spread.algorithm,
        point.spread.servers.len(),
        figure.slug(),
        short(point.measured),
        short(point.expected.mean)
    )
}

// === impl Figure ===

impl Figure {
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Deviation => "deviation",
            Self::Spread => "spread",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Deviation => "Standard deviation",
            Self::Spread => "Spread",
        }
    }

    const fn explained(self) -> &'static str {
        match self {
            Self::Deviation => "of the requests per server",
            Self::Spread => "requests of the server with the most, less those of the one with the fewest",
        }
    }

    pub(crate) fn of(self, counts: &[u64]) -> f64 {
        match self {
            Self::Deviation => stats::deviation(counts),
            Self::Spread => real(stats::spread(counts)),
        }
    }

    pub(crate) const fn expected(self, theory: &Theory) -> Expected {
        match self {
            Self::Deviation => theory.deviation,
            Self::Spread => theory.spread,
        }
    }
}
