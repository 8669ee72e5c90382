//! Short names of long things: the same on every machine and in every version.

use lbpool_api::{MemberName, routing::Protocol};
use serde::Serialize;
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

use crate::InstanceId;

/// Letters and digits that form no words and are not taken for one another, as Kubernetes uses for generated names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest name of an instance: it is also a DNS label.
const NAME_MAX: usize = 63;
const SUFFIX: usize = 5;
const TEMPLATE: usize = 10;
/// End of the hash of a template whose members speak HTTP/2.
const H2C: &str = "-h2c";

/// Name of an instance: `<seat in lower case>-<5 characters>`, a function of pool UID, seat, template hash and the
/// identity of the instance that it replaces. Whatever is repeated yields the same name, and the fleet refuses it.
#[must_use]
pub fn instance_name(pool_uid: &str, seat: &MemberName, template: &str, replaces: Option<&InstanceId>) -> String {
    let seat = seat.host();
    // Lengths in front: no two lists of parts read alike.
    let mut input = Vec::with_capacity(160);
    for part in [pool_uid, &seat, template, replaces.map_or("", |id| &id.0)] {
        input.extend_from_slice(&(part.len() as u64).to_le_bytes());
        input.extend_from_slice(part.as_bytes());
    }
    let room = seat.len().min(NAME_MAX - SUFFIX - 1);
    format!(
        "{}-{}",
        seat[..room].trim_end_matches('-'),
        text(xxh3_128(&input), SUFFIX)
    )
}

/// Hash of what a change of which must roll the members, with what they speak at its end: see [`protocol`].
pub(crate) fn template_hash(
    template: &impl Serialize,
    port: u16,
    protocol: Protocol,
) -> Result<String, serde_json::Error> {
    let mut input = String::new();
    canonical(&serde_json::to_value(template)?, &mut input);
    input.push_str(&port.to_string());
    let mut hash = text(xxh3_128(input.as_bytes()), TEMPLATE);
    if protocol == Protocol::H2c {
        hash.push_str(H2C);
    }
    Ok(hash)
}

/// What an instance of the template with this hash speaks.
///
/// While a pool goes over to another protocol, instances of either template serve side by side, and the spec knows the new
/// one alone. Where each instance's hash says it, nobody has to remember: not a new operator, not one that lost the document.
#[must_use]
pub fn protocol(template_hash: &str) -> Protocol {
    if template_hash.ends_with(H2C) {
        Protocol::H2c
    } else {
        Protocol::Http1
    }
}

/// JSON with sorted keys. `serde_json`'s own map is sorted or not by a feature that any crate of the build may set.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|&(key, _)| key);
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn text(mut hash: u128, length: usize) -> String {
    let base = ALPHABET.len() as u128;
    (0..length)
        .map(|_| {
            let digit = usize::try_from(hash % base).unwrap_or(0);
            hash /= base;
            char::from(ALPHABET[digit])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(name: &str) -> MemberName {
        name.parse().unwrap()
    }

    #[test]
    fn a_name_follows_from_pool_seat_template_and_predecessor() {
        let id = InstanceId("p".into());
        let name = instance_name("u", &seat("S5"), "t", None);
        assert_eq!(
            name,
            instance_name("u", &seat("s5"), "t", None),
            "either case is the same seat"
        );
        assert!(name.starts_with("s5-") && name.len() == 8, "{name}");
        for other in [
            instance_name("v", &seat("S5"), "t", None),
            instance_name("u", &seat("S50"), "t", None),
            instance_name("u", &seat("S5"), "x", None),
            instance_name("u", &seat("S5"), "t", Some(&id)),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn the_longest_seat_still_gives_a_name() {
        let long = instance_name("u", &seat(&"x".repeat(63)), "t", None);
        assert_eq!(long.len(), 63);
        let hyphen = instance_name("u", &seat(&format!("{}-{}", "x".repeat(56), "y".repeat(6))), "t", None);
        assert!(!hyphen.contains("--"), "{hyphen}");
        assert!(hyphen.parse::<MemberName>().is_ok());
    }

    #[test]
    fn a_template_hash_is_known_on_every_machine() {
        let template = serde_json::json!({"b": [1, "x"], "a": {"d": null, "c": true}});
        let hash = |port, protocol| template_hash(&template, port, protocol).unwrap();
        assert_eq!(hash(5000, Protocol::Http1), "njj64vf4jj");
        assert_ne!(hash(5001, Protocol::Http1), hash(5000, Protocol::Http1));
        let h2c = hash(5000, Protocol::H2c);
        assert_eq!(h2c, "njj64vf4jj-h2c");
        assert_eq!(
            [protocol(&h2c), protocol("njj64vf4jj"), protocol("")],
            [Protocol::H2c, Protocol::Http1, Protocol::Http1]
        );
    }
}
