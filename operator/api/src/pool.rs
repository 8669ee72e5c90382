//! The resource as users write it: `LoadBalancerPool`, group `lbpool.dev`, version `v1alpha1`.
//!
//! Field comments are what `kubectl explain` prints. Defaults, limits and CEL rules are part of the schema, so that an
//! API server refuses what the operator could not use; `lbpool-core`'s `validate` says the same about a file.

use k8s_openapi::{api::core::v1::PodTemplateSpec, apimachinery::pkg::util::intstr::IntOrString};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, MemberName, schema, status::PoolStatus};

mod balancer;

pub use balancer::{
    Balancer, BalancerPodMetadata, BalancerPodSpec, BalancerPodTemplate, BalancerService, BalancerTls, ServiceType,
};

/// Most seats that a pool may have.
pub const SEATS_MAX: u32 = 1024;
/// Largest weight of a seat.
pub const WEIGHT_MAX: u32 = 1000;

/// A pool of servers with names that last: each key stays on its member through restarts, roll-outs and scaling.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "lbpool.dev",
    version = "v1alpha1",
    kind = "LoadBalancerPool",
    plural = "loadbalancerpools",
    shortname = "lbpool",
    category = "all",
    namespaced,
    status = "PoolStatus",
    derive = "PartialEq",
    doc = "A pool of servers with names that last: each key stays on its member through restarts, roll-outs and scaling.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready"),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.updatedReplicas"),
    printcolumn(name = "Epoch", type_ = "integer", json_path = ".status.epoch"),
    printcolumn(name = "Algorithm", type_ = "string", json_path = ".spec.routing.algorithm"),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 52")
        .message("the pool's name must start with a letter, use a-z, 0-9 and hyphens, and have at most 52 characters")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.members) || self.members.size() <= self.replicas")
        .message("there are more named members than replicas"),
    validation = Rule::new("!has(self.members) || !has(self.retired) || !self.members.exists(m, m.name in self.retired)")
        .message("a name can not be both in members and in retired"),
    validation = Rule::new("!has(self.routing) || self.routing.algorithm != 'Classroom' || self.replicas <= 56")
        .message("Classroom has room for 56 seats: lower replicas or choose Rendezvous")
)]
pub struct PoolSpec {
    /// Number of seats, each of which one member fills. Scaling changes this field and nothing else.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1024))]
    pub replicas: i32,
    /// Seats with a name or weight of their own, first in order. The other seats are <pool>-0, <pool>-1, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub members: Vec<Member>,
    /// Names that get no seat.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub retired: Vec<MemberName>,
    /// What a member runs: a Pod template. On one machine its first container is run as a process.
    #[schemars(schema_with = "schema::template")]
    #[x_kube(validation = Rule::new("has(self.spec) && self.spec.containers.size() > 0")
        .message("needs spec.containers with the container that a member runs"))]
    pub template: PodTemplateSpec,
    /// Where members listen: a number, or the name of a container port.
    #[serde(default = "default_port")]
    #[schemars(schema_with = "schema::port")]
    pub port: IntOrString,
    /// What members speak there, in the words of a Service's appProtocol. A change is one of the template: members are replaced seat by seat.
    #[serde(default)]
    pub app_protocol: AppProtocol,
    /// How a request finds its member.
    #[serde(default)]
    pub routing: Routing,
    /// How a member is found to be well.
    #[serde(default)]
    pub health: Health,
    /// How a new template replaces the old one.
    #[serde(default)]
    pub update: Update,
    /// The balancers in front of the pool. Not used on one machine.
    #[serde(default)]
    pub balancer: Balancer,
}

/// What members speak, in the words of a Service's appProtocol (KEP-3726).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AppProtocol {
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "http")]
    Http,
    /// HTTP/2 over plain TCP with prior knowledge, as servers of gRPC want it.
    #[serde(rename = "kubernetes.io/h2c")]
    H2c,
}

/// A seat with a name or weight of its own.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Name of the seat: letters, digits and hyphens, at most 63. Its Pod's hostname is the same in lower case.
    pub name: MemberName,
    /// Share of the keys, relative to the other seats.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1, max = 1000))]
    pub weight: u32,
}

