//! From samples to figures: medians over the rounds that nobody disturbed.

use serde::Serialize;

use crate::workload::Workload;

/// Quiet rounds that it takes for a word about the 99th percentile.
pub const ROUNDS: usize = 20;
/// How likely chance alone may be to bring as many lost rounds, against any of the rivals, before they count as being behind.
const CHANCE: f64 = 0.05;

/// How requests were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// As many as were answered.
    Capacity,
    /// As many a second to each.
    Rate,
}

/// One contestant in one round. Times in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub workload: &'static str,
    pub phase: Phase,
    pub round: u32,
    pub contestant: String,
    /// Nobody took processor time from this round, nor from that of another contestant in it.
    pub quiet: bool,
    /// Requests a second that were to be sent; 0 at capacity.
    pub rate: u64,
    pub answered: u64,
    pub failed: u64,
    pub why: Option<String>,
    pub per_second: f64,
    /// CPU time for each request, and how it divides, in steps of a clock tick.
    pub cpu: f64,
    pub cpu_user: f64,
    pub cpu_system: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub memory_bytes: u64,
    /// Shares of the machine's time that the host took, and that programs used which are not part of this.
    pub stolen: f64,
    pub others: f64,
}

/// What came out for a contestant under a load. Times in microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub contestant: String,
    pub cpu: f64,
    pub per_second: f64,
    pub rate: u64,
    pub cpu_at_rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub memory_bytes: u64,
    pub failed: u64,
    /// Share of the requests at the rate that were answered in time.
    pub kept_up: f64,
    /// The rounds at the rate that the figures are of, each with its 99th percentile.
    pub rounds: Vec<(u32, f64)>,
    /// Those were quiet ones.
    pub quiet: bool,
}

/// Whether a goal is met, and the figures that say so.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub goal: String,
    pub found: String,
    pub met: Option<bool>,
}

/// The middle one. NaN without any.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        _ if values.len() % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// As a figure.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub fn figure(n: u64) -> f64 {
    n as f64
}

impl Row {
    /// Of all samples of a contestant under a load. `None` without any.
    pub fn of(samples: &[Sample], workload: &str, contestant: &str) -> Option<Self> {
        let own = samples
            .iter()
            .filter(|s| s.workload == workload && s.contestant == contestant);
        let own: Vec<&Sample> = own.collect();
        let (capacity, _) = undisturbed(&own, Phase::Capacity);
        let (rate, quiet) = undisturbed(&own, Phase::Rate);
        own.first()?;
        let of = |samples: &[&Sample], figure: fn(&Sample) -> f64| median(samples.iter().map(|s| figure(s)).collect());
        let cpu: fn(&Sample) -> f64 = |sample| sample.cpu;
        Some(Self {
            contestant: contestant.to_owned(),
            cpu: of(&capacity, cpu),
            per_second: of(&capacity, |sample| sample.per_second),
            rate: rate.first().map_or(0, |sample| sample.rate),
            cpu_at_rate: of(&rate, cpu),
            p50: of(&rate, |sample| sample.p50),
            p99: of(&rate, |sample| sample.p99),
            p999: of(&rate, |sample| sample.p999),
            memory_bytes: own.iter().map(|sample| sample.memory_bytes).max().unwrap_or(0),
            failed: own.iter().map(|sample| sample.failed).sum(),
            kept_up: of(&rate, |sample| sample.per_second / figure(sample.rate.max(1))),
            rounds: rate.iter().map(|sample| (sample.round, sample.p99)).collect(),
            quiet,
        })
    }
}

/// The quiet samples of a phase, or all of them where there is no quiet one; and whether they are.
fn undisturbed<'a>(samples: &[&'a Sample], phase: Phase) -> (Vec<&'a Sample>, bool) {
    let all: Vec<&Sample> = samples.iter().copied().filter(|sample| sample.phase == phase).collect();
    let quiet: Vec<&Sample> = all.iter().copied().filter(|sample| sample.quiet).collect();
    if quiet.is_empty() { (all, false) } else { (quiet, true) }
}

/// What of the goals for a load is met by the first row, beside `rivals` and beside what copies the bytes and does nothing else.
pub fn verdicts(workload: &Workload, ours: &Row, rivals: &[&Row], floor: Option<&Row>) -> Vec<Verdict> {
    let best = |figure: fn(&Row) -> f64| rivals.iter().map(|row| figure(row)).fold(f64::INFINITY, f64::min);
    let mut verdicts = Vec::new();
    if rivals.is_empty() {
        return verdicts;
    }
    if let Some(goal) = workload.goal {
        let share = 100.0 * ours.cpu / best(|row| row.cpu);
        verdicts.push(Verdict {
            goal: format!(
                "{}: CPU per request at most {goal} % of the better one's",
                workload.title
            ),
            found: match floor {
                Some(floor) => format!(
                    "{share:.0} %, copying the bytes alone {:.0} %",
                    100.0 * floor.cpu / best(|row| row.cpu)
                ),
                None => format!("{share:.0} %"),
            },
            met: Some(share <= figure(goal)),
        });
    }
    verdicts.push(latency(workload, ours, rivals));
    verdicts
}

