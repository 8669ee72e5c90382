//! Routing: keys, bounds, retries, and the limits of the algorithms.

use lbpool_api::{
    PoolSpec,
    pool::{Algorithm, KeyPart, KeySource, is_json_pointer},
};

use super::Problems;

/// The classroom's table is full at the 56th server.
const CLASSROOM_SEATS: i32 = 56;
/// What the weights of a ring may add up to: its virtual nodes are counted per weight.
const RING_WEIGHT: u64 = 26_214;
const KEY_SOURCES: usize = 16;

pub(super) fn routing(spec: &PoolSpec, problems: &mut Problems) {
    let routing = &spec.routing;
    if routing.algorithm == Algorithm::Classroom && spec.replicas > CLASSROOM_SEATS {
        problems.add(
            "spec.routing.algorithm",
            format!(
                "Classroom has room for {CLASSROOM_SEATS} seats, replicas is {}: choose Rendezvous",
                spec.replicas
            ),
        );
    }
    if routing.algorithm == Algorithm::Ring {
        let weights: u64 = spec.members.iter().map(|member| u64::from(member.weight)).sum();
        let named = i64::try_from(spec.members.len()).unwrap_or(i64::MAX);
        let total = weights + u64::try_from(i64::from(spec.replicas) - named).unwrap_or(0);
        if total > RING_WEIGHT {
            problems.add(
                "spec.routing.algorithm",
                format!(
                    "Ring has room for weights that add up to {RING_WEIGHT}, those of all seats add up to {total}: \
                     divide all weights by a common number, or choose Rendezvous"
                ),
            );
        }
    }
    problems.length("spec.routing.key", routing.key.len(), 0, KEY_SOURCES);
    for (at, source) in routing.key.iter().take(KEY_SOURCES).enumerate() {
        key_source(&format!("spec.routing.key[{at}]"), source, problems);
    }
    if routing.load_bound > 10_000 || (1..=100).contains(&routing.load_bound) {
        problems.add(
            "spec.routing.loadBound",
            format!(
                "is {}, must be 0 (no bound) or 101 to 10000 percent",
                routing.load_bound
            ),
        );
    }
    problems.within("spec.routing.retries.attempts", routing.retries.attempts, 0, 10);
    problems.within("spec.routing.retries.budget", routing.retries.budget, 0, 100);
}

fn key_source(path: &str, source: &KeySource, problems: &mut Problems) {
    let part = source.part();
    let set = count(&part) + usize::from(source.join.is_some());
    if set != 1 {
        problems.add(
            path,
            format!("sets {set} of header, cookie, query, path, pathPrefix, sourceIP, jsonBody, join: set exactly one"),
        );
    }
    key_part(path, &part, problems);
    if let Some(parts) = &source.join {
        problems.length(&format!("{path}.join"), parts.len(), 2, 8);
        for (at, part) in parts.iter().enumerate() {
            let path = format!("{path}.join[{at}]");
            let set = count(part);
            if set != 1 {
                problems.add(
                    path.as_str(),
                    format!(
                        "sets {set} of header, cookie, query, path, pathPrefix, sourceIP, jsonBody: set exactly one"
                    ),
                );
            }
            key_part(&path, part, problems);
        }
    }
}

fn count(part: &KeyPart) -> usize {
    let KeyPart {
        header,
        cookie,
        query,
        path,
        path_prefix,
        source_ip,
        json_body,
    } = part;
    [
        header.is_some(),
        cookie.is_some(),
        query.is_some(),
        path.is_some(),
        path_prefix.is_some(),
        source_ip.is_some(),
        json_body.is_some(),
    ]
    .into_iter()
    .filter(|set| *set)
    .count()
}

fn key_part(path: &str, part: &KeyPart, problems: &mut Problems) {
    for (field, name) in [("header", &part.header), ("cookie", &part.cookie)] {
        let Some(name) = name else { continue };
        let path = format!("{path}.{field}");
        problems.length(&path, name.chars().count(), 1, 128);
        if !name.is_empty() && !name.bytes().all(is_token) {
            problems.add(
                path,
                format!("{name:?} is no {field} name: use letters, digits and !#$%&'*+-.^_`|~"),
            );
        }
    }
    if let Some(query) = &part.query {
        problems.length(&format!("{path}.query"), query.chars().count(), 1, 128);
    }
    for (field, value) in [("path", part.path), ("sourceIP", part.source_ip)] {
        if value == Some(false) {
            problems.add(
                format!("{path}.{field}"),
                "is false, must be true: leave the entry out instead",
            );
        }
    }
    if let Some(segments) = part.path_prefix {
        problems.within(&format!("{path}.pathPrefix"), segments, 1, 32);
    }
    if let Some(pointer) = &part.json_body
        && !is_json_pointer(pointer)
    {
        problems.add(
            format!("{path}.jsonBody"),
            format!(
                "{pointer:?} is no JSON pointer of at most 256 characters: write /user, or /user/id; ~ as ~0, / in a name as ~1"
            ),
        );
    }
}

/// RFC 9110, 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}
