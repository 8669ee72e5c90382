//! A compiled table: all questions that a balancer has about its members and a key.

use crate::classroom::{self, Classroom};
use crate::maglev::Maglev;
use crate::member::Roster;
use crate::rank::Walk;
use crate::rendezvous::Rendezvous;
use crate::ring::Ring;
use crate::{Error, Member, Rank};
use std::fmt;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// How keys are spread over members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Capped, weighted rendezvous: even, and nothing moves that need not.
    #[default]
    Rendezvous,
    /// Virtual nodes on a circle.
    Ring,
    /// The Maglev paper's table.
    Maglev,
    /// The classroom lab's 512 slots. Goes by the positions of the members and knows no weights.
    Classroom,
}

/// Who owns which key, for one list of members.
#[derive(Debug)]
pub struct Table {
    algorithm: Algorithm,
    members: Box<[Member]>,
    roster: Roster,
    /// The caller's index of each member of the roster: beside it, so that a look-up touches two bytes only.
    positions: Box<[u16]>,
    placement: Placement,
    digest: u64,
}

/// What an algorithm compiled; its members are indexes of the roster.
#[derive(Debug)]
enum Placement {
    Rendezvous(Rendezvous),
    Ring(Ring),
    Maglev(Maglev),
    Classroom(Classroom),
}

/// Keys that stand for all where two tables have no slots in common.
const SAMPLE: u32 = 1 << 18;

/// The hash of a key, for all algorithms but the classroom's: XXH3-64. Prefer [`Table::hash`], which knows the algorithm.
#[inline]
#[must_use]
pub fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

// === impl Algorithm ===

impl Algorithm {
    /// The name, as it is written in a pool's specification.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Rendezvous => "Rendezvous",
            Algorithm::Ring => "Ring",
            Algorithm::Maglev => "Maglev",
            Algorithm::Classroom => "Classroom",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Table ===

impl Table {
    /// Compiles a table of [`Algorithm::Rendezvous`].
    ///
    /// # Errors
    /// As [`Table::build_with`].
    pub fn build(members: &[Member]) -> Result<Table, Error> {
        Table::build_with(Algorithm::Rendezvous, members)
    }

    /// Compiles a table. Takes milliseconds to seconds: not for a thread that serves requests.
    ///
    /// # Errors
    /// Too many members, a weight out of range, a name twice, or more than the algorithm has room for.
    pub fn build_with(algorithm: Algorithm, members: &[Member]) -> Result<Table, Error> {
        let roster = Roster::new(members)?;
        let placement = Placement::build(algorithm, &roster)?;
        Ok(Table::assemble(algorithm, members, roster, placement))
    }

    /// The very table that [`Table::build_with`] gives, made faster from this one if few members differ.
    ///
    /// # Errors
    /// As [`Table::build_with`].
    pub fn change(&self, algorithm: Algorithm, members: &[Member]) -> Result<Table, Error> {
        let roster = Roster::new(members)?;
        let placement = match (&self.placement, algorithm) {
            (Placement::Rendezvous(before), Algorithm::Rendezvous) => {
                Placement::Rendezvous(before.change(&self.roster, &roster))
            }
            _ => Placement::build(algorithm, &roster)?,
        };
        Ok(Table::assemble(algorithm, members, roster, placement))
    }

    fn assemble(algorithm: Algorithm, members: &[Member], roster: Roster, placement: Placement) -> Table {
        let positions = roster.seats().iter().map(|seat| seat.position).collect();
        let digest = digest(algorithm, &roster, placement.owners());
        Table {
            algorithm,
            members: members.into(),
            roster,
            positions,
            placement,
            digest,
        }
    }

    /// How this table was compiled.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The members, in the order they were given. All indexes that a table returns are of this list.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// What [`Table::owner`] and [`Table::rank_hash`] take: XXH3-64 of the key; for the classroom its request id, which is the
    /// key itself if that is a decimal number, else 100,000 + XXH3-64 modulo 900,000.
    #[inline]
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u64 {
        match self.algorithm {
            Algorithm::Classroom => classroom::request_id(key),
            _ => hash(key),
        }
    }

    /// The index of the member that owns the keys of this hash; None if there are no members.
    #[inline]
    #[must_use]
    pub fn owner(&self, hash: u64) -> Option<usize> {
        if self.positions.is_empty() {
            return None;
        }
        Some(usize::from(self.positions[usize::from(self.placement.owner(hash))]))
    }

    /// Members for `key`, best first: the owner, then where its keys go while it is away.
    ///
    /// Depends on names and weights alone, so every balancer agrees without talking.
    /// ```
    /// # use lbpool_ring::{Member, Table};
    /// let table = Table::build(&[Member::new("m-0"), Member::new("m-1")])?;
    /// assert_eq!(table.rank(b"cart/42").count(), 2);
    /// # Ok::<(), lbpool_ring::Error>(())
    /// ```
    #[must_use]
    pub fn rank(&self, key: &[u8]) -> Rank<'_> {
        self.rank_hash(self.hash(key))
    }

