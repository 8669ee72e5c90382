//! Short names of long things: the same on every machine and in every version.

use lbpool_api::MemberName;
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

/// Hash of what a change of which must roll the members.
pub(crate) fn template_hash(template: &impl Serialize, port: u16) -> Result<String, serde_json::Error> {
    let mut input = String::new();
    canonical(&serde_json::to_value(template)?, &mut input);
    input.push_str(&port.to_string());
    Ok(text(xxh3_128(input.as_bytes()), TEMPLATE))
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
        assert_eq!(template_hash(&template, 5000).unwrap(), "njj64vf4jj");
        assert_ne!(
            template_hash(&template, 5001).unwrap(),
            template_hash(&template, 5000).unwrap()
        );
    }
}
