//! The seats of a pool: a pure function of its spec.

use std::collections::HashSet;

use lbpool_api::{MemberName, PoolSpec};

/// A seat: a name that lasts, and its share of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its name.
    pub name: MemberName,
    /// Its weight.
    pub weight: u32,
}

/// The seats of `spec` in a pool of this name: the named members in order, then ordinals ascending, up to `replicas`.
///
/// Ordinals leave out names that are retired and names that a member has. Scaling 5 -> 3 -> 5 gives the same names.
/// A name that is no name (the pool's is too long) ends the list early; [`crate::validate()`] refuses such a pool.
#[must_use]
pub fn seats(pool: &str, spec: &PoolSpec) -> Vec<Seat> {
    let replicas = usize::try_from(spec.replicas).unwrap_or(0);
    let named = spec.members.iter().map(|member| Seat {
        name: member.name.clone(),
        weight: member.weight,
    });
    let taken: HashSet<_> = spec
        .members
        .iter()
        .map(|member| member.name.host())
        .chain(spec.retired.iter().map(MemberName::host))
        .collect();
    let ordinals = (0_u32..)
        .map_while(|ordinal| MemberName::ordinal(pool, ordinal).ok())
        .filter(|name| !taken.contains(&name.host()))
        .map(|name| Seat { name, weight: 1 });
    named.chain(ordinals).take(replicas).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pool;

    fn names(spec: &str) -> Vec<String> {
        let pool = pool(spec);
        seats("web", &pool.spec)
            .into_iter()
            .map(|seat| format!("{}:{}", seat.name, seat.weight))
            .collect()
    }

    #[test]
    fn named_members_come_first_then_ordinals() {
        assert_eq!(
            names("{replicas: 3, members: [{name: S5, weight: 2}]}"),
            ["S5:2", "web-0:1", "web-1:1"]
        );
    }

    #[test]
    fn ordinals_leave_out_the_retired_and_the_taken() {
        assert_eq!(
            names("{replicas: 4, members: [{name: WEB-2}], retired: [Web-0]}"),
            ["WEB-2:1", "web-1:1", "web-3:1", "web-4:1"]
        );
    }

    #[test]
    fn scaling_down_and_up_again_gives_the_same_names() {
        let five = names("{replicas: 5}");
        assert_eq!(names("{replicas: 3}"), five[..3]);
        assert!(names("{replicas: 0}").is_empty());
    }
}
