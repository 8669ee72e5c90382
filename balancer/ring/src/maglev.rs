//! The table of the Maglev paper (Eisenbud et al., NSDI 2016, section 3.4), with its larger size of 65,537.
//!
//! Every member has a permutation of the slots of its own; the members take turns at choosing the next slot of theirs that
//! is still free. The turns make the shares even; they also make slots move between members that stay, which
//! [`Rendezvous`](crate::Algorithm::Rendezvous) does not.

use crate::member::Roster;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The number of slots: a prime, so that every step visits them all.
const SLOTS: u32 = 65_537;

/// A slot that nobody took yet.
const FREE: u16 = u16::MAX;

/// A compiled table.
#[derive(Debug)]
pub(crate) struct Maglev {
    owners: Box<[u16]>,
}

/// A member at its turns.
struct Turns {
    next: u32,
    step: u32,
    weight: u32,
    credit: u32,
}

// === impl Maglev ===

impl Maglev {
    /// Turns go round in the order of the names. A member takes its turn in as many rounds as its weight says: each round
    /// adds its weight to its credit, a turn costs the greatest weight. With equal weights that is one turn per round.
    pub fn build(roster: &Roster) -> Maglev {
        let mut owners = vec![FREE; SLOTS as usize];
        let price = roster.seats().iter().map(|seat| seat.weight).max().unwrap_or(1);
        let mut turns: Vec<Turns> = roster
            .seats()
            .iter()
            .map(|seat| Turns::new(&seat.name, seat.weight))
            .collect();
        let mut free = if turns.is_empty() { 0 } else { SLOTS };
        while free > 0 {
            for (member, turn) in (0..).zip(&mut turns) {
                turn.credit += turn.weight;
                if turn.credit >= price && free > 0 {
                    turn.credit -= price;
                    let slot = turn.take(&owners);
                    owners[slot] = member;
                    free -= 1;
                }
            }
        }
        Maglev { owners: owners.into() }
    }

    /// The slot of a hash.
    #[inline]
    pub fn slot(hash: u64) -> usize {
        usize::try_from(hash % u64::from(SLOTS)).unwrap_or(0)
    }

    pub fn owners(&self) -> &[u16] {
        &self.owners
    }
}

// === impl Turns ===

impl Turns {
    /// The paper's offset and skip: XXH3-64 of the name with the seeds 0 and 1.
    fn new(name: &str, weight: u32) -> Turns {
        let hash = |seed, below: u32| {
            u32::try_from(xxh3_64_with_seed(name.as_bytes(), seed) % u64::from(below)).unwrap_or_default()
        };
        Turns {
            next: hash(0, SLOTS),
            step: hash(1, SLOTS - 1) + 1,
            weight,
            credit: 0,
        }
    }

    /// The next slot of this permutation that is free. Called only while there is one.
    fn take(&mut self, owners: &[u16]) -> usize {
        loop {
            let slot = self.next as usize;
            self.next = (self.next + self.step) % SLOTS;
            if owners[slot] == FREE {
                return slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Member;

    fn counts(members: &[Member]) -> Vec<u32> {
        let roster = Roster::new(members).unwrap();
        let mut counts = vec![0; members.len()];
        for &owner in Maglev::build(&roster).owners() {
            counts[usize::from(roster.seats()[usize::from(owner)].position)] += 1;
        }
        counts
    }

    fn pool(count: usize) -> Vec<Member> {
        (0..count).map(|index| Member::new(format!("m-{index}"))).collect()
    }

    /// The paper's first property: nobody gets two slots more than another.
    #[test]
    fn equal_members_differ_by_one_slot_at_most() {
        for count in [1, 2, 3, 10, 100, 1000] {
            let counts = counts(&pool(count));
            assert_eq!(counts.iter().sum::<u32>(), SLOTS);
            assert!(
                counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
                "{count}: {counts:?}"
            );
        }
    }

    #[test]
    fn shares_follow_the_weights() {
        let members: Vec<Member> = (1..=4)
            .map(|weight| Member::weighted(format!("m-{weight}"), weight))
            .collect();
        for (count, weight) in counts(&members).into_iter().zip(1..) {
            assert!(count.abs_diff(SLOTS * weight / 10) <= 4, "weight {weight}: {count}");
        }
    }

    /// The paper's second property: a change disturbs little more than it has to.
    #[test]
    fn few_slots_move_between_members_that_stay() {
        let (before, after) = (Roster::new(&pool(100)).unwrap(), Roster::new(&pool(101)).unwrap());
        let (then, now) = (Maglev::build(&before), Maglev::build(&after));
        let name = |roster: &Roster, owner: u16| roster.seats()[usize::from(owner)].name.clone();
        let moved = then
            .owners()
            .iter()
            .zip(now.owners())
            .filter(|&(&a, &b)| name(&before, a) != name(&after, b))
            .count();
        assert!((600..1400).contains(&moved), "{moved} of 65,537, 649 at least");
    }

    #[test]
    fn the_permutation_visits_every_slot() {
        let mut turn = Turns::new("m-0", 1);
        let mut owners = vec![FREE; SLOTS as usize];
        for _ in 0..SLOTS {
            let slot = turn.take(&owners);
            owners[slot] = 0;
        }
        assert!(!owners.contains(&FREE));
    }
}
