//! A run without servers: the table answers in their place, and times are made up. Everything comes from a seed.

use std::{collections::BTreeMap, sync::Arc};

use lbpool_report::{
    About, Algorithm, Change, ChangeKind, Check, Failed, Flow, Keys, Kill, Oracle, Run, Sample, Setup, Spread,
    keys::{self, Rng},
};

/// A run with all experiments.
pub fn run(seed: u64) -> Run {
    let mut run = Run {
        about: About {
            version: "0.1.0".to_owned(),
            started: "2026-01-01 12:00 UTC".to_owned(),
            seconds: 42.0,
            cores: 2,
            load: Some([0.5, 1.5]),
        },
        setup: Setup {
            pool: "birds".to_owned(),
            url: "http://127.0.0.1:5000".to_owned(),
            keys: "uniform".to_owned(),
            seed,
            connections: 32,
        },
        spreads: Vec::new(),
        changes: Vec::new(),
        kills: Vec::new(),
        failed: Vec::new(),
    };
    for algorithm in Algorithm::ALL {
        for servers in 2..=7 {
            for requests in [1000, 10_000] {
                run.spreads.push(spread(algorithm, servers, requests, seed));
            }
        }
        run.changes.push(change(algorithm, ChangeKind::Removal, 10_000, seed));
        run.changes.push(change(algorithm, ChangeKind::Addition, 10_000, seed));
        run.kills.push(kill(algorithm, seed, 0));
    }
    run
}

/// A run of which some experiments failed, one of the self-checks, and some requests.
pub fn troubled() -> Run {
    let mut run = run(1);
    run.spreads.retain(|spread| spread.algorithm != Algorithm::Ring);
    run.changes.retain(|change| change.kind == ChangeKind::Addition);
    run.kills = vec![kill(Algorithm::Maglev, 1, 40)];
    run.failed = vec![Failed {
        algorithm: Algorithm::Ring,
        experiment: "7 servers".to_owned(),
        reason: "after 60s only 6/7 members are ready <birds-6>".to_owned(),
    }];
    run.spreads[0].check.differing = 3;
    run.spreads[0].check.first = Some("birds-1 answered for the key 123456, which is birds-0's".to_owned());
    run
}

pub fn spread(algorithm: Algorithm, servers: usize, requests: usize, seed: u64) -> Spread {
    let names = names(servers);
    let oracle = oracle(algorithm, &names);
    let keys = Keys::Uniform.requests(seed, requests);
    let mut counts = vec![0; servers];
    for key in &keys {
        let owner = oracle.owner(key).unwrap();
        counts[names.iter().position(|name| name == owner).unwrap()] += 1;
    }
    Spread {
        algorithm,
        servers: names,
        counts,
        requests: requests as u64,
        repeats: keys::repeats(&keys),
        failures: BTreeMap::new(),
        seconds: 0.5,
        check: good(requests),
    }
}

pub fn change(algorithm: Algorithm, kind: ChangeKind, count: usize, seed: u64) -> Change {
    let (before, after, server) = match kind {
        ChangeKind::Removal => {
            let mut after = names(5);
            let server = after.remove(2);
            (names(5), after, server)
        }
        ChangeKind::Addition => (names(5), names(6), "birds-5".to_owned()),
    };
    let (then, now) = (oracle(algorithm, &before), oracle(algorithm, &after));
    let keys = Keys::Uniform.distinct(seed, count);
    let mut flows: BTreeMap<(String, String), u64> = BTreeMap::new();
    for key in &keys {
        let pair = (then.owner(key).unwrap().to_owned(), now.owner(key).unwrap().to_owned());
        *flows.entry(pair).or_default() += 1;
    }
    Change {
        algorithm,
        kind,
        server,
        before,
        after,
        flows: flows
            .into_iter()
            .map(|((from, to), keys)| Flow { from, to, keys })
            .collect(),
        table_moved: now.moved_from(&then),
        astray: 0,
        failures: BTreeMap::new(),
        check: good(3 * count),
    }
}

/// Requests each millisecond around a kill, with slower ones for a while after it and some that fail.
pub fn kill(algorithm: Algorithm, seed: u64, failures: u32) -> Kill {
    let names = names(3);
    let oracle = oracle(algorithm, &names);
    let keys: Vec<Arc<str>> = Keys::Uniform.requests(seed, 3000);
    let (victim, back) = (names[1].clone(), 210.0);
    let mut rng = Rng::new(seed);
    let samples = keys.iter().zip(-750_i32..).map(|(key, at)| {
        let at = f64::from(at);
        let owner = oracle.owner(key).unwrap();
        let away = (0.0..back).contains(&at) && owner == victim;
        let failed = away && at < f64::from(failures);
        let server = if away { names[0].clone() } else { owner.to_owned() };
        let took = 0.3 + rng.unit() * rng.unit() * 2.0 + if away { 1.0 + rng.unit() * 6.0 } else { 0.0 };
        let outcome = if failed {
            Err("status 502".to_owned())
        } else {
            Ok(server)
        };
        Sample::new(at, took, outcome)
    });
    Kill {
        algorithm,
        policy: "Spill".to_owned(),
        samples: samples.collect(),
        servers: names,
        victim,
        rate: 1000,
        astray: 0,
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("birds-{at}")).collect()
}

fn oracle(algorithm: Algorithm, names: &[String]) -> Oracle {
    Oracle::new(algorithm, names.iter().map(|name| (name.as_str(), 1))).unwrap()
}

fn good(compared: usize) -> Check {
    Check {
        compared: compared as u64,
        ..Check::default()
    }
}
