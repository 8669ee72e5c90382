//! Edits of a spec that people ask for in other words than a new spec: the assignment's `/add` and `/rm`, and `scale`.
//!
//! Pure: they give the new spec, checked, or say why not; who calls them writes it.

use std::collections::HashSet;

use lbpool_api::{
    LoadBalancerPool, MemberName, PoolSpec,
    names::NameError,
    pool::{Member, SEATS_MAX},
};

use crate::{
    seats::seats,
    validate::{Invalid, validate},
};

/// Why an edit is refused. The assignment's API puts `<Error>` before the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// More names than instances to add.
    #[error("Length of hostname list is more than newly added instances")]
    AddsFewer,
    /// More names than instances to remove.
    #[error("Length of hostname list is more than removable instances")]
    RemovesFewer,
    /// A number that makes no sense.
    #[error("n is {0}, must be 1 or more")]
    NotPositive(i64),
    /// More seats than a pool may have.
    #[error("{wanted} replicas are wanted, a pool has 0 to {SEATS_MAX}")]
    TooMany {
        /// How many there would be.
        wanted: i64,
    },
    /// Fewer seats than none.
    #[error("n is {n}, but there are only {seats} instances to remove")]
    TooFew {
        /// How many are to go.
        n: i64,
        /// How many there are.
        seats: usize,
    },
    /// Fewer seats than there are named members.
    #[error("replicas is {replicas}, but {named} members are named in spec.members: remove names first")]
    BelowNamed {
        /// How many seats are wanted.
        replicas: i64,
        /// How many of them are named.
        named: usize,
    },
    /// A name that can be no member's.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A name that is listed twice.
    #[error("'{0}' is listed twice")]
    Twice(MemberName),
    /// A name to add that is a member already.
    #[error("'{0}' is a replica already")]
    Exists(MemberName),
    /// A name to remove that is no member.
    #[error("'{0}' is not a replica")]
    Unknown(MemberName),
    /// The pool would not be valid.
    #[error("{0}")]
    Invalid(#[from] Invalid),
}

/// The spec with `n` more seats, those of `hostnames` among them; a name that was retired is so no longer.
///
/// # Errors
/// Where `n` or a name makes no sense, or the result is no valid pool. Nothing is changed then.
pub fn add(pool: &LoadBalancerPool, n: i64, hostnames: &[String]) -> Result<PoolSpec, EditError> {
    let names = names(n, hostnames, EditError::AddsFewer)?;
    let present = hosts(pool, &pool.spec);
    if let Some(name) = names.iter().find(|name| present.contains(name.host().as_ref())) {
        return Err(EditError::Exists(name.clone()));
    }
    let mut spec = pool.spec.clone();
    spec.replicas = replicas(i64::from(spec.replicas).saturating_add(n))?;
    spec.retired
        .retain(|retired| names.iter().all(|name| name.host() != retired.host()));
    // Names that an ordinal does not bring become named members. Each of these takes the place of the last ordinal,
    // which may have been wanted too, so it is looked at again.
    loop {
        let now = hosts(pool, &spec);
        let Some(missing) = names.iter().find(|name| !now.contains(name.host().as_ref())) else {
            break;
        };
        if spec.members.len() >= now.len() {
            break;
        }
        spec.members.push(Member {
            name: missing.clone(),
            weight: 1,
        });
    }
    checked(pool, spec)
}

/// The spec without `n` seats: those of `hostnames`, and for the rest the last ones. An ordinal from the middle is retired.
///
/// # Errors
/// Where `n` or a name makes no sense, or the result is no valid pool. Nothing is changed then.
pub fn remove(pool: &LoadBalancerPool, n: i64, hostnames: &[String]) -> Result<PoolSpec, EditError> {
    let names = names(n, hostnames, EditError::RemovesFewer)?;
    let present = seats(pool.metadata.name.as_deref().unwrap_or_default(), &pool.spec);
    if let Some(name) = names
        .iter()
        .find(|name| present.iter().all(|seat| seat.name.host() != name.host()))
    {
        return Err(EditError::Unknown(name.clone()));
    }
    let count = usize::try_from(n).unwrap_or(usize::MAX);
    if count > present.len() {
        return Err(EditError::TooFew {
            n,
            seats: present.len(),
        });
    }
    let listed: HashSet<_> = names.iter().map(|name| name.host().into_owned()).collect();
    let others = present
        .iter()
        .rev()
        .map(|seat| seat.name.host().into_owned())
        .filter(|host| !listed.contains(host));
    let mut victims: HashSet<_> = others.take(count - names.len()).collect();
    victims.extend(listed.iter().cloned());
    let mut spec = pool.spec.clone();
    spec.replicas = replicas(i64::from(spec.replicas) - n)?;
    spec.members
        .retain(|member| !victims.contains(member.name.host().as_ref()));
    // Names that the remaining ordinals would bring back are retired.
    loop {
        let now = seats(pool.metadata.name.as_deref().unwrap_or_default(), &spec);
        let back: Vec<_> = now
            .into_iter()
            .filter(|seat| victims.contains(seat.name.host().as_ref()))
            .collect();
        if back.is_empty() {
            break;
        }
        spec.retired.extend(back.into_iter().map(|seat| seat.name));
    }
    checked(pool, spec)
}

/// The spec with so many seats.
///
/// # Errors
/// Where there can not be so many, or fewer than the named members are wanted. Nothing is changed then.
pub fn scale(pool: &LoadBalancerPool, wanted: i64) -> Result<PoolSpec, EditError> {
    let named = pool.spec.members.len();
    let mut spec = pool.spec.clone();
    spec.replicas = replicas(wanted)?;
    if usize::try_from(wanted).is_ok_and(|wanted| wanted < named) {
        return Err(EditError::BelowNamed {
            replicas: wanted,
            named,
        });
    }
    checked(pool, spec)
}

fn names(n: i64, hostnames: &[String], too_many: EditError) -> Result<Vec<MemberName>, EditError> {
    if n <= 0 {
        return Err(EditError::NotPositive(n));
    }
    if usize::try_from(n).is_ok_and(|n| hostnames.len() > n) {
        return Err(too_many);
    }
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(hostnames.len());
    for name in hostnames {
        let name: MemberName = name.parse()?;
        if !seen.insert(name.host().into_owned()) {
            return Err(EditError::Twice(name));
        }
        names.push(name);
    }
    Ok(names)
}

fn replicas(wanted: i64) -> Result<i32, EditError> {
    i32::try_from(wanted)
        .ok()
        .filter(|&n| n >= 0 && n.unsigned_abs() <= SEATS_MAX)
        .ok_or(EditError::TooMany { wanted })
}

fn hosts(pool: &LoadBalancerPool, spec: &PoolSpec) -> HashSet<String> {
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    seats(name, spec)
        .into_iter()
        .map(|seat| seat.name.host().into_owned())
        .collect()
}

fn checked(pool: &LoadBalancerPool, spec: PoolSpec) -> Result<PoolSpec, EditError> {
    let edited = LoadBalancerPool { spec, ..pool.clone() };
    validate(&edited)?;
    Ok(edited.spec)
}

#[cfg(test)]
mod tests;
