//! The classic: every member stands at many points of a circle, a key goes to the next point clockwise.
//!
//! Each member has 160 points per weight, whoever else is there, so that one that joins or leaves moves no key between the
//! others. With 160 the shares scatter by some eight percent: [`Rendezvous`](crate::Algorithm::Rendezvous) does better.

use crate::Error;
use crate::member::Roster;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Points of a member of weight 1.
const POINTS_PER_WEIGHT: u64 = 160;

/// What the weights may add up to: some four million points, 42 MB.
pub(crate) const MAX_TOTAL_WEIGHT: u64 = (1 << 22) / POINTS_PER_WEIGHT;

/// Bits of a hash that lead near its point, so that a look-up need not search all of them.
const NEAR_BITS: u32 = 16;

/// A compiled ring.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Where the points stand, clockwise.
    points: Box<[u64]>,
    /// Whose each point is.
    owners: Box<[u16]>,
    /// For each value of a hash's top bits, the first point that is not before it.
    near: Box<[u32]>,
}

// === impl Ring ===

impl Ring {
    /// Point `j` of a member stands at XXH3-64 of its name with the seed `j`. Two at one place: the name that sorts first.
    pub fn build(roster: &Roster) -> Result<Ring, Error> {
        let total = roster.total_weight();
        if total > MAX_TOTAL_WEIGHT {
            return Err(Error::RingTooHeavy { total });
        }
        let mut points: Vec<(u64, u16)> = (0..)
            .zip(roster.seats())
            .flat_map(|(index, seat)| {
                let count = POINTS_PER_WEIGHT * u64::from(seat.weight);
                (0..count).map(move |point| (xxh3_64_with_seed(seat.name.as_bytes(), point), index))
            })
            .collect();
        points.sort_unstable();
        points.dedup_by_key(|&mut (point, _)| point);
        let (points, owners): (Vec<u64>, Vec<u16>) = points.into_iter().unzip();
        let first = |top: u64| points.partition_point(|&point| point < top << (64 - NEAR_BITS));
        let near = (0..1 << NEAR_BITS)
            .map(|top| u32::try_from(first(top)).unwrap_or(u32::MAX))
            .collect();
        Ok(Ring {
            points: points.into(),
            owners: owners.into(),
            near,
        })
    }

    /// The point that a hash goes to: the first that is not before it, around the circle.
    #[inline]
    pub fn point(&self, hash: u64) -> usize {
        let near = self.near[usize::try_from(hash >> (64 - NEAR_BITS)).unwrap_or(0)] as usize;
        let behind = &self.points[near..];
        let point = near + behind.iter().take_while(|&&point| point < hash).count();
        if point == self.points.len() { 0 } else { point }
    }

    /// Whose the points are, clockwise.
    pub fn owners(&self) -> &[u16] {
        &self.owners
    }

    /// The circle cut into arcs from 0 up: the last hash of each, and whose it is.
    pub fn arcs(&self) -> impl Iterator<Item = (u64, u16)> {
        let around = self.owners.first().map(|&owner| (u64::MAX, owner));
        self.points
            .iter()
            .copied()
            .zip(self.owners.iter().copied())
            .chain(around)
    }
}
