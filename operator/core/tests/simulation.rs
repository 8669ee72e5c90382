//! Validate, plan and status against a fleet and balancers that lose, delay, repeat and reorder.
//!
//! Each seed is a run of its own: a pool is edited, its members crash, hang and are killed by others, requests to the
//! fleet get lost, come late, twice or in another order, what is observed lags behind, balancers are slow or silent, the
//! driver restarts. Then the faults stop and the pool has to settle; and so on for 3,000 steps. After each step the rules
//! of `simulation/rules.rs` are checked. `LBPOOL_SEED=17 cargo test -p lbpool-core --test simulation -- --nocapture`
//! replays one seed and prints what happened.

#[cfg(test)]
mod simulation {
    pub(crate) mod driver;
    pub(crate) mod mutants;
    pub(crate) mod pool;
    pub(crate) mod rng;
    pub(crate) mod rules;
    pub(crate) mod run;
    pub(crate) mod world;
}

#[cfg(test)]
mod tests {
    use std::{num::NonZero, sync::Mutex, thread};

    use super::simulation::{
        mutants::MUTANTS,
        run::{Outcome, run},
    };

    const SEEDS: u64 = 256;
    const STEPS: u64 = 3_000;

    #[test]
    fn every_rule_holds_whatever_the_fleet_does() {
        if let Some(seed) = std::env::var_os("LBPOOL_SEED") {
            let seed = seed.to_string_lossy().parse().expect("LBPOOL_SEED is a number");
            let outcome = run(seed, STEPS, lbpool_core::plan, true);
            assert!(
                outcome.violation.is_none(),
                "seed {seed}: {}",
                outcome.violation.unwrap()
            );
            return;
        }
        let outcomes = all_seeds();
        let broken: Vec<_> = outcomes
            .iter()
            .filter(|(_, outcome)| outcome.violation.is_some())
            .collect();
        if let Some((seed, outcome)) = broken.first() {
            let others = broken
                .iter()
                .filter_map(|(seed, it)| Some((seed, it.violation.as_ref()?.rule)))
                .collect::<Vec<_>>();
            println!("{others:?}");
            panic!(
                "{} of {SEEDS} seeds break a rule, seed {seed} first: {}\nreplay it alone: LBPOOL_SEED={seed} cargo test \
                 -p lbpool-core --test simulation every_rule -- --nocapture",
                broken.len(),
                outcome.violation.as_ref().unwrap()
            );
        }
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(|(_, outcome)| of(outcome)).sum::<u64>();
        let (made, ended, published) = (sum(|it| it.made), sum(|it| it.ended), sum(|it| it.published));
        let (settled, served) = (sum(|it| it.settled), sum(|it| it.served));
        println!(
            "{made} made, {ended} ended, {published} documents, settled {settled} times, {served} of them all served"
        );
        assert!(
            made > 50 * SEEDS && ended > 50 * SEEDS && published > 50 * SEEDS,
            "the runs are too quiet to prove much"
        );
        assert!(
            settled >= 5 * SEEDS && served > SEEDS,
            "the faults never stop for long enough to prove much"
        );
    }

    #[test]
    fn a_seed_replays_exactly() {
        let (first, second) = (
            run(7, 600, lbpool_core::plan, false),
            run(7, 600, lbpool_core::plan, false),
        );
        assert_eq!(first.trail, second.trail);
        assert_ne!(first.trail, run(8, 600, lbpool_core::plan, false).trail);
    }

    #[test]
    fn each_rule_catches_the_plan_that_breaks_it() {
        for (name, rule, mutant) in MUTANTS {
            let caught = (0..24)
                .filter_map(|seed| run(seed, 1_200, *mutant, false).violation)
                .find(|it| it.rule == *rule);
            assert!(caught.is_some(), "{name}: no seed breaks {rule:?}");
        }
    }

    fn all_seeds() -> Vec<(u64, Outcome)> {
        let workers = thread::available_parallelism().map_or(1, NonZero::get) as u64;
        let outcomes = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for worker in 0..workers {
                let outcomes = &outcomes;
                scope.spawn(move || {
                    for seed in (worker..SEEDS).step_by(usize::try_from(workers).unwrap()) {
                        let outcome = run(seed, STEPS, lbpool_core::plan, false);
                        outcomes.lock().unwrap().push((seed, outcome));
                    }
                });
            }
        });
        let mut outcomes = outcomes.into_inner().unwrap();
        outcomes.sort_by_key(|(seed, _)| *seed);
        outcomes
    }
}
