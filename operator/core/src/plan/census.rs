//! Who is who: which instance should sit in each seat, which is its heir, and which are not needed.

use std::{cmp::Reverse, collections::HashMap};

use lbpool_api::routing::RoutedMember;

use crate::{
    Instance, Observed, Phase, ValidPool, fingerprint,
    rollout::{Budget, Numbers},
    seats::Seat,
};

/// All instances, by seat.
pub(crate) struct Census<'a> {
    /// The seats of the pool, in order.
    pub(crate) seats: Vec<SeatView<'a>>,
    /// Instances of seats that the pool no longer has and that were not told to end.
    pub(crate) gone: Vec<&'a Instance>,
}

/// One seat with its instances.
pub(crate) struct SeatView<'a> {
    pub(crate) seat: &'a Seat,
    /// Its entry in the published document.
    pub(crate) routed: Option<&'a RoutedMember>,
    /// Everything that was made for it, oldest first.
    pub(crate) all: Vec<&'a Instance>,
    /// Who should sit in it: ready, or merely not ready at the moment.
    pub(crate) holder: Option<&'a Instance>,
    /// Who is to take it: not ready yet, and runs what it should.
    pub(crate) heir: Option<&'a Instance>,
    /// Other live instances.
    pub(crate) surplus: Vec<&'a Instance>,
    /// Those that will not come back.
    pub(crate) failed: Vec<&'a Instance>,
    /// The holder runs an old template.
    pub(crate) outdated: bool,
    /// The update empties it before it makes the successor.
    pub(crate) breaks: bool,
    /// The update makes a successor beside the holder now.
    pub(crate) surges: bool,
}

// === impl Census ===

impl<'a> Census<'a> {
    pub(crate) fn take(pool: &'a ValidPool, seen: &'a Observed) -> Self {
        let mut by_seat: HashMap<_, Vec<&Instance>> = HashMap::new();
        for instance in &seen.instances {
            by_seat.entry(instance.seat.host()).or_default().push(instance);
        }
        let mut routed: HashMap<_, _> = seen
            .routing
            .iter()
            .flat_map(|routing| &routing.members)
            .map(|member| (member.name.host(), member))
            .collect();
        let seats = pool.seats.iter().map(|seat| {
            let host = seat.name.host();
            SeatView::of(
                pool,
                seat,
                routed.remove(&host),
                by_seat.remove(&host).unwrap_or_default(),
            )
        });
        let seats = seats.collect();
        let mut gone: Vec<_> = by_seat
            .into_values()
            .flatten()
            .filter(|it| it.phase != Phase::Ending)
            .collect();
        gone.sort_by_key(|instance| age(instance));
        let mut census = Self { seats, gone };
        census.allot(pool);
        census
    }

    /// Gives what maxSurge and maxUnavailable leave to seats: those already emptied first, then those with the least
    /// to lose.
    fn allot(&mut self, pool: &ValidPool) {
        let extra = self
            .seats
            .iter()
            .map(|seat| seat.live().saturating_sub(1))
            .sum::<usize>()
            + self.gone.iter().filter(|instance| instance.is_live()).count();
        let away = self.seats.iter().filter(|seat| !seat.would_serve()).count();
        let mut budget = Budget::left(&pool.update, Numbers { extra, away });
        let may_break = !pool.update.paused && pool.update.max_unavailable > 0;
        let mut order: Vec<_> = self.seats.iter_mut().filter(|seat| seat.may_update()).collect();
        order.sort_by_key(|seat| (!seat.is_emptied(), seat.would_serve()));
        for seat in order {
            if seat.is_emptied() {
                // Where it may not stay empty its old instance comes back, and is updated once that is published.
                if may_break {
                    seat.take_break(&mut budget);
                }
                continue;
            }
            if budget.surge > 0 {
                budget.surge -= 1;
                seat.surges = true;
            } else if may_break {
                seat.take_break(&mut budget);
            }
        }
    }
}

// === impl SeatView ===