/// How a request finds its member.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routing {
    /// How keys are spread: Rendezvous moves the fewest and spreads evenly; the others are for comparison and migration.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Where a request's key is found: the first source that is present in the request. None present: a random member.
    #[serde(default = "default_key")]
    #[schemars(length(max = 16))]
    pub key: Vec<KeySource>,
    /// What happens to the keys of a member that is not ready.
    #[serde(default)]
    pub when_away: WhenAway,
    /// Percent of the mean load in flight that a member may carry before further requests go to the next rank. 0: no bound.
    #[serde(default = "default_load_bound")]
    #[schemars(range(min = 0, max = 10000))]
    #[x_kube(validation = Rule::new("self == 0 || self > 100").message("must be 0 (no bound) or above 100 percent"))]
    pub load_bound: u32,
    /// When a request is sent again.
    #[serde(default)]
    pub retries: Retries,
    /// How long each part of an exchange may take.
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// How keys are spread over the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// Capped rendezvous: the balance of Maglev and the movement of rendezvous hashing.
    #[default]
    Rendezvous,
    /// Virtual nodes on a ring.
    Ring,
    /// The table of Google's Maglev.
    Maglev,
    /// The classroom assignment's own functions on 512 slots.
    Classroom,
}

/// Whether a text is a JSON pointer (RFC 6901) as a key may have it: to something within the body, of at most 256 characters.
/// ```
/// # use lbpool_api::pool::is_json_pointer;
/// assert!(is_json_pointer("/user/id") && is_json_pointer("/a~1b/0"));
/// assert!(!is_json_pointer("") && !is_json_pointer("user") && !is_json_pointer("/a~2"));
/// ```
#[must_use]
pub fn is_json_pointer(text: &str) -> bool {
    let escaped = |rest: &str| rest.starts_with(['0', '1']);
    text.starts_with('/') && text.chars().count() <= 256 && text.split('~').skip(1).all(escaped)
}

/// One source of a key: exactly one of its fields is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.header), has(self.cookie), has(self.query), has(self.path), has(self.pathPrefix), has(self.sourceIP), has(self.jsonBody), has(self.join)].filter(x, x).size() == 1")
        .message("set exactly one of header, cookie, query, path, pathPrefix, sourceIP, jsonBody, join")
)]
pub struct KeySource {
    /// Value of this header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::TOKEN))]
    pub header: Option<String>,
    /// Value of this cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::TOKEN))]
    pub cookie: Option<String>,
    /// Value of this parameter of the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub query: Option<String>,
    /// The whole path, without the query. Only true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("must be true"))]
    pub path: Option<bool>,
    /// The first so many segments of the path. Absent where the path has fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub path_prefix: Option<u32>,
    /// The client's address. Only true.
    #[serde(default, rename = "sourceIP", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("must be true"))]
    pub source_ip: Option<bool>,
    /// The text, number or boolean that this JSON pointer finds in the body, such as /user/id. Absent where the body is no JSON or longer than 64 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = schema::POINTER))]
    pub json_body: Option<String>,
    /// Several sources as one key: present where all of them are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 8))]
    pub join: Option<Vec<KeyPart>>,
}

/// One part of a joined key: exactly one of its fields is set.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.header), has(self.cookie), has(self.query), has(self.path), has(self.pathPrefix), has(self.sourceIP), has(self.jsonBody)].filter(x, x).size() == 1")
        .message("set exactly one of header, cookie, query, path, pathPrefix, sourceIP, jsonBody")
)]
pub struct KeyPart {
    /// Value of this header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::TOKEN))]
    pub header: Option<String>,
    /// Value of this cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = schema::TOKEN))]
    pub cookie: Option<String>,
    /// Value of this parameter of the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub query: Option<String>,
    /// The whole path, without the query. Only true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("must be true"))]
    pub path: Option<bool>,
    /// The first so many segments of the path. Absent where the path has fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub path_prefix: Option<u32>,
    /// The client's address. Only true.
    #[serde(default, rename = "sourceIP", skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("must be true"))]
    pub source_ip: Option<bool>,
    /// The text, number or boolean that this JSON pointer finds in the body, such as /user/id. Absent where the body is no JSON or longer than 64 KB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = schema::POINTER))]
    pub json_body: Option<String>,
}

/// What happens to the keys of a member that is not ready.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WhenAway {
    /// Spill: to the next rank at once. Hold: wait for the member, then spill. Fail: 503.
    #[serde(default)]
    pub policy: AwayPolicy,
    /// How long Hold waits before it spills.
    #[serde(default = "default_hold_timeout")]
    pub hold_timeout: Duration,
}

/// What happens to the keys of a member that is not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AwayPolicy {
    /// To the next rank at once, home again when the member is back.
    #[default]
    Spill,
    /// Wait for the member up to the time-out, then spill.
    Hold,
    /// Answer 503.
    Fail,
}

/// When a request is sent again: only one that is safe or never left, and always to the next rank.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// How often a request is sent again at most. 0: never.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 0, max = 10))]
    pub attempts: u32,
    /// Percent of the requests that may be sent again, so that an outage is not multiplied.
    #[serde(default = "default_budget")]
    #[schemars(range(min = 0, max = 100))]
    pub budget: u32,
}

