//! Figures of a list of counts or times.

use crate::number::{real, real_len};

/// The mean.
#[must_use]
pub fn mean(counts: &[u64]) -> f64 {
    real(counts.iter().sum()) / real_len(counts.len().max(1))
}

/// The standard deviation of the counts themselves (not an estimate of a larger population's), as the assignment has it.
#[must_use]
pub fn deviation(counts: &[u64]) -> f64 {
    let mean = mean(counts);
    let squares: f64 = counts.iter().map(|&count| (real(count) - mean).powi(2)).sum();
    (squares / real_len(counts.len().max(1))).sqrt()
}

/// The greatest count less the least.
#[must_use]
pub fn spread(counts: &[u64]) -> u64 {
    let (most, least) = (counts.iter().max(), counts.iter().min());
    most.zip(least).map_or(0, |(most, least)| most - least)
}

/// The middle one of sorted values; of two in the middle the lower one.
#[must_use]
pub fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_assignment() {
        assert_eq!(spread(&[9531, 469]), 9062);
        assert!((deviation(&[9531, 469]) - 4531.0).abs() < 0.5);
        assert!((deviation(&[8437, 469, 1094]) - 3618.0).abs() < 0.5);
        assert_eq!((spread(&[]), median(&[])), (0, 0.0));
        assert!((median(&[1.0, 2.0, 3.0, 4.0]) - 2.0).abs() < f64::EPSILON);
    }
}
