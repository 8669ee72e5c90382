//! How long a look-up, a build and a change take.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lbpool_ring::{Algorithm, Error, Member, Table};
use std::hint::black_box;
use std::time::Duration;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rendezvous, Algorithm::Ring, Algorithm::Maglev];

fn pool(count: usize) -> Vec<Member> {
    (0..count).map(|index| Member::new(format!("demo-{index}"))).collect()
}

/// Hashes that come in no order, as keys do.
fn look_up(c: &mut Criterion) -> Result<(), Error> {
    let mut group = c.benchmark_group("look-up");
    for algorithm in ALGORITHMS {
        for count in [10, 1000] {
            let table = Table::build_with(algorithm, &pool(count))?;
            let mut hash = 1_u64;
            group.bench_function(BenchmarkId::new(algorithm.as_str(), count), |b| {
                b.iter(|| {
                    hash = hash
                        .wrapping_mul(0x5851_F42D_4C95_7F2D)
                        .wrapping_add(0x1405_7B7E_F767_814F);
                    black_box(table.owner(hash))
                });
            });
        }
    }
    let table = Table::build(&pool(1000))?;
    group.bench_function("hash and owner", |b| {
        b.iter(|| table.owner(table.hash(black_box(b"session-0123456789"))));
    });
    group.bench_function("second rank", |b| {
        b.iter(|| table.rank(black_box(b"session-0123456789")).nth(1));
    });
    Ok(())
}

fn build(c: &mut Criterion) -> Result<(), Error> {
    let mut group = c.benchmark_group("build");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    for algorithm in ALGORITHMS {
        for count in [3, 10, 100, 1000] {
            let members = pool(count);
            Table::build_with(algorithm, &members)?;
            group.bench_function(BenchmarkId::new(algorithm.as_str(), count), |b| {
                b.iter(|| Table::build_with(algorithm, &members));
            });
        }
    }
    for count in [10, 100, 1000] {
        let before = Table::build(&pool(count))?;
        let after = pool(count + 1);
        group.bench_function(BenchmarkId::new("one more", count), |b| {
            b.iter(|| before.change(Algorithm::Rendezvous, &after));
        });
    }
    Ok(())
}

fn all(c: &mut Criterion) {
    if let Err(error) = look_up(c).and_then(|()| build(c)) {
        eprintln!("{error}");
    }
}

criterion_group!(benches, all);
criterion_main!(benches);
