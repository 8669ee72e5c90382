//! The keys of the requests: from a seed, or from a file.

use std::{collections::HashSet, sync::Arc};

use crate::number::real;

/// Request ids of six digits, as the assignment has them.
const IDS: std::ops::Range<u64> = 100_000..1_000_000;

/// Different keys of the skewed set.
const ZIPF_KEYS: usize = 10_000;

/// Where keys come from. The same seed gives the same keys.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Every id of six digits as likely as any other.
    Uniform,
    /// Ten thousand ids, the n-th of them asked for 1/n times as often as the first.
    Zipf,
    /// Given ones, in their order, again from the first when they are used up.
    Given(Vec<Arc<str>>),
}

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A file without a line.
    #[error("there is no key in it: expected one per line")]
    None,
    /// A line that can be no header's value.
    #[error("line {0}: a key is sent in a header and has to be printable ASCII")]
    Unprintable(usize),
}

/// Numbers that look random: `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Rng(u64);

// === impl Keys ===

impl Keys {
    /// One per line; empty lines are none.
    ///
    /// # Errors
    /// No line, or one that can not be sent.
    pub fn given(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for (line, key) in (1..).zip(text.lines().map(str::trim)) {
            if !key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                return Err(Error::Unprintable(line));
            }
            if !key.is_empty() {
                keys.push(Arc::from(key));
            }
        }
        if keys.is_empty() {
            Err(Error::None)
        } else {
            Ok(Self::Given(keys))
        }
    }

    /// The keys of `count` requests.
    #[must_use]
    pub fn requests(&self, seed: u64, count: usize) -> Vec<Arc<str>> {
        let mut rng = Rng::new(seed);
        match self {
            Self::Uniform => (0..count).map(|_| id(&mut rng)).collect(),
            Self::Zipf => {
                // Which ids they are depends on nothing, so that every seed asks for the same hot keys.
                let keys = Self::Uniform.distinct(0, ZIPF_KEYS);
                let mut total = 0.0;
                let sums: Vec<f64> = (1..=keys.len() as u64)
                    .map(|rank| {
                        total += 1.0 / real(rank);
                        total
                    })
                    .collect();
                let draw = |rng: &mut Rng| {
                    let point = rng.unit() * total;
                    let rank = sums.partition_point(|&sum| sum <= point);
                    Arc::clone(&keys[rank.min(keys.len() - 1)])
                };
                (0..count).map(|_| draw(&mut rng)).collect()
            }
            Self::Given(keys) => keys.iter().cycle().take(count).map(Arc::clone).collect(),
        }
    }

    /// Different keys, `count` of them where there are as many.
    #[must_use]
    pub fn distinct(&self, seed: u64, count: usize) -> Vec<Arc<str>> {
        let mut known = HashSet::new();
        match self {
            Self::Uniform => {
                let mut rng = Rng::new(seed);
                let count = count.min(usize::try_from(IDS.end - IDS.start).unwrap_or(usize::MAX));
                let new = std::iter::repeat_with(|| id(&mut rng)).filter(|key| known.insert(Arc::clone(key)));
                new.take(count).collect()
            }
            Self::Zipf => Self::Uniform.distinct(0, count.min(ZIPF_KEYS)),
            Self::Given(keys) => {
                let new = keys.iter().filter(|key| known.insert(Arc::clone(key)));
                new.take(count).map(Arc::clone).collect()
            }
        }
    }
}

/// Sum over all keys of the square of how often each is there: see [`Spread::repeats`](crate::Spread::repeats).
#[must_use]
pub fn repeats(keys: &[Arc<str>]) -> u64 {
    let mut sorted: Vec<&Arc<str>> = keys.iter().collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.map(|run| (run.len() as u64).pow(2)).sum()
}

fn id(rng: &mut Rng) -> Arc<str> {
    (IDS.start + rng.below(IDS.end - IDS.start)).to_string().into()
}

// === impl Rng ===

impl Rng {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from 0 to 1, 1 left out.
    pub const fn unit(&mut self) -> f64 {
        real(self.next() >> 11) / real(1 << 53)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_keys_and_another_seed_others() {
        for keys in [Keys::Uniform, Keys::Zipf] {
            assert_eq!(keys.requests(7, 100), keys.requests(7, 100));
            assert_ne!(keys.requests(7, 100), keys.requests(8, 100));
        }
        let first: Vec<_> = Keys::Uniform.requests(1, 3).iter().map(ToString::to_string).collect();
        assert_eq!(first, ["609905", "771203", "973902"]);
    }

    #[test]
    fn ids_have_six_digits_and_distinct_ones_differ() {
        let keys = Keys::Uniform.distinct(3, 20_000);
        assert_eq!(keys.len(), 20_000);
        assert!(keys.iter().all(|key| key.len() == 6));
        assert_eq!(repeats(&keys), 20_000);
    }

    #[test]
    fn the_first_key_of_zipf_is_asked_for_as_often_as_its_law_says() {
        let keys = Keys::Zipf.requests(1, 100_000);
        let first = &Keys::Zipf.distinct(0, 1)[0];
        let count = keys.iter().filter(|key| *key == first).count();
        // 1 / H(10,000) = 0.1022
        assert!((9_800..10_650).contains(&count), "{count}");
    }

    #[test]
    fn a_file_is_a_list_of_requests() {
        let keys = Keys::given("a\n\n b \na\n").unwrap();
        let texts: Vec<_> = keys.requests(1, 5).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["a", "b", "a", "a", "b"]);
        assert_eq!(keys.distinct(1, 9).len(), 2);
        assert_eq!(repeats(&keys.requests(1, 5)), 9 + 4);
        assert_eq!(Keys::given("\n").unwrap_err(), Error::None);
        assert_eq!(Keys::given("a\nb\u{e9}\n").unwrap_err(), Error::Unprintable(2));
    }
}