/// Rounds are compared one by one, since a machine that is busy in one of them is so for all contestants: behind is who loses so
/// many that chance is no explanation (the sign test; Dixon and Mood, 1946). Medians alone differ by a millisecond when the same
/// program runs twice.
fn latency(workload: &Workload, ours: &Row, rivals: &[&Row]) -> Verdict {
    let duels: Vec<(&Row, usize, usize)> = rivals
        .iter()
        .map(|rival| {
            let of = |round: u32| rival.rounds.iter().find(|(other, _)| *other == round);
            let pairs = ours.rounds.iter().filter_map(|(round, p99)| Some((p99, of(*round)?.1)));
            let pairs: Vec<(&f64, f64)> = pairs.collect();
            let lost = pairs.iter().filter(|(own, other)| **own > *other).count();
            (*rival, lost, pairs.len())
        })
        .collect();
    let told = duels.iter().map(|(rival, lost, rounds)| {
        let ms = rival.p99 / 1000.0;
        format!(
            "{} {ms:.2} ms, lower than ours in {lost} of {rounds} rounds",
            rival.contestant
        )
    });
    let told: Vec<String> = told.collect();
    let behind = duels
        .iter()
        .any(|(_, lost, rounds)| by_chance(*lost, *rounds) < CHANCE / figure(duels.len() as u64));
    let enough = ours.quiet && duels.iter().all(|(.., rounds)| *rounds >= ROUNDS);
    let kind = if ours.quiet { "" } else { ", all of them disturbed" };
    Verdict {
        goal: format!("{}: p99 not behind either, in {ROUNDS} quiet rounds", workload.title),
        found: format!("{:.2} ms; {}{kind}", ours.p99 / 1000.0, told.join("; ")),
        met: enough.then_some(!behind),
    }
}

/// How likely it is that at least so many of the rounds are lost among equals.
fn by_chance(lost: usize, rounds: usize) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for n in 0..=rounds {
        if n >= lost {
            sum += ways;
        }
        ways *= figure((rounds - n) as u64) / figure(n as u64 + 1);
    }
    sum / 2_f64.powi(i32::try_from(rounds).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    fn sample(contestant: &str, phase: Phase, quiet: bool, cpu: f64) -> Sample {
        Sample {
            workload: "get",
            phase,
            round: 0,
            contestant: contestant.to_owned(),
            quiet,
            rate: 1000,
            answered: 1000,
            failed: 0,
            why: None,
            per_second: 1000.0,
            cpu,
            cpu_user: cpu / 2.0,
            cpu_system: cpu / 2.0,
            p50: 100.0,
            p99: cpu,
            p999: 1000.0,
            memory_bytes: 1,
            stolen: 0.0,
            others: 0.0,
        }
    }

    #[test]
    fn figures_are_medians_of_quiet_rounds() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(median(vec![3.0, 1.0, 2.0]), 2.0) && close(median(vec![1.0, 2.0]), 1.5));
        let samples = [
            sample("a", Phase::Capacity, true, 20.0),
            sample("a", Phase::Capacity, false, 90.0),
            sample("a", Phase::Rate, false, 40.0),
        ];
        let row = Row::of(&samples, "get", "a").unwrap();
        assert!(close(row.cpu, 20.0) && close(row.cpu_at_rate, 40.0), "{row:?}");
        assert_eq!((row.rounds.len(), row.quiet), (1, false));
        assert_eq!(Row::of(&samples, "get", "b"), None);
    }

    /// Samples of 20 rounds, the 99th percentile of each by its number.
    fn rounds(name: &str, quiet: bool, cpu: f64, p99: impl Fn(u32) -> f64) -> Row {
        let phases = [Phase::Capacity, Phase::Rate].into_iter();
        let samples: Vec<Sample> = phases
            .flat_map(|phase| (0..20).map(move |round| (phase, round)))
            .map(|(phase, round)| Sample {
                round,
                p99: p99(round),
                ..sample(name, phase, quiet, cpu)
            })
            .collect();
        Row::of(&samples, "get", name).unwrap()
    }

    fn met(ours: &Row, rivals: &[&Row]) -> Vec<Option<bool>> {
        let verdicts = verdicts(&workload::ALL[0], ours, rivals, None);
        verdicts.iter().map(|verdict| verdict.met).collect()
    }

    #[test]
    fn a_goal_is_met_against_the_better_rival_and_p99_only_in_quiet_rounds() {
        let row = |name: &str, quiet: bool, cpu: f64| rounds(name, quiet, cpu, |_| cpu);
        let (haproxy, nginx) = (row("haproxy", true, 40.0), row("nginx", true, 30.0));
        let met = |ours: &Row| met(ours, &[&haproxy, &nginx]);
        assert_eq!(met(&row("lbpool", true, 21.0)), [Some(true), Some(true)]);
        assert_eq!(met(&row("lbpool", true, 31.0)), [Some(false), Some(false)]);
        assert_eq!(met(&row("lbpool", false, 21.0)), [Some(true), None]);
    }

    #[test]
    fn behind_is_who_loses_more_rounds_than_chance_explains() {
        let rival = rounds("nginx", true, 100.0, |_| 10.0);
        let losing = |lost: u32| rounds("lbpool", true, 1.0, move |round| if round < lost { 11.0 } else { 9.0 });
        // Its median is the higher one, and that is within chance.
        assert_eq!(met(&losing(14), &[&rival]), [Some(true), Some(true)]);
        assert_eq!(met(&losing(15), &[&rival]), [Some(true), Some(false)]);
        assert!((by_chance(15, 20) - 0.0207).abs() < 1e-4 && (by_chance(14, 20) - 0.0577).abs() < 1e-4);
        assert!((by_chance(0, 0) - 1.0).abs() < 1e-9, "no rounds in common");
    }
}
