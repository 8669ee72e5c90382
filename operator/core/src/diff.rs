//! Where two specs differ, for people.

use lbpool_api::PoolSpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its path, such as `spec.routing.key[0].header`.
    pub path: String,
    /// What it was; null where it was not there.
    pub before: Value,
    /// What it is; null where it is not there.
    pub after: Value,
}

/// The fields that differ, in the order of their names, as deep as both have them.
#[must_use]
pub fn diff(before: &PoolSpec, after: &PoolSpec) -> Vec<Change> {
    let value = |spec| serde_json::to_value(spec).unwrap_or_default();
    let mut changes = Vec::new();
    compare("spec", &value(before), &value(after), &mut changes);
    changes
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    match (before, after) {
        (Value::Object(was), Value::Object(is)) => {
            let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let of = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                compare(&format!("{path}.{name}"), &of(was), &of(is), changes);
            }
        }
        (Value::Array(was), Value::Array(is)) if was.len() == is.len() => {
            for (place, (was, is)) in was.iter().zip(is).enumerate() {
                compare(&format!("{path}[{place}]"), was, is, changes);
            }
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(Change {
            path: path.to_owned(),
            before: before.clone(),
            after: after.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pool;

    #[test]
    fn fields_that_differ_are_told_with_their_path() {
        let before = pool("{replicas: 3, retired: [web-1], routing: {key: [{header: A}]}}").spec;
        let after = pool("{replicas: 5, retired: [web-1, web-2], routing: {key: [{header: B}]}}").spec;
        let told: Vec<String> = diff(&before, &after)
            .iter()
            .map(|change| format!("{}: {} -> {}", change.path, change.before, change.after))
            .collect();
        assert_eq!(
            told,
            [
                "spec.replicas: 3 -> 5",
                r#"spec.retired: ["web-1"] -> ["web-1","web-2"]"#,
                r#"spec.routing.key[0].header: "A" -> "B""#,
            ]
        );
        assert_eq!(diff(&after, &after), []);
    }
}
