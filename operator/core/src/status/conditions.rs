//! Ready, Progressing, Degraded: reasons that fit a column, messages of use to a person.

use jiff::Timestamp;

use super::{balancing, is_serving, sitting};
use crate::{
    Instance, Observed, Phase, Plan, ValidPool,
    plan::{Census, SeatView, after},
};

/// Members named in a message; the rest is counted.
const NAMED: usize = 3;

/// A condition to be.
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What there is to say about a pool.
pub(super) struct Found {
    seats: usize,
    serving: usize,
    paused: bool,
    /// The plan still has something to do.
    acts: bool,
    /// Seats without a member that is ready, in the table or on their way into it.
    joining: Vec<String>,
    vacant: Vec<String>,
    /// Seats whose member runs an old template.
    outdated: Vec<String>,
    /// Instances that leave, or were told to.
    draining: Vec<String>,
    /// What does not start, and why.
    failing: Vec<String>,
    /// What has not started for longer than progressDeadline.
    late: Vec<String>,
    /// What keeps balancers from getting ready.
    ailing: Vec<String>,
    /// None of them is ready: nobody serves.
    unbalanced: bool,
}

// === impl Found ===

impl Found {
    pub(super) fn of(pool: &ValidPool, census: &Census<'_>, seen: &Observed, plan: &Plan, now: Timestamp) -> Self {
        let named = |test: &dyn Fn(&SeatView<'_>) -> bool| {
            census
                .seats
                .iter()
                .filter(|seat| test(seat))
                .map(|seat| seat.seat.name.to_string())
                .collect::<Vec<_>>()
        };
        let deadline = pool.update.progress_deadline;
        let is_late = |it: &&Instance| it.phase == Phase::Starting && after(it.created, deadline.get()) <= now;
        let young = || census.seats.iter().filter_map(|seat| seat.heir);
        let ailing = balancing::ailing(pool, seen, now);
        Self {
            unbalanced: seen.balancing.ready == 0 && !ailing.is_empty(),
            ailing,
            seats: census.seats.len(),
            serving: census.seats.iter().filter(|seat| is_serving(seat)).count(),
            paused: pool.update.paused,
            acts: !plan.actions.is_empty(),
            joining: named(&|seat| seat.routed.is_none()),
            vacant: named(&|seat| seat.routed.is_some() && !is_serving(seat)),
            outdated: named(&|seat| {
                sitting(seat)
                    .or(seat.holder)
                    .is_some_and(|it| it.template != pool.template_hash)
            }),
            draining: seen
                .instances
                .iter()
                .filter(|it| {
                    let routed = seen.routing.as_ref().is_some_and(|routing| it.is_routed_by(routing));
                    it.phase == Phase::Ending || (!routed && matches!(it.phase, Phase::Ready | Phase::Unready))
                })
                .map(|it| it.name.clone())
                .collect(),
            failing: census.seats.iter().filter_map(trouble).collect(),
            late: young()
                .filter(is_late)
                .map(|it| format!("{} is not ready after {deadline}", it.name))
                .collect(),
        }
    }

    pub(super) fn ready(&self) -> Verdict {
        let holds = self.serving == self.seats && !self.unbalanced;
        let (reason, message) = if self.unbalanced {
            let (ready, seats) = (self.serving, self.seats);
            let message = format!(
                "{ready} of {seats} members are ready, and no balancer is: {}",
                list(&self.ailing, "; ")
            );
            ("Degraded", message)
        } else if self.seats == 0 {
            ("ScaledToZero", "the pool has no seats".to_owned())
        } else if holds && self.outdated.is_empty() {
            ("Ready", format!("all {} seats are served", self.seats))
        } else if holds {
            let state = if self.paused { "Paused" } else { "Updating" };
            (
                state,
                format!(
                    "all {} seats are served; {} run an old template",
                    self.seats,
                    self.outdated.len()
                ),
            )
        } else if !self.failing.is_empty() || !self.late.is_empty() {
            ("Degraded", self.missing())
        } else if !self.vacant.is_empty() {
            let reason = if self.outdated.is_empty() {
                "Replacing"
            } else {
                "Updating"
            };
            (reason, self.missing())
        } else if self.serving == 0 {
            ("Starting", self.missing())
        } else {
            ("Scaling", self.missing())
        };
        Verdict { holds, reason, message }
    }

    fn missing(&self) -> String {
        let mut parts = vec![format!("{} of {} seats are served", self.serving, self.seats)];
        if !self.joining.is_empty() {
            parts.push(format!("joining: {}", list(&self.joining, ", ")));
        }
        if !self.vacant.is_empty() {
            parts.push(format!("vacant: {}", list(&self.vacant, ", ")));
        }
        parts.join("; ")
    }

    pub(super) fn progressing(&self) -> Verdict {
        let (holds, reason, message) = if !self.late.is_empty() {
            (false, "ProgressDeadlineExceeded", list(&self.late, "; "))
        } else if !self.vacant.is_empty() {
            (true, "Replacing", format!("vacant: {}", list(&self.vacant, ", ")))
        } else if !self.joining.is_empty() {
            (true, "Scaling", format!("joining: {}", list(&self.joining, ", ")))
        } else if !self.outdated.is_empty() && self.paused {
            (
                false,
                "Paused",
                format!(
                    "{} seats run an old template; the update is paused",
                    self.outdated.len()
                ),
            )
        } else if !self.outdated.is_empty() {
            (
                true,
                "Updating",
                format!(
                    "{} seats run an old template: {}",
                    self.outdated.len(),
                    list(&self.outdated, ", ")
                ),
            )
        } else if !self.draining.is_empty() {
            (true, "Draining", format!("finishing: {}", list(&self.draining, ", ")))
        } else if self.acts {
            (true, "Applying", "a change is under way".to_owned())
        } else {
            (false, "Settled", "nothing is left to do".to_owned())
        };
        Verdict { holds, reason, message }
    }

    pub(super) fn degraded(&self) -> Verdict {
        let (holds, reason, message) = if !self.late.is_empty() {
            let all: Vec<_> = self.late.iter().chain(&self.failing).cloned().collect();
            (true, "ProgressDeadlineExceeded", list(&all, "; "))
        } else if !self.failing.is_empty() {
            (true, "MembersFailing", list(&self.failing, "; "))
        } else if !self.ailing.is_empty() {
            (true, "BalancersFailing", list(&self.ailing, "; "))
        } else {
            (false, "AsExpected", "no member is in trouble".to_owned())
        };
        Verdict { holds, reason, message }
    }
}

/// What keeps a seat's youngest instance from starting. A member that failed and whose successor starts is no trouble
/// yet; a successor that says why it can not start, or a failure that nobody has succeeded, is.
fn trouble(seat: &SeatView<'_>) -> Option<String> {
    let last = seat.all.iter().rev().find(|it| it.phase != Phase::Ending)?;
    let cause = match (last.phase, &last.trouble) {
        (Phase::Failed | Phase::Starting, Some(cause)) => cause,
        (Phase::Failed, None) => "failed",
        _ => return None,
    };
    Some(format!("{}: {cause}", last.name))
}

fn list(items: &[String], separator: &str) -> String {
    let shown = items.iter().take(NAMED).cloned().collect::<Vec<_>>().join(separator);
    match items.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