/// How long each part of an exchange may take.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// Until a member accepts a connection.
    #[serde(default = "default_connect")]
    pub connect: Duration,
    /// Until a member's answer begins, and between its parts.
    #[serde(default = "default_response")]
    pub response: Duration,
    /// Until an idle connection is closed.
    #[serde(default = "default_idle")]
    pub idle: Duration,
}

/// How a member is found to be well.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// A GET of this path answers 200 to 399 where the member is well.
    #[serde(default = "default_health_path")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = schema::PATH))]
    pub path: String,
    /// Time between two probes.
    #[serde(default = "default_period")]
    pub period: Duration,
    /// How long a probe may take.
    #[serde(default = "default_probe_timeout")]
    pub timeout: Duration,
    /// So many failures in a row: not ready.
    #[serde(default = "default_failures")]
    #[schemars(range(min = 1, max = 100))]
    pub failures: u32,
    /// So many successes in a row: ready again.
    #[serde(default = "default_successes")]
    #[schemars(range(min = 1, max = 100))]
    pub successes: u32,
}

/// How a new template replaces the old one, seat by seat.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.maxSurge > 0 || self.maxUnavailable > 0")
        .message("maxSurge and maxUnavailable can not both be 0")
)]
pub struct Update {
    /// So many members above replicas at most.
    #[serde(default = "default_surge")]
    #[schemars(range(min = 0, max = 1024))]
    pub max_surge: u32,
    /// So many seats empty by our own doing at most.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub max_unavailable: u32,
    /// How long a member that leaves may finish its requests.
    #[serde(default = "default_drain")]
    pub drain_timeout: Duration,
    /// A new member that is not ready after this long makes the pool Degraded.
    #[serde(default = "default_progress")]
    pub progress_deadline: Duration,
    /// Starts no further step of an update.
    #[serde(default)]
    pub paused: bool,
}

// === impl KeySource ===

impl KeySource {
    /// The source without its join: what a part of a joined key may be too.
    #[must_use]
    pub fn part(&self) -> KeyPart {
        let Self {
            header,
            cookie,
            query,
            path,
            path_prefix,
            source_ip,
            json_body,
            join: _,
        } = self.clone();
        KeyPart {
            header,
            cookie,
            query,
            path,
            path_prefix,
            source_ip,
            json_body,
        }
    }
}

// === defaults: what the schema says and what a file gets ===

/// A struct whose every field has a serde default is what an empty object parses to.
macro_rules! default_from_fields {
    ($($name:ident { $($field:ident: $value:expr),* $(,)? })*) => {$(
        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $value),* }
            }
        }
    )*};
}
use default_from_fields;

default_from_fields! {
    Routing {
        algorithm: Algorithm::default(), key: default_key(), when_away: WhenAway::default(),
        load_bound: default_load_bound(), retries: Retries::default(), timeouts: Timeouts::default(),
    }
    WhenAway { policy: AwayPolicy::default(), hold_timeout: default_hold_timeout() }
    Retries { attempts: default_attempts(), budget: default_budget() }
    Timeouts { connect: default_connect(), response: default_response(), idle: default_idle() }
    Health {
        path: default_health_path(), period: default_period(), timeout: default_probe_timeout(),
        failures: default_failures(), successes: default_successes(),
    }
    Update {
        max_surge: default_surge(), max_unavailable: 0, drain_timeout: default_drain(),
        progress_deadline: default_progress(), paused: false,
    }
}

const fn default_replicas() -> i32 {
    1
}
const fn default_weight() -> u32 {
    1
}
const fn default_port() -> IntOrString {
    IntOrString::Int(5000)
}
fn default_key() -> Vec<KeySource> {
    vec![KeySource {
        header: Some("X-Request-Id".to_owned()),
        ..KeySource::default()
    }]
}
const fn default_load_bound() -> u32 {
    125
}
const fn default_hold_timeout() -> Duration {
    Duration::from_secs(2)
}
const fn default_attempts() -> u32 {
    2
}
const fn default_budget() -> u32 {
    20
}
const fn default_connect() -> Duration {
    Duration::from_secs(1)
}
const fn default_response() -> Duration {
    Duration::from_secs(30)
}
const fn default_idle() -> Duration {
    Duration::from_secs(60)
}
fn default_health_path() -> String {
    "/heartbeat".to_owned()
}
const fn default_period() -> Duration {
    Duration::from_secs(1)
}
const fn default_probe_timeout() -> Duration {
    Duration::from_millis(500)
}
const fn default_failures() -> u32 {
    2
}
const fn default_successes() -> u32 {
    1
}
const fn default_surge() -> u32 {
    1
}
const fn default_drain() -> Duration {
    Duration::from_secs(30)
}
const fn default_progress() -> Duration {
    Duration::from_secs(600)
}