impl<'a> SeatView<'a> {
    fn of(pool: &ValidPool, seat: &'a Seat, routed: Option<&'a RoutedMember>, mut all: Vec<&'a Instance>) -> Self {
        all.sort_by_key(|instance| age(instance));
        let template = pool.template_hash.as_str();
        let sits = |it: &Instance| routed.is_some_and(|member| member.pod.as_deref() == Some(it.name.as_str()));
        // One that is not ready keeps the seat it has. Where it never had one and its template is old, it may go.
        let keeps = |it: &Instance| routed.is_some() || it.template == template || pool.update.paused;
        let holder = all
            .iter()
            .copied()
            .filter(|it| it.phase == Phase::Ready || (it.phase == Phase::Unready && keeps(it)))
            .max_by_key(|it| {
                let ready = it.phase == Phase::Ready;
                // Ready first; of the ready the updated; of the others who sits there: it may come back any moment.
                let updated = it.template == template;
                (
                    ready,
                    if ready { updated } else { sits(it) },
                    sits(it),
                    updated,
                    Reverse(age(it)),
                )
            });
        let outdated = holder.is_some_and(|holder| holder.template != template);
        let is_heir = |it: &&Instance| match holder {
            Some(holder) => outdated && it.template == template && it.id != holder.id,
            None => it.template == template || pool.update.paused,
        };
        let live = || all.iter().copied().filter(|it| it.is_live());
        let heir = live()
            .filter(is_heir)
            .max_by_key(|it| (it.template == template, Reverse(age(it))));
        let in_use = |it: &Instance| [holder, heir].into_iter().flatten().any(|used| used.id == it.id);
        let surplus = live().filter(|it| !in_use(it)).collect();
        let failed = all.iter().copied().filter(|it| it.phase == Phase::Failed).collect();
        Self {
            seat,
            routed,
            holder,
            heir,
            surplus,
            failed,
            outdated,
            breaks: false,
            surges: false,
            all,
        }
    }

    /// Instances that are alive and not told to end.
    pub(crate) fn live(&self) -> usize {
        self.all.iter().filter(|instance| instance.is_live()).count()
    }

    /// Somebody ready could sit in it.
    fn would_serve(&self) -> bool {
        self.holder.is_some_and(|holder| holder.phase == Phase::Ready)
    }

    /// The update may take it on: its outdated holder is alone, and the published document knows of it.
    fn may_update(&self) -> bool {
        let sits = |holder: &Instance| {
            self.routed
                .is_some_and(|member| member.pod.as_ref() == Some(&holder.name))
        };
        self.outdated && self.live() == 1 && (self.holder.is_some_and(sits) || self.is_emptied())
    }

    /// The published document shows it vacant while an outdated instance could sit in it: an update emptied it.
    fn is_emptied(&self) -> bool {
        self.outdated && self.live() == 1 && self.routed.is_some_and(|member| member.pod.is_none())
    }

    /// Empties the seat where that is allowed; one that nobody serves costs nothing.
    fn take_break(&mut self, budget: &mut Budget) -> bool {
        if !self.would_serve() {
            self.breaks = true;
        } else if budget.breaks > 0 {
            budget.breaks -= 1;
            self.breaks = true;
        }
        self.breaks
    }

    /// An instance is to be made for it now.
    pub(crate) fn wants_instance(&self) -> bool {
        self.surges || self.live() == 0
    }

    /// Who a new instance is named after: the last one made, as far as its successor's name is free.
    ///
    /// Clocks tell ages in whole seconds in a cluster, so the last one made may not be told from the one before it; the
    /// names tell: one whose successor exists is not the last.
    pub(crate) fn predecessor(&self, uid: &str, template: &str) -> Option<&'a Instance> {
        self.all.iter().rev().copied().find(|instance| {
            let successor = fingerprint::instance_name(uid, &self.seat.name, template, Some(&instance.id));
            self.all.iter().all(|other| other.name != successor)
        })
    }
}

/// Order of making, the same on every machine.
fn age(instance: &Instance) -> (jiff::Timestamp, &str, &crate::InstanceId) {
    (instance.created, instance.name.as_str(), &instance.id)
}
