//! Requests over time, in parts of equal length.

use crate::{
    measured::Sample,
    number::{real_len, whole},
    stats,
};

/// What became of the requests that were sent in a part of the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bin {
    /// Its beginning, in milliseconds after the kill.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// The median time to an answer, in milliseconds.
    pub median: f64,
    /// The longest.
    pub slowest: f64,
}

/// The time from the first to the last sample in `count` parts.
#[must_use]
pub fn bins(samples: &[Sample], count: usize) -> Vec<Bin> {
    let first = samples.iter().map(|sample| sample.at).fold(f64::INFINITY, f64::min);
    let last = samples.iter().map(|sample| sample.at).fold(f64::NEG_INFINITY, f64::max);
    if samples.is_empty() || count == 0 {
        return Vec::new();
    }
    let length = ((last - first) / real_len(count)).max(1e-3);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); count];
    let mut bins: Vec<Bin> = (0..count)
        .map(|at| Bin {
            from: first + real_len(at) * length,
            to: first + real_len(at + 1) * length,
            ..Bin::default()
        })
        .collect();
    for sample in samples {
        let at = whole(((sample.at - first) / length).floor());
        let at = usize::try_from(at).unwrap_or(0).min(count - 1);
        if sample.server.is_some() {
            times[at].push(sample.took);
        } else {
            bins[at].failed += 1;
        }
    }
    for (bin, times) in bins.iter_mut().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        bin.answered = times.len() as u64;
        bin.median = stats::median(times);
        bin.slowest = times.last().copied().unwrap_or(0.0);
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_one_bin() {
        let samples: Vec<Sample> = (0..100)
            .map(|at| Sample {
                at: f64::from(at) - 50.0,
                took: f64::from(at % 10),
                server: (at % 25 != 0).then(|| "a".to_owned()),
                failure: None,
            })
            .collect();
        let bins = bins(&samples, 10);
        assert_eq!(bins.iter().map(|bin| bin.answered + bin.failed).sum::<u64>(), 100);
        assert_eq!(bins.iter().map(|bin| bin.failed).sum::<u64>(), 4);
        assert!((bins[0].from + 50.0).abs() < 1e-9 && (bins[9].to - 49.0).abs() < 1e-9);
        assert!(bins.iter().all(|bin| bin.median <= bin.slowest));
        assert_eq!(super::bins(&[], 10), []);
    }
}
