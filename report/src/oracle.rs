//! The self-check: answers of members against the table that follows from their names.

use lbpool_ring::{Error, Member, Table};

use crate::{Algorithm, measured::Check};

/// Knows which server owns a key, without asking anybody.
#[derive(Debug)]
pub struct Oracle {
    table: Table,
}

// === impl Oracle ===

impl Oracle {
    /// For servers with these names and weights, in the order of their seats.
    ///
    /// # Errors
    /// Where the algorithm has no table for them.
    pub fn new<'a>(algorithm: Algorithm, servers: impl IntoIterator<Item = (&'a str, u32)>) -> Result<Self, Error> {
        let members: Vec<Member> = servers
            .into_iter()
            .map(|(name, weight)| Member::weighted(name, weight))
            .collect();
        let table = Table::build_with(algorithm.into(), &members)?;
        Ok(Self { table })
    }

    /// Of the table, as pools publish it.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:016x}", self.table.digest())
    }

    /// The server that owns a key.
    #[must_use]
    pub fn owner(&self, key: &str) -> Option<&str> {
        let owner = self.table.owner(self.table.hash(key.as_bytes()))?;
        self.table.members().get(owner).map(|member| &*member.name)
    }

    /// The share of all keys that has another owner than in `before`, to a millionth.
    #[must_use]
    pub fn moved_from(&self, before: &Self) -> f64 {
        (self.table.moved_from(&before.table) * 1e6).round() / 1e6
    }

    /// Compares answers, each a key and the server that gave it, with the table; `published` is the pool's digest of its own.
    pub fn check<'a>(&self, published: &str, answers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Check {
        let mut check = Check::default();
        if published != self.digest() {
            check.first = Some(format!(
                "the pool's table has the digest {published}, the table of its servers' names has {}",
                self.digest()
            ));
        }
        for (key, server) in answers {
            check.compared += 1;
            let owner = self.owner(key);
            if owner != Some(server) {
                check.differing += 1;
                let owner = owner.unwrap_or("nobody");
                check
                    .first
                    .get_or_insert_with(|| format!("{server} answered for the key {key}, which is {owner}'s"));
            }
        }
        check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oracle(algorithm: Algorithm) -> Oracle {
        Oracle::new(algorithm, [("a", 1), ("b", 1), ("c", 1)]).unwrap()
    }

    #[test]
    fn answers_of_the_table_pass_and_any_other_fails_loudly() {
        for algorithm in Algorithm::ALL {
            let oracle = oracle(algorithm);
            let owner = oracle.owner("123456").unwrap();
            let good = oracle.check(&oracle.digest(), [("123456", owner)]);
            assert!(good.is_good() && good.compared == 1, "{good:?}");
            let other = ["a", "b", "c"].into_iter().find(|name| *name != owner).unwrap();
            let bad = oracle.check(&oracle.digest(), [("123456", owner), ("123456", other)]);
            assert_eq!((bad.compared, bad.differing), (2, 1));
            assert_eq!(
                bad.first.unwrap(),
                format!("{other} answered for the key 123456, which is {owner}'s")
            );
        }
    }

    #[test]
    fn a_pool_that_routes_by_another_table_fails() {
        let check = oracle(Algorithm::Ring).check("0", []);
        assert!(!check.is_good() && check.first.unwrap().contains("digest 0"));
    }
}