    /// As [`Table::rank`], of a key's hash.
    ///
    /// The members after the owner come by their score in its slot (Rendezvous), or as a walk on from the key's place meets
    /// them (Ring, Maglev, Classroom).
    #[must_use]
    pub fn rank_hash(&self, hash: u64) -> Rank<'_> {
        let walk = match &self.placement {
            Placement::Rendezvous(table) => Walk::Scores(table.by_score(hash)),
            Placement::Ring(ring) => Walk::circle(ring.owners(), ring.point(hash)),
            Placement::Maglev(maglev) => Walk::circle(maglev.owners(), Maglev::slot(hash)),
            Placement::Classroom(classroom) => Walk::circle(classroom.owners(), Classroom::slot(hash)),
        };
        Rank::new(walk, &self.positions)
    }

    /// The share of the keys, `0..=1`, whose owner here has another name than in `before`.
    ///
    /// Exact between tables of one algorithm, an estimate from 262,144 keys otherwise.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
    pub fn moved_from(&self, before: &Table) -> f64 {
        if self.members.is_empty() || before.members.is_empty() {
            return if self.members.len() == before.members.len() {
                0.0
            } else {
                1.0
            };
        }
        let successors = self.roster.successors(&before.roster);
        let moved = |now: u16, then: u16| successors[usize::from(then)] != Some(now);
        if let (Placement::Ring(now), Placement::Ring(then)) = (&self.placement, &before.placement) {
            return moved_on_ring(now, then, moved);
        }
        if self.algorithm == before.algorithm {
            // A classroom's ids count as often as each other, so every id modulo 512 stands for its slot.
            let slots = self.placement.key_space().zip(before.placement.key_space());
            let (count, all) = slots.fold((0, 0), |(count, all), (now, then)| {
                (count + u32::from(moved(now, then)), all + 1_u32)
            });
            return f64::from(count) / f64::from(all);
        }
        let differs = |key: &u32| {
            let key = key.to_string();
            let owner = |table: &Table| table.placement.owner(table.hash(key.as_bytes()));
            moved(owner(self), owner(before))
        };
        (0..SAMPLE).filter(differs).count() as f64 / f64::from(SAMPLE)
    }

    /// 64 bits of algorithm, names, weights and every slot's owner: equal on all machines that route alike, and different, for
    /// all practical purposes, on those that do not.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Each member's share of the keys, `0..=1`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shares for people to read")]
    pub fn shares(&self) -> Vec<f64> {
        let mut shares = vec![0.0; self.members.len()];
        if self.members.is_empty() {
            return shares;
        }
        let mut add = |member: u16, share: f64| shares[usize::from(self.positions[usize::from(member)])] += share;
        if let Placement::Ring(ring) = &self.placement {
            let mut start = 0;
            for (last, member) in ring.arcs() {
                add(member, (last - start) as f64 / u64::MAX as f64);
                start = last;
            }
        } else {
            let all = self.placement.key_space().count() as f64;
            self.placement.key_space().for_each(|member| add(member, 1.0 / all));
        }
        shares
    }
}

// === impl Placement ===

impl Placement {
    fn build(algorithm: Algorithm, roster: &Roster) -> Result<Placement, Error> {
        Ok(match algorithm {
            Algorithm::Rendezvous => Placement::Rendezvous(Rendezvous::build(roster)),
            Algorithm::Ring => Placement::Ring(Ring::build(roster)?),
            Algorithm::Maglev => Placement::Maglev(Maglev::build(roster)),
            Algorithm::Classroom => Placement::Classroom(Classroom::build(roster)?),
        })
    }

    /// The owner of a hash. There must be members.
    #[inline]
    fn owner(&self, hash: u64) -> u16 {
        match self {
            Placement::Rendezvous(table) => table.owner(hash),
            Placement::Ring(ring) => ring.owners()[ring.point(hash)],
            Placement::Maglev(maglev) => maglev.owners()[Maglev::slot(hash)],
            Placement::Classroom(classroom) => classroom.owners()[Classroom::slot(hash)],
        }
    }

    /// The owners of all slots or points.
    fn owners(&self) -> &[u16] {
        match self {
            Placement::Rendezvous(table) => table.owners(),
            Placement::Ring(ring) => ring.owners(),
            Placement::Maglev(maglev) => maglev.owners(),
            Placement::Classroom(classroom) => classroom.owners(),
        }
    }

    /// Owners of parts of the key space that are equally large, for all but the ring.
    fn key_space(&self) -> impl Iterator<Item = u16> {
        let owners = self.owners();
        let classroom = matches!(self, Placement::Classroom(_));
        (0..owners.len()).map(move |part| owners[if classroom { Classroom::slot(part as u64) } else { part }])
    }
}

/// The share of the circle on which `moved` holds of the two owners: one sweep over the points of both.
#[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
fn moved_on_ring(now: &Ring, then: &Ring, moved: impl Fn(u16, u16) -> bool) -> f64 {
    let (mut share, mut start) = (0.0, 0);
    let (mut now, mut then) = (now.arcs().peekable(), then.arcs().peekable());
    while let (Some(&(now_last, new)), Some(&(then_last, old))) = (now.peek(), then.peek()) {
        let last = now_last.min(then_last);
        if moved(new, old) {
            share += (last - start) as f64 / u64::MAX as f64;
        }
        start = last;
        now.next_if(|&(end, _)| end == last);
        then.next_if(|&(end, _)| end == last);
    }
    share
}

/// XXH3-64 of a text of one line for the algorithm and one per member, in the order of the names, and of all owners, 16 bits
/// each, low byte first.
fn digest(algorithm: Algorithm, roster: &Roster, owners: &[u16]) -> u64 {
    let mut state = Xxh3::new();
    state.update(format!("lbpool table 1 {algorithm}\n").as_bytes());
    for seat in roster.seats() {
        state.update(format!("{} {}\n", seat.name, seat.weight).as_bytes());
    }
    for part in owners.chunks(4096) {
        let bytes: Vec<u8> = part.iter().flat_map(|owner| owner.to_le_bytes()).collect();
        state.update(&bytes);
    }
    state.digest()
}
