//! Capped, weighted rendezvous: balance as even as Maglev's, movement as small as rendezvous'.
//!
//! 262,144 slots (the top 18 bits of a key's hash) are matched with the members: each wants the other the more the less the
//! pair costs ([`score`]), no member gets above 1.01 times its fair share, and the outcome is the one stable matching
//! ([`matching`]). Without the cap the shares would scatter like random numbers; with it the few slots above it go to their
//! next choice, and come back when there is room.
//!
//! A table holds half a megabyte of owners and 4 MB of candidates, which make the next change cheap.

mod candidates;
mod matching;
mod score;

use crate::member::Roster;
use candidates::Candidates;
use score::Pull;

/// How many bits of a key's hash choose its slot.
const SLOT_BITS: u32 = 18;

/// The number of slots.
const SLOTS: usize = 1 << SLOT_BITS;

/// A compiled table.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    owners: Box<[u16]>,
    pulls: Vec<Pull>,
    candidates: Candidates,
}

/// The members of one slot after its owner, by score.
#[derive(Clone, Debug)]
pub(crate) struct ByScore<'t> {
    table: &'t Rendezvous,
    slot: usize,
    owner_given: bool,
    asked: usize,
    last: Option<(u64, u16)>,
}

// === impl Rendezvous ===

impl Rendezvous {
    pub fn build(roster: &Roster) -> Rendezvous {
        let pulls = pulls(roster);
        let candidates = Candidates::build(&pulls, roster.total_weight());
        Rendezvous::settle(roster, pulls, candidates)
    }

    /// The table that [`Rendezvous::build`] gives, for less if few members differ.
    pub fn change(&self, before: &Roster, roster: &Roster) -> Rendezvous {
        let pulls = pulls(roster);
        let mut fresh = vec![true; pulls.len()];
        let mut successors = roster.successors(before);
        for (seat, successor) in before.seats().iter().zip(&mut successors) {
            match *successor {
                Some(index) if roster.seats()[usize::from(index)].weight == seat.weight => {
                    fresh[usize::from(index)] = false;
                }
                _ => *successor = None,
            }
        }
        let fresh: Vec<u16> = (0..)
            .zip(fresh)
            .filter_map(|(index, fresh)| fresh.then_some(index))
            .collect();
        let total = roster.total_weight();
        let candidates = self
            .candidates
            .change(&pulls, total, &successors, &fresh)
            .unwrap_or_else(|| Candidates::build(&pulls, total));
        Rendezvous::settle(roster, pulls, candidates)
    }

    fn settle(roster: &Roster, pulls: Vec<Pull>, candidates: Candidates) -> Rendezvous {
        let owners = matching::matching(&pulls, matching::caps(roster), &candidates);
        Rendezvous {
            owners,
            pulls,
            candidates,
        }
    }

    #[inline]
    pub fn owner(&self, hash: u64) -> u16 {
        self.owners[slot_of(hash)]
    }

    pub fn owners(&self) -> &[u16] {
        &self.owners
    }

    pub fn by_score(&self, hash: u64) -> ByScore<'_> {
        ByScore {
            table: self,
            slot: slot_of(hash),
            owner_given: false,
            asked: 0,
            last: None,
        }
    }
}

// === impl ByScore ===

impl Iterator for ByScore<'_> {
    type Item = u16;

    /// The owner, then all members by score: the owner a second time, at the place that its score gives it.
    fn next(&mut self) -> Option<u16> {
        if !self.owner_given {
            self.owner_given = true;
            return Some(self.table.owners[self.slot]);
        }
        if let Some(member) = self.table.candidates.get(self.slot, self.asked) {
            self.asked += 1;
            let cost = self.table.pulls[usize::from(member)].cost(self.slot);
            self.last = Some((cost, member));
            return Some(member);
        }
        self.last = Some(matching::next_after(&self.table.pulls, self.slot, self.last)?);
        self.last.map(|(_, member)| member)
    }
}

/// The slot of a hash: its top bits.
#[inline]
fn slot_of(hash: u64) -> usize {
    usize::try_from(hash >> (64 - SLOT_BITS)).unwrap_or(0)
}

fn pulls(roster: &Roster) -> Vec<Pull> {
    roster
        .seats()
        .iter()
        .map(|seat| Pull::new(&seat.name, seat.weight))
        .collect()
}
