//! Figures from a fixed seed.

use lbpool_report::{Algorithm, ChangeKind, stats, theory::theory};

use crate::sample;

#[test]
fn counts_of_a_seed_are_always_the_same() {
    let counts = |algorithm| sample::spread(algorithm, 3, 10_000, 1).counts;
    assert_eq!(counts(Algorithm::Classroom), [8449, 446, 1105]);
    assert_eq!(counts(Algorithm::Ring), [3082, 3314, 3604]);
    assert_eq!(counts(Algorithm::Maglev), [3267, 3353, 3380]);
    assert_eq!(counts(Algorithm::Rendezvous), [3310, 3346, 3344]);
}

#[test]
fn most_figures_are_where_theory_has_them() {
    let (mut inside, mut all) = (0, 0);
    for seed in 1..=5 {
        for algorithm in Algorithm::ALL {
            for servers in 2..=7 {
                let spread = sample::spread(algorithm, servers, 2000, seed);
                let theory = theory(algorithm, servers, spread.requests, spread.repeats);
                let measured = stats::deviation(&spread.counts);
                // One ring is one draw of its arcs: only that it is no other order of size can be asked for.
                let holds = algorithm == Algorithm::Ring || theory.deviation.holds(measured);
                (inside, all) = (inside + u32::from(holds), all + 1);
            }
        }
    }
    assert!(inside * 100 >= all * 88, "{inside} of {all}");
}

#[test]
fn what_moved_is_told_by_whether_it_had_to() {
    let change = |algorithm, kind| sample::change(algorithm, kind, 10_000, 1);
    for kind in [ChangeKind::Removal, ChangeKind::Addition] {
        let ring = change(Algorithm::Ring, kind);
        assert_eq!(ring.needless(), 0, "a ring moves nothing else");
        assert!((ring.moved() - ring.table_moved).abs() < 0.015);
        let capped = change(Algorithm::Rendezvous, kind);
        assert!(
            (0.9..1.12).contains(&(capped.moved() / capped.ideal())),
            "{}",
            capped.moved()
        );
        let maglev = change(Algorithm::Maglev, kind);
        assert!(maglev.needless() > 0);
    }
    let classroom = change(Algorithm::Classroom, ChangeKind::Removal);
    assert!(
        classroom.needless() > 0,
        "servers behind the one that left have other numbers"
    );
}

#[test]
fn a_kill_knows_when_its_seat_answered_again() {
    let kill = sample::kill(Algorithm::Ring, 1, 40);
    let back = kill.back().unwrap();
    assert!((210.0..230.0).contains(&back), "{back}");
    assert!(kill.failures() > 5 && kill.slowest() > 2.0);
    assert_eq!(sample::kill(Algorithm::Ring, 1, 0).failures(), 0);
}
