//! The names that last: members, and the labels that carry them.

use std::{borrow::Borrow, borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

/// Label that names the pool of a Pod, a Service, a balancer.
pub const LABEL_POOL: &str = "lbpool.dev/pool";
/// Label that names the seat of a Pod, in lower case.
pub const LABEL_MEMBER: &str = "lbpool.dev/member";
/// Label that tells members from balancers: a Service can not select by the absence of a label.
pub const LABEL_ROLE: &str = "lbpool.dev/role";
/// Label of a member's Pod: hash of the template that it was made from.
pub const LABEL_TEMPLATE: &str = "lbpool.dev/template-hash";
/// Annotation of a member's Pod: the seat as it is written; labels carry it in lower case.
pub const ANNOTATION_MEMBER: &str = "lbpool.dev/member";
/// Value of [`LABEL_ROLE`] on a member's Pod.
pub const ROLE_MEMBER: &str = "member";
/// Value of [`LABEL_ROLE`] on a balancer's Pod.
pub const ROLE_BALANCER: &str = "balancer";
/// Key of the routing document in its ConfigMap.
pub const ROUTING_KEY: &str = "routing.json";
/// Port of a balancer's admin listener in a cluster.
pub const ADMIN_PORT: u16 = 9180;
/// API group and version of the resource.
pub const API_VERSION: &str = "lbpool.dev/v1alpha1";
/// Kind of the resource.
pub const KIND: &str = "LoadBalancerPool";

/// Longest name of a member, as for a DNS label.
pub const MEMBER_NAME_MAX: usize = 63;

/// Name of the ConfigMap that holds the routing document of `pool`.
#[must_use]
pub fn routing_config_map(pool: &str) -> String {
    format!("{pool}-routing")
}

/// Name of the headless Service of the members, of its EndpointSlices' label, and of their PodDisruptionBudget.
#[must_use]
pub fn members_service(pool: &str) -> String {
    format!("{pool}-members")
}

/// Name of the balancers' Deployment, of what they run as, and of their PodDisruptionBudget.
#[must_use]
pub fn balancer_name(pool: &str) -> String {
    format!("{pool}-balancer")
}

/// The name of a seat: letters of either case, digits, hyphens; at most 63; first and last no hyphen.
///
/// Keeps its case where people see it; [`MemberName::host`] is its form in hostnames and labels. Two names of a pool
/// that differ only in case are refused, so either form identifies a seat.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct MemberName(String);

/// Why a text is no [`MemberName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no member name: use 1 to 63 letters, digits and hyphens, the first and last no hyphen")]
pub struct NameError {
    name: String,
}

impl MemberName {
    /// The seat `ordinal` of `pool` that has no name of its own: `demo-0`, `demo-1`, ...
    ///
    /// # Errors
    /// Where the pool's name leaves no room for the ordinal.
    pub fn ordinal(pool: &str, ordinal: u32) -> Result<Self, NameError> {
        format!("{pool}-{ordinal}").parse()
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case: a hostname, a label's value.
    #[must_use]
    pub fn host(&self) -> Cow<'_, str> {
        if self.0.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(self.0.to_ascii_lowercase())
        } else {
            Cow::Borrowed(&self.0)
        }
    }
}

// === impl MemberName ===

impl FromStr for MemberName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = name.as_bytes();
        let fits = bytes.len() <= MEMBER_NAME_MAX
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|&b| inner(b));
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(NameError {
                name: name.chars().take(80).collect(),
            })
        }
    }
}

impl fmt::Display for MemberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for MemberName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for MemberName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for MemberName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for MemberName {
    fn schema_name() -> Cow<'static, str> {
        "MemberName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": MEMBER_NAME_MAX,
            "pattern": "^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_case_and_has_a_host_form() {
        let name: MemberName = "Seat-A5".parse().unwrap();
        assert_eq!(name.as_str(), "Seat-A5");
        assert_eq!(name.host(), "seat-a5");
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let long = "x".repeat(64);
        for name in ["", "-a", "a-", "a b", "a.b", "a_b", "ä", long.as_str()] {
            assert!(name.parse::<MemberName>().is_err(), "{name:?}");
        }
    }
}
