//! Members in the order in which they serve a key.

use crate::member::MAX_MEMBERS;
use crate::rendezvous::ByScore;
use std::iter::FusedIterator;

/// Member indexes, best first, each once: what [`Table::rank`](crate::Table::rank) returns.
///
/// Nothing is allocated and nothing computed ahead: what the caller does not ask for costs nothing.
#[derive(Clone, Debug)]
pub struct Rank<'t> {
    walk: Walk<'t>,
    positions: &'t [u16],
    seen: Seen,
    left: usize,
}

/// Where the next members come from. A walk may name a member again.
#[derive(Clone, Debug)]
pub(crate) enum Walk<'t> {
    /// By score.
    Scores(ByScore<'t>),
    /// Around a circle of slots or points, once; then those who own none, in the order of their names.
    Circle { owners: &'t [u16], at: usize, steps: usize },
}

/// A set of members.
#[derive(Clone, Copy, Debug)]
struct Seen([u64; MAX_MEMBERS / 64]);

// === impl Rank ===

impl<'t> Rank<'t> {
    /// `positions` says for each member of the walk which one of the caller's it is.
    pub(crate) fn new(walk: Walk<'t>, positions: &'t [u16]) -> Rank<'t> {
        Rank {
            walk,
            positions,
            seen: Seen([0; MAX_MEMBERS / 64]),
            left: positions.len(),
        }
    }
}

impl Iterator for Rank<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        loop {
            let member = self.walk.next(self.positions.len())?;
            if self.seen.insert(member) {
                self.left -= 1;
                return Some(usize::from(self.positions[usize::from(member)]));
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Rank<'_> {}

impl FusedIterator for Rank<'_> {}

// === impl Walk ===

impl<'t> Walk<'t> {
    pub fn circle(owners: &'t [u16], start: usize) -> Walk<'t> {
        Walk::Circle {
            owners,
            at: start,
            steps: 0,
        }
    }

    fn next(&mut self, members: usize) -> Option<u16> {
        let (owners, at, steps) = match self {
            Walk::Scores(by_score) => return by_score.next(),
            Walk::Circle { owners, at, steps } => (owners, at, steps),
        };
        let step = *steps;
        *steps += 1;
        if step >= owners.len() {
            return u16::try_from(step - owners.len())
                .ok()
                .filter(|&member| usize::from(member) < members);
        }
        let owner = owners[*at];
        *at = if *at + 1 == owners.len() { 0 } else { *at + 1 };
        Some(owner)
    }
}

// === impl Seen ===

impl Seen {
    /// Whether it is new.
    fn insert(&mut self, member: u16) -> bool {
        let (word, bit) = (usize::from(member) / 64, 1 << (member % 64));
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}
