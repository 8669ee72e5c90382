//! Latencies in buckets that are 3 % wide, whatever their size.

use std::time::Duration;

/// Sub-buckets for each power of two, as a power of two.
const FINE: u32 = 5;

/// Latencies, counted in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, took: Duration) {
        let bucket = bucket(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
        self.max = self.max.max(took);
    }

    /// The time that `permille` of the requests stayed below, within 3 %.
    #[must_use]
    pub fn permille(&self, permille: u64) -> Duration {
        let rank = (self.total * permille).div_ceil(1000);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return Duration::from_micros(upper(bucket)).min(self.max);
            }
        }
        Duration::ZERO
    }

    /// The longest.
    #[must_use]
    pub const fn max(&self) -> Duration {
        self.max
    }

    /// How many there are.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// Up to 2^FINE each value has a bucket of its own; above, the FINE bits after the leading one decide.
fn bucket(micros: u64) -> usize {
    let exponent = (u64::BITS - micros.leading_zeros()).saturating_sub(FINE + 1);
    let index = (u64::from(exponent) << FINE) + (micros >> exponent);
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let index = bucket as u64;
    let exponent = (index >> FINE).saturating_sub(1);
    (((index - (exponent << FINE)) + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_narrow() {
        for value in (0..200_000).chain([1 << 40, (1 << 40) + 12345]) {
            let top = upper(bucket(value));
            assert!(top >= value && top - value <= value / 32, "{value} is taken for {top}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros));
        }
        let median = histogram.permille(500).as_micros();
        assert!((500..=516).contains(&median), "{median}");
        assert_eq!(histogram.permille(1000), Duration::from_millis(1));
        assert_eq!(Histogram::default().permille(990), Duration::ZERO);
    }
}
