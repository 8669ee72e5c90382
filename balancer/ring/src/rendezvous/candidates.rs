//! The first few members of each slot's order, found in one pass over all pairs and kept for the next change.
//!
//! A list holds every member whose cost is at most a bound, best first, cut after [`KEPT`]. The bound is chosen so that
//! five or six members pass: most slots end at their first, few need a third, and whoever needs more looks at all members.
//! So the bound decides how long a build takes and never what comes out of it.

use super::score::{Order, Pull};
use super::{SLOT_BITS, SLOTS};
use crate::member::MAX_MEMBERS;
use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// How many candidates a slot keeps at most.
const KEPT: usize = 8;

/// The end of a list that is not full.
const NONE: u16 = u16::MAX;

/// Below this a second thread costs more than it spares.
const MEMBERS_FOR_TWO_THREADS: usize = 24;

/// Slots that a thread takes at a time.
const CHUNK: usize = 4096;

type List = [u16; KEPT];

/// Every slot's first candidates.
#[derive(Debug)]
pub(super) struct Candidates {
    bound: u64,
    lists: Box<[List]>,
}

/// A slot's best members so far, with their costs.
struct Best([(u64, u16); KEPT]);

/// What is the same for all slots of a scan.
struct Scan<'a> {
    pulls: &'a [Pull],
    bound: u64,
    /// Each member's order, and the least place in it that can pass the bound: comparing places spares the logarithm of all
    /// but a few pairs.
    gates: Vec<(Order, u32)>,
}

// === impl Candidates ===

impl Candidates {
    pub fn build(pulls: &[Pull], total_weight: u64) -> Candidates {
        let bound = bound_for(pulls.len(), total_weight);
        let scan = Scan::new(pulls, bound);
        let mut lists = vec![[NONE; KEPT]; SLOTS].into_boxed_slice();
        in_two(pulls.len(), &mut lists, &|first, part| {
            let mut found = [0; MAX_MEMBERS];
            for (slot, list) in (first..).zip(part) {
                *list = scan.list(slot, &mut found);
            }
        });
        Candidates { bound, lists }
    }

    /// The lists that [`Candidates::build`] would give with the bound of these, for one pass over the slots and what is new.
    /// None: the bound fits the new members so badly that building is the better way.
    ///
    /// `successors` says for each old member which it is now (None: gone, or of another weight); `fresh` are the new ones.
    pub fn change(
        &self,
        pulls: &[Pull],
        total_weight: u64,
        successors: &[Option<u16>],
        fresh: &[u16],
    ) -> Option<Candidates> {
        let ideal = bound_for(pulls.len(), total_weight);
        let fits = ideal == self.bound || (ideal / 3 * 2 <= self.bound && self.bound / 3 * 2 <= ideal);
        if !fits {
            return None;
        }
        let scan = Scan::new(pulls, self.bound);
        let mut lists = self.lists.clone();
        in_two(fresh.len(), &mut lists, &|first, part| {
            let mut found = [0; MAX_MEMBERS];
            for (slot, list) in (first..).zip(part) {
                *list = scan.changed(slot, *list, &mut found, successors, fresh);
            }
        });
        Some(Candidates {
            bound: self.bound,
            lists,
        })
    }

    /// The candidate of that rank, if the slot's list goes so far.
    #[inline]
    pub fn get(&self, slot: usize, rank: usize) -> Option<u16> {
        self.lists[slot].get(rank).copied().filter(|&member| member != NONE)
    }
}

/// The bound that five or six members pass on average (8 ln 2), or no bound where the lists hold all members anyway.
fn bound_for(members: usize, total_weight: u64) -> u64 {
    if members <= KEPT {
        u64::MAX
    } else {
        (8 << 57) / total_weight
    }
}

/// Works on all lists, on two threads if that pays. Chunks are handed out as they are asked for, so a slow thread, or one
/// that cannot be had, leaves the work to the other.
fn in_two(members: usize, lists: &mut [List], work: &(dyn Fn(usize, &mut [List]) + Sync)) {
    if members < MEMBERS_FOR_TWO_THREADS {
        return work(0, lists);
    }
    let chunks = Mutex::new((0..).step_by(CHUNK).zip(lists.chunks_mut(CHUNK)));
    let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_off = || {
        while let Some((first, part)) = next() {
            work(first, part);
        }
    };
    thread::scope(|scope| {
        // Without a second thread the first does all of it.
        let _ = thread::Builder::new()
            .name("lbpool-table".to_owned())
            .spawn_scoped(scope, work_off);
        work_off();
    });
}

// === impl Scan ===

impl<'a> Scan<'a> {
    fn new(pulls: &'a [Pull], bound: u64) -> Scan<'a> {
        let place = |draw: u64| u32::try_from(draw >> (64 - SLOT_BITS)).unwrap_or(0);
        let gates = pulls
            .iter()
            .map(|pull| (pull.order(), place(pull.gate(bound))))
            .collect();
        Scan { pulls, bound, gates }
    }

    /// The list of a slot, from all members. `found` is room to work in: clearing it for each slot would cost more than the scan.
    fn list(&self, slot: usize, found: &mut [u16; MAX_MEMBERS]) -> List {
        let mut count = 0;
        for (member, &(order, gate)) in (0..).zip(&self.gates) {
            // Written always, counted only if it passes: a branch here would be a coin toss for the processor. There are
            // never more members than places, so the remainder changes nothing but spares the check.
            found[count % MAX_MEMBERS] = member;
            count += usize::from(order.place(slot) >= gate);
        }
        self.best(slot, found[..count].iter().copied())
    }

    /// The list of those given, best first, without who is above the bound after all.
    fn best(&self, slot: usize, members: impl Iterator<Item = u16>) -> List {
        let mut best = Best::default();
        for member in members {
            let cost = self.pulls[usize::from(member)].cost(slot);
            if cost <= self.bound {
                best.insert((cost, member));
            }
        }
        best.list()
    }

    /// The list of a slot, from the one before.
    fn changed(
        &self,
        slot: usize,
        before: List,
        found: &mut [u16; MAX_MEMBERS],
        successors: &[Option<u16>],
        fresh: &[u16],
    ) -> List {
        let successor = |member: u16| successors.get(usize::from(member)).copied().flatten();
        let mut list = [NONE; KEPT];
        let mut length = 0;
        for member in before.into_iter().filter_map(successor) {
            list[length] = member;
            length += 1;
        }
        if length < KEPT && before[KEPT - 1] != NONE {
            // It was cut, and now one of those behind the cut belongs to it.
            return self.list(slot, found);
        }
        let passes = |&member: &u16| {
            let (order, gate) = self.gates[usize::from(member)];
            order.place(slot) >= gate
        };
        let mut passing = fresh.iter().copied().filter(passes).peekable();
        if passing.peek().is_none() {
            return list;
        }
        self.best(slot, list.into_iter().take(length).chain(passing))
    }
}

// === impl Best ===

impl Default for Best {
    fn default() -> Best {
        Best([(u64::MAX, NONE); KEPT])
    }
}

impl Best {
    #[inline]
    fn insert(&mut self, entry: (u64, u16)) {
        let Best(entries) = self;
        let mut place = KEPT;
        while place > 0 && entry < entries[place - 1] {
            if place < KEPT {
                entries[place] = entries[place - 1];
            }
            place -= 1;
        }
        if place < KEPT {
            entries[place] = entry;
        }
    }

    fn list(&self) -> List {
        self.0.map(|(_, member)| member)
    }
}
