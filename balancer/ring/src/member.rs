//! Who can own keys, and in which order the algorithms see them.

use crate::Error;
use std::sync::Arc;

/// The most members that a table holds.
pub const MAX_MEMBERS: usize = 1024;

/// The greatest weight of a member.
pub const MAX_WEIGHT: u32 = 1000;

/// One that can own keys: a name that lasts, and how large its share is.
///
/// Case does not count in a name: `S5` and `s5` own the same keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What the keys are bound to.
    pub name: Arc<str>,
    /// The share, against the weights of the others: `1..=1000`.
    pub weight: u32,
}

/// The members as the algorithms see them: checked, and in the order of their names.
///
/// What is compiled holds indexes into this order, so that it does not depend on the order of the caller.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    seats: Vec<Seat>,
}

/// One member of a [`Roster`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The name in lower case.
    pub name: Box<str>,
    pub weight: u32,
    /// Where the caller has it.
    pub position: u16,
}

// === impl Member ===

impl Member {
    /// A member of weight 1.
    pub fn new(name: impl Into<Arc<str>>) -> Member {
        Member::weighted(name, 1)
    }

    /// A member that owns `weight` times the keys of a member of weight 1.
    pub fn weighted(name: impl Into<Arc<str>>, weight: u32) -> Member {
        Member {
            name: name.into(),
            weight,
        }
    }
}

// === impl Roster ===

impl Roster {
    pub fn new(members: &[Member]) -> Result<Roster, Error> {
        if members.len() > MAX_MEMBERS {
            return Err(Error::TooManyMembers { count: members.len() });
        }
        if let Some(wrong) = members.iter().find(|member| !(1..=MAX_WEIGHT).contains(&member.weight)) {
            return Err(Error::Weight {
                name: wrong.name.to_string(),
                weight: wrong.weight,
            });
        }
        let mut seats: Vec<Seat> = (0..)
            .zip(members)
            .map(|(position, member)| Seat::new(position, member))
            .collect();
        seats.sort_unstable_by(|a, b| (&a.name, a.position).cmp(&(&b.name, b.position)));
        if let Some([one, other]) = seats.array_windows().find(|[one, other]| one.name == other.name) {
            let given = |seat: &Seat| members[usize::from(seat.position)].name.to_string();
            return Err(Error::Duplicate {
                first: given(one),
                second: given(other),
            });
        }
        Ok(Roster { seats })
    }

    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub fn total_weight(&self) -> u64 {
        self.seats.iter().map(|seat| u64::from(seat.weight)).sum()
    }

    /// For each seat of `before`, where its name is here.
    pub fn successors(&self, before: &Roster) -> Vec<Option<u16>> {
        let find = |seat: &Seat| self.seats.binary_search_by(|other| other.name.cmp(&seat.name)).ok();
        before
            .seats
            .iter()
            .map(|seat| find(seat).and_then(|index| u16::try_from(index).ok()))
            .collect()
    }
}

// === impl Seat ===

impl Seat {
    fn new(position: u16, member: &Member) -> Seat {
        Seat {
            name: member.name.to_ascii_lowercase().into(),
            weight: member.weight,
            position,
        }
    }
}
