//! A server is killed under load: how long requests took, and which failed, around that moment.

use super::axis::{EDGE, LABEL, Log, Plot, Sign, TICK, head, key};
use crate::{
    Kill,
    number::{grouped, real, short},
    palette::Role,
    scene::Scene,
    timeline::{Bin, bins},
};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 338.0;
/// Parts of the time line.
const BINS: usize = 100;

/// The chart of one kill.
pub(super) fn chart(kill: &Kill) -> Option<Scene> {
    let bins = bins(&kill.samples, BINS);
    let (first, last) = (bins.first()?.from, bins.last()?.to);
    let mut scene = Scene::new(
        WIDTH,
        HEIGHT,
        format!("{}: {} is killed under load", kill.algorithm, kill.victim),
    );
    let back = kill.back().map_or_else(
        || "not back".to_owned(),
        |back| format!("its seat answers again after {} ms", short(back)),
    );
    let failed = grouped(kill.failures());
    let subtitle = format!("{} requests/s, {failed} failed; {back}", grouped(u64::from(kill.rate)));
    head(&mut scene, kill.algorithm.as_str(), &subtitle);
    scene.description = format!("{}. The slowest answer took {} ms.", subtitle, short(kill.slowest()));

    let plot = Plot {
        left: 52.0,
        top: 84.0,
        width: WIDTH - 52.0 - EDGE,
        height: 140.0,
    };
    let x = |at: f64| plot.left + (at - first) / (last - first).max(1.0) * plot.width;
    away(&mut scene, &plot, kill.back().unwrap_or(last), x);
    let answered = bins.iter().filter(|bin| bin.answered > 0);
    let scale = Log::around(answered.clone().flat_map(|bin| [bin.median, bin.slowest]));
    plot.log_axis(&mut scene, scale, decimal);
    scene.text((EDGE, 60.0), LABEL, "time to the answer, in ms (logarithmic)");
    let y = |value: f64| plot.bottom() - scale.at(value) * plot.height;
    for bin in answered {
        let (left, width) = (x(bin.from), (x(bin.to) - x(bin.from)) * 0.8);
        let (top, bottom) = (y(bin.slowest), y(bin.median));
        let hint = format!(
            "{:.2} s: median {} ms, slowest {} ms, {} answered",
            bin.from / 1000.0,
            short(bin.median),
            short(bin.slowest),
            bin.answered
        );
        let role = Role::Of(kill.algorithm);
        scene
            .rect((left, top), (width, bottom - top), role)
            .opacity(0.45)
            .hint(hint);
        scene.rect((left, bottom - 1.2), (width, 2.4), role);
    }
    failures(&mut scene, &plot, &bins, x);
    times(&mut scene, &plot, first, last, x);
    key(
        &mut scene,
        (EDGE, HEIGHT - 10.0),
        &[
            (Sign::Line(Role::Of(kill.algorithm)), "median"),
            (Sign::Box(Role::Of(kill.algorithm)), "median to slowest"),
            (Sign::Box(Role::Failure), "failed"),
            (Sign::Box(Role::Kept), "seat empty"),
        ],
    );
    Some(scene)
}

/// The time in which nobody sat in the seat.
fn away(scene: &mut Scene, plot: &Plot, back: f64, x: impl Fn(f64) -> f64) {
    let (from, to) = (x(0.0), x(back).clamp(x(0.0) + 1.0, plot.right().max(x(0.0) + 1.0)));
    let height = plot.height + FAILURES_BELOW + FAILURES_HIGH;
    scene
        .rect((from, plot.top), (to - from, height), Role::Kept)
        .opacity(0.6);
    scene.line(vec![(from, plot.top - 6.0), (from, plot.top + height)], 1.5, Role::Ink);
    scene.text((from + 4.0, plot.top - 1.0), TICK, "kill -9");
}

const FAILURES_BELOW: f64 = 26.0;
const FAILURES_HIGH: f64 = 30.0;

/// How many requests failed, on the same time line.
fn failures(scene: &mut Scene, plot: &Plot, bins: &[Bin], x: impl Fn(f64) -> f64) {
    let most = bins.iter().map(|bin| bin.failed).max().unwrap_or(0);
    let ground = plot.bottom() + FAILURES_BELOW + FAILURES_HIGH;
    scene.text((EDGE, plot.bottom() + FAILURES_BELOW - 6.0), LABEL, "failed requests");
    for bin in bins.iter().filter(|bin| bin.failed > 0) {
        let height = (real(bin.failed) / real(most.max(1)) * (FAILURES_HIGH - 4.0)).max(3.0);
        let width = ((x(bin.to) - x(bin.from)) * 0.8).max(2.0);
        scene
            .rect((x(bin.from), ground - height), (width, height), Role::Failure)
            .hint(format!("{} failed", bin.failed));
    }
    if most == 0 {
        let middle = plot.left + plot.width / 2.0;
        scene.text((middle, ground - 8.0), LABEL.middle(), "none");
    }
    for (value, y) in [(0, ground), (most, ground - FAILURES_HIGH + 4.0)] {
        if value > 0 || y >= ground {
            scene.text((plot.left - 5.0, y + 3.5), TICK.end(), grouped(value));
        }
    }
    scene.line(vec![(plot.left, ground), (plot.right(), ground)], 1.0, Role::Muted);
}

fn times(scene: &mut Scene, plot: &Plot, first: f64, last: f64, x: impl Fn(f64) -> f64) {
    let ground = plot.bottom() + FAILURES_BELOW + FAILURES_HIGH;
    let step = if last - first > 2500.0 { 500.0 } else { 250.0 };
    let from = (first / step).ceil();
    let count = crate::number::whole((last - first) / step) + 1;
    for at in 0..count {
        let time = (from + real(at)) * step;
        if time <= last {
            scene.text((x(time), ground + 14.0), TICK.middle(), format!("{:.2}", time / 1000.0));
        }
    }
    let middle = plot.left + plot.width / 2.0;
    scene.text((middle, ground + 30.0), LABEL.middle(), "seconds since the kill");
}

/// A power of ten as it is read: 0.1, 1, 10.
fn decimal(value: f64) -> String {
    if value >= 1.0 {
        grouped(crate::number::whole(value))
    } else {
        let places = usize::try_from(crate::number::whole(-value.log10())).unwrap_or(2);
        format!("{value:.places$}")
    }
}
