//! Which member gets which slot: the one stable matching.
//!
//! Slots propose to their members, cheapest first; a member holds what costs it least, up to its cap, and turns the rest
//! away. Both sides go by the cost of the pair (ties: a slot prefers the name that sorts first, a member the lower slot), so
//! there is exactly one matching in which no slot and member would both rather have each other, whatever the order of the
//! proposals. It is the one that taking all pairs by ascending cost gives, without sorting them.

use super::SLOTS;
use super::candidates::Candidates;
use super::score::Pull;
use crate::member::Roster;
use std::collections::BinaryHeap;

/// No member gets more than this share of what is fair, in percent.
const CAP_PERCENT: u64 = 101;

/// A slot at a member's door.
type Proposal = (u64, u32);

/// The state of a matching in progress.
struct Matching<'a> {
    pulls: &'a [Pull],
    candidates: &'a Candidates,
    /// What each member holds, the worst on top.
    held: Vec<BinaryHeap<Proposal>>,
    caps: Vec<usize>,
    /// How many of its candidates each slot has asked.
    asked: Vec<u8>,
}

/// The most slots that each member may own: `ceil(1.01 * fair share)`.
pub(super) fn caps(roster: &Roster) -> Vec<usize> {
    let total = roster.total_weight();
    let cap = |weight: u32| (SLOTS as u64 * u64::from(weight) * CAP_PERCENT).div_ceil(total * 100);
    roster
        .seats()
        .iter()
        .map(|seat| usize::try_from(cap(seat.weight)).unwrap_or(SLOTS))
        .collect()
}

/// The owner of each slot.
pub(super) fn matching(pulls: &[Pull], caps: Vec<usize>, candidates: &Candidates) -> Box<[u16]> {
    let held = caps
        .iter()
        .map(|&cap| BinaryHeap::with_capacity(cap.min(SLOTS)))
        .collect();
    let mut matching = Matching {
        pulls,
        candidates,
        held,
        caps,
        asked: vec![0; SLOTS],
    };
    for slot in 0..SLOTS {
        matching.place(slot);
    }
    let mut owners = vec![0; SLOTS].into_boxed_slice();
    for (member, held) in (0..).zip(matching.held) {
        for (_, slot) in held {
            owners[slot as usize] = member;
        }
    }
    owners
}

/// The member that follows `after` (cost and member) in the slot's order, by looking at all of them.
pub(super) fn next_after(pulls: &[Pull], slot: usize, after: Option<(u64, u16)>) -> Option<(u64, u16)> {
    (0..)
        .zip(pulls)
        .map(|(member, pull)| (pull.cost(slot), member))
        .filter(|&pair| after.is_none_or(|a| pair > a))
        .min()
}

// === impl Matching ===

impl Matching<'_> {
    /// Lets the slot propose until it, and whoever it drives out, is held somewhere. Ends, because nobody asks a member
    /// twice, and with a place for all, because the caps add up to more than there are slots.
    fn place(&mut self, slot: usize) {
        let mut asking = slot;
        let mut last = None;
        while let Some((cost, member)) = self.next(asking, last) {
            let held = &mut self.held[usize::from(member)];
            #[expect(clippy::cast_possible_truncation, reason = "a slot has 18 bits")]
            let proposal = (cost, asking as u32);
            if held.len() < self.caps[usize::from(member)] {
                held.push(proposal);
                return;
            }
            last = Some((cost, member));
            if let Some(mut worst) = held.peek_mut()
                && proposal < *worst
            {
                let (cost, driven_out) = std::mem::replace(&mut *worst, proposal);
                asking = driven_out as usize;
                last = Some((cost, member));
            }
        }
    }

    /// Whom the slot asks next, `last` being the one that turned it away.
    fn next(&mut self, slot: usize, last: Option<(u64, u16)>) -> Option<(u64, u16)> {
        let Some(member) = self.candidates.get(slot, usize::from(self.asked[slot])) else {
            return next_after(self.pulls, slot, last);
        };
        self.asked[slot] += 1;
        Some((self.pulls[usize::from(member)].cost(slot), member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Member;

    fn settled(members: &[Member]) -> (Roster, Vec<Pull>, Box<[u16]>) {
        let roster = Roster::new(members).unwrap();
        let pulls: Vec<Pull> = roster
            .seats()
            .iter()
            .map(|seat| Pull::new(&seat.name, seat.weight))
            .collect();
        let candidates = Candidates::build(&pulls, roster.total_weight());
        let owners = matching(&pulls, caps(&roster), &candidates);
        (roster, pulls, owners)
    }

    fn pool(count: u32) -> Vec<Member> {
        (0..count)
            .map(|index| Member::weighted(format!("m-{index}"), 1 + index % 4))
            .collect()
    }

    /// No slot and member would both rather have each other: wherever a slot is not with its first choice, those before
    /// are full of slots that cost them less.
    #[test]
    fn the_matching_is_stable() {
        for count in [2, 9, 40] {
            let (roster, pulls, owners) = settled(&pool(count));
            let caps = caps(&roster);
            let mut held = vec![(0, 0); pulls.len()];
            let mut counts = vec![0; pulls.len()];
            for (slot, &owner) in owners.iter().enumerate() {
                let owner = usize::from(owner);
                held[owner] = held[owner].max((pulls[owner].cost(slot), slot));
                counts[owner] += 1;
            }
            for (slot, &owner) in owners.iter().enumerate() {
                let own = (pulls[usize::from(owner)].cost(slot), usize::from(owner));
                for (member, pull) in pulls.iter().enumerate() {
                    if (pull.cost(slot), member) < own {
                        let full = counts[member] == caps[member] && held[member] < (pull.cost(slot), slot);
                        assert!(full, "{count} members: slot {slot} and member {member} want each other");
                    }
                }
            }
            assert!(
                counts.iter().zip(&caps).all(|(count, cap)| count <= cap),
                "{count} members"
            );
        }
    }

    /// The definition, word for word: all pairs by ascending cost, each taken if slot and member still have room.
    #[test]
    fn the_matching_is_the_greedy_one() {
        let (roster, pulls, owners) = settled(&pool(5));
        let mut pairs: Vec<(u64, usize, usize)> = (0..SLOTS)
            .flat_map(|slot| {
                pulls
                    .iter()
                    .enumerate()
                    .map(move |(member, pull)| (pull.cost(slot), slot, member))
            })
            .collect();
        pairs.sort_unstable();
        let mut room = caps(&roster);
        let mut greedy = vec![None; SLOTS];
        for (_, slot, member) in pairs {
            if greedy[slot].is_none() && room[member] > 0 {
                greedy[slot] = Some(member);
                room[member] -= 1;
            }
        }
        assert!(
            greedy
                .iter()
                .zip(&owners)
                .all(|(greedy, &owner)| *greedy == Some(usize::from(owner)))
        );
    }
}
