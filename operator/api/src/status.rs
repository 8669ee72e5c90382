//! What is reported about a pool: status, states, conditions and their reasons.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::MemberName;

/// What the operator last saw and did. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PoolStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Seats of the pool, as the scale subresource reports them.
    pub replicas: i32,
    /// Seats whose Pod is ready and routed to.
    pub ready_replicas: i32,
    /// Seats whose Pod runs the present template.
    pub updated_replicas: i32,
    /// Label selector of the members' Pods, as text, for autoscalers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Version of the routing document: grows with each of its changes.
    #[schemars(range(min = 0))]
    pub epoch: i64,
    /// Digest of the table that follows from the routing document: the same on every balancer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The seats, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberStatus>,
    /// Ready seats of all seats, such as 3/3.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ready: String,
    /// Ready, Progressing, Degraded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// One seat as reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Name of the seat.
    pub name: MemberName,
    /// Its weight.
    pub weight: u32,
    /// The Pod (or process) that sits in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// What the seat is doing.
    pub state: SeatState,
    /// Since when it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// What a seat is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SeatState {
    /// In the table, its Pod is ready.
    Serving,
    /// In the table, nothing ready sits in it: its keys are held, spilled or refused.
    Vacant,
    /// Not in the table yet: its first Pod is not ready.
    Joining,
    /// Out of the table: its Pod finishes its requests.
    Draining,
}

impl SeatState {
    /// As it is written in a status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "Serving",
            Self::Vacant => "Vacant",
            Self::Joining => "Joining",
            Self::Draining => "Draining",
        }
    }
}

/// Type of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// Every seat is served.
    Ready,
    /// A change is under way.
    Progressing,
    /// Something needs a person.
    Degraded,
}

impl ConditionType {
    /// As it is written in a status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
        }
    }
}
