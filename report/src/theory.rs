//! What theory expects of a measurement.
//!
//! **Maglev and Rendezvous** give every server the same share (within one slot, and within 1 %), and put a key on it by a hash: with
//! `N` servers and keys that are asked for `c` times each, a server's count scatters as if it were one of `N` independent
//! numbers of variance `s^2 = sum(c^2) / N`, less their mean.
//!
//! **Ring** scatters more, because the shares do: `V` of `N V` arcs of a circle that are cut at random are a share of the
//! distribution Beta(V, (N - 1) V), whose variance is `(N - 1) / (N^2 (N V + 1))`.
//!
//! **Classroom** is exact: ids count modulo 512, so its shares are fractions of 512, far from even; chance adds little.

use crate::{
    Algorithm,
    number::{real, real_len},
};

/// Points of a server on the ring: those of lbpool-ring.
const RING_POINTS: f64 = 160.0;

/// Mean and deviation of the range of 2, 3, .. independent normal numbers of variance 1 (statistical quality control's d2, d3).
const RANGES: [(f64, f64); 14] = [
    (1.128, 0.853),
    (1.693, 0.888),
    (2.059, 0.880),
    (2.326, 0.864),
    (2.534, 0.848),
    (2.704, 0.833),
    (2.847, 0.820),
    (2.970, 0.808),
    (3.078, 0.797),
    (3.173, 0.787),
    (3.258, 0.778),
    (3.336, 0.770),
    (3.407, 0.763),
    (3.472, 0.756),
];

/// A figure as theory expects it: its mean, and where some 95 % of all runs lie.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// The mean.
    pub mean: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What theory expects of one number of requests to one number of servers.
#[derive(Clone, Debug, PartialEq)]
pub struct Theory {
    /// Requests per server.
    pub counts: Vec<f64>,
    /// Their standard deviation.
    pub deviation: Expected,
    /// The greatest less the least.
    pub spread: Expected,
}

/// Theory of `requests` to so many servers; `repeats` as in [`Spread::repeats`](crate::Spread::repeats).
#[must_use]
pub fn theory(algorithm: Algorithm, servers: usize, requests: u64, repeats: u64) -> Theory {
    let n = real_len(servers.max(1));
    let even = real(requests) / n;
    let share_variance = match algorithm {
        Algorithm::Classroom => return classroom(servers, requests),
        Algorithm::Ring => (n - 1.0) / (n * n * (n * RING_POINTS + 1.0)),
        Algorithm::Maglev | Algorithm::Rendezvous => 0.0,
    };
    // Of one count: chance puts each key on a server of share p with variance p (1 - p), and p varies itself.
    let chance = real(repeats) * (1.0 / n - (share_variance + 1.0 / (n * n)));
    let variance = chance + real(requests).powi(2) * share_variance;
    // Counts add up to the requests, so each is a free number less the mean of all: its variance is 1 - 1/N times theirs.
    let free = if servers > 1 {
        (variance / (1.0 - 1.0 / n)).sqrt()
    } else {
        0.0
    };
    let (chi, chi_deviation) = chi(servers.saturating_sub(1));
    let (range, range_deviation) = RANGES.get(servers.wrapping_sub(2)).copied().unwrap_or_default();
    Theory {
        counts: vec![even; servers],
        deviation: Expected::around(free * chi / n.sqrt(), free * chi_deviation / n.sqrt()),
        spread: Expected::around(free * range, free * range_deviation),
    }
}

/// The assignment's shares, in 512ths of the requests: its two functions, as ASSIGNMENT states them.
///
/// Written anew from that text, so that it can speak against the table that requests were routed by.
#[must_use]
pub fn classroom_shares(servers: usize) -> Vec<u64> {
    const SLOTS: usize = 512;
    const VIRTUAL: usize = 9;
    let mut ring = [None; SLOTS];
    for server in 1..=servers.min(SLOTS / VIRTUAL) {
        for j in 0..VIRTUAL {
            let mut slot = (server * server + j * j + 2 * j + 25) % SLOTS;
            while ring[slot].is_some() {
                slot = (slot + 1) % SLOTS;
            }
            ring[slot] = Some(server - 1);
        }
    }
    let mut shares = vec![0; servers];
    if servers > 0 {
        for id in 0..SLOTS {
            let mut slot = (id * id + 2 * id + 17) % SLOTS;
            let server = loop {
                match ring[slot] {
                    Some(server) => break server,
                    None => slot = (slot + 1) % SLOTS,
                }
            };
            shares[server] += 1;
        }
    }
    shares
}

fn classroom(servers: usize, requests: u64) -> Theory {
    let n = real(requests);
    let shares: Vec<f64> = classroom_shares(servers)
        .iter()
        .map(|&share| real(share) / 512.0)
        .collect();
    let counts: Vec<f64> = shares.iter().map(|share| share * n).collect();
    let even = n / real_len(servers.max(1));
    let exact = (counts.iter().map(|count| (count - even).powi(2)).sum::<f64>() / real_len(servers.max(1))).sqrt();
    // The deviation's own scatter, to first order: the sum over servers of d(deviation)/d(count), under multinomial counts.
    let slopes = counts
        .iter()
        .map(|count| (count - even) / (real_len(servers.max(1)) * exact.max(1.0)));
    let (mut square, mut plain) = (0.0, 0.0);
    for (slope, share) in slopes.zip(&shares) {
        square += slope * slope * share;
        plain += slope * share;
    }
    let most = shares.iter().copied().fold(0.0, f64::max);
    let least = shares.iter().copied().fold(1.0, f64::min);
    let gap = most - least;
    Theory {
        counts,
        deviation: Expected::around(exact, (n * (square - plain * plain)).max(0.0).sqrt()),
        spread: Expected::around(gap * n, (n * (most + least - gap * gap)).max(0.0).sqrt()),
    }
}

