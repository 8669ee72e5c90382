//! The published test vectors are what this crate computes. `BLESS=1 cargo test -p lbpool-ring --test vectors` writes them.

#![expect(clippy::unwrap_used, reason = "a test")]

use lbpool_ring::{Algorithm, Member, Table};
use serde::Serialize;
use std::fs;
use std::path::Path;

const KEYS: [&str; 12] = [
    "",
    "a",
    "cart/42",
    "user-1",
    "user-2",
    "132574",
    "999999",
    "S5",
    "session-0123456789",
    "10.0.0.1",
    "grüße",
    "\u{1f511}",
];

/// How many ranks of a key are written.
const RANKS: usize = 3;

#[derive(Serialize)]
struct Vector<'a> {
    algorithm: &'a str,
    members: Vec<Weighted<'a>>,
    digest: String,
    shares: Vec<f64>,
    keys: Vec<Key<'a>>,
}

#[derive(Serialize)]
struct Weighted<'a> {
    name: &'a str,
    weight: u32,
}

#[derive(Serialize)]
struct Key<'a> {
    #[serde(rename = "key")]
    text: &'a str,
    hash: String,
    rank: Vec<&'a str>,
}

fn vector(algorithm: Algorithm, members: &[Member]) -> String {
    let table = Table::build_with(algorithm, members).unwrap();
    let key = |key: &'static str| Key {
        text: key,
        hash: format!("{:016x}", table.hash(key.as_bytes())),
        rank: table
            .rank(key.as_bytes())
            .take(RANKS)
            .map(|index| &*table.members()[index].name)
            .collect(),
    };
    let vector = Vector {
        algorithm: algorithm.as_str(),
        members: members
            .iter()
            .map(|member| Weighted {
                name: &member.name,
                weight: member.weight,
            })
            .collect(),
        digest: format!("{:016x}", table.digest()),
        // Rounded: what is published must not hang on the last bit of a sum.
        shares: table.shares().iter().map(|share| (share * 1e6).round() / 1e6).collect(),
        keys: KEYS.into_iter().map(key).collect(),
    };
    serde_json::to_string_pretty(&vector).unwrap() + "\n"
}

#[test]
fn published_vectors_are_what_is_computed() {
    let equal = ["demo-0", "demo-1", "demo-2", "S5", "s10"].map(Member::new);
    let weighted =
        [("demo-0", 1), ("demo-1", 2), ("big", 7), ("S5", 3)].map(|(name, weight)| Member::weighted(name, weight));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let bless = std::env::vars_os().any(|(name, _)| name == "BLESS");
    for (file, algorithm, members) in [
        ("rendezvous", Algorithm::Rendezvous, &equal[..]),
        ("rendezvous-weighted", Algorithm::Rendezvous, &weighted),
        ("ring", Algorithm::Ring, &equal),
        ("ring-weighted", Algorithm::Ring, &weighted),
        ("maglev", Algorithm::Maglev, &equal),
        ("maglev-weighted", Algorithm::Maglev, &weighted),
        ("classroom", Algorithm::Classroom, &equal),
    ] {
        let path = folder.join(file).with_extension("json");
        let computed = vector(algorithm, members);
        if bless {
            fs::write(&path, &computed).unwrap();
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            published, computed,
            "{file}.json is not what is computed; BLESS=1 writes it, if the change is wanted"
        );
    }
}