/// Mean and deviation of the length of a vector of so many independent normal numbers of variance 1.
fn chi(degrees: usize) -> (f64, f64) {
    // The mean of one is sqrt(2 / pi), and the product of two that follow each other is the lower one's degrees.
    let mut mean = (2.0 / std::f64::consts::PI).sqrt();
    for degree in 1..degrees {
        mean = real_len(degree) / mean;
    }
    if degrees == 0 {
        return (0.0, 0.0);
    }
    (mean, (real_len(degrees) - mean * mean).sqrt())
}

// === impl Expected ===

impl Expected {
    fn around(mean: f64, deviation: f64) -> Self {
        Self {
            mean,
            low: (mean - 2.0 * deviation).max(0.0),
            high: mean + 2.0 * deviation,
        }
    }

    /// Whether a figure is where some 95 % of all runs lie.
    #[must_use]
    pub fn holds(&self, figure: f64) -> bool {
        (self.low..=self.high).contains(&figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::Rng, stats};

    /// ASSIGNMENT's table, per 10,000 requests.
    const COUNTS: [(&[f64], f64); 5] = [
        (&[9531.0, 469.0], 4531.0),
        (&[8437.0, 469.0, 1094.0], 3618.0),
        (&[8203.0, 469.0, 1016.0, 312.0], 3303.0),
        (&[7969.0, 312.0, 938.0, 312.0, 469.0], 2993.0),
        (&[7891.0, 312.0, 938.0, 312.0, 469.0, 78.0], 2796.0),
    ];

    #[test]
    fn classroom_is_what_the_assignment_expects() {
        for (counts, deviation) in COUNTS {
            let theory = theory(Algorithm::Classroom, counts.len(), 10_000, 10_000);
            for (expected, count) in theory.counts.iter().zip(counts) {
                assert!((expected - count).abs() <= 0.5, "{expected} for {count}");
            }
            assert!((theory.deviation.mean - deviation).abs() <= 1.0, "{theory:?}");
        }
    }

    /// The formulas against ten thousand draws.
    #[test]
    fn scatter_is_that_of_random_placement() {
        let mut rng = Rng::new(1);
        for servers in 2..=7_usize {
            let (mut deviations, mut spreads, runs) = (0.0, 0.0, 2_000);
            for _ in 0..runs {
                let mut counts = vec![0; servers];
                for _ in 0..600 {
                    counts[usize::try_from(rng.below(servers as u64)).unwrap()] += 1;
                }
                deviations += stats::deviation(&counts);
                spreads += real(stats::spread(&counts));
            }
            let theory = theory(Algorithm::Rendezvous, servers, 600, 600);
            let (deviation, spread) = (deviations / f64::from(runs), spreads / f64::from(runs));
            assert!(
                (deviation / theory.deviation.mean - 1.0).abs() < 0.05,
                "{servers}: {deviation} {theory:?}"
            );
            assert!(
                (spread / theory.spread.mean - 1.0).abs() < 0.05,
                "{servers}: {spread} {theory:?}"
            );
        }
    }

    /// Circles that are cut at random, against the share's variance.
    #[test]
    fn a_ring_scatters_as_its_arcs_do() {
        let (mut rng, servers, points, rings) = (Rng::new(2), 4, 160, 200);
        let mut squares = 0.0;
        for _ in 0..rings {
            let mut cuts: Vec<(f64, usize)> = (0..servers * points).map(|at| (rng.unit(), at % servers)).collect();
            cuts.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut shares = vec![0.0; servers];
            let mut last = cuts.last().unwrap().0 - 1.0;
            for (at, server) in cuts {
                shares[server] += at - last;
                last = at;
            }
            squares += shares.iter().map(|share| (share - 0.25_f64).powi(2)).sum::<f64>() / 4.0;
        }
        let (measured, expected) = (squares / f64::from(rings), 3.0 / (16.0 * 641.0));
        assert!((measured / expected - 1.0).abs() < 0.2, "{measured} {expected}");
    }

    #[test]
    fn repeated_keys_scatter_more() {
        let (once, often) = (
            theory(Algorithm::Maglev, 3, 1000, 1000),
            theory(Algorithm::Maglev, 3, 1000, 100_000),
        );
        assert!((often.deviation.mean / once.deviation.mean - 10.0).abs() < 0.01);
        assert!(once.deviation.holds(once.deviation.mean) && !once.deviation.holds(1e6));
    }

    #[test]
    fn one_server_has_no_scatter() {
        for algorithm in Algorithm::ALL {
            let theory = theory(algorithm, 1, 1000, 1000);
            assert!(
                theory.deviation.mean.abs() < 1e-9 && theory.spread.mean.abs() < 1e-9,
                "{algorithm}: {theory:?}"
            );
        }
    }
}
