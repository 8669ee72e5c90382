//! The routing document: the one contract between an operator and the balancers.
//!
//! In a cluster it is one key of the ConfigMap `<pool>-routing`, on one machine a file or a channel. Everything a
//! balancer needs to build its table follows from it: same document, same table, same digest.

use serde::{Deserialize, Serialize};

use crate::{
    MemberName,
    pool::{AppProtocol, Health, Routing},
    status::SeatState,
};

/// Who is in the table and how requests are routed, as of an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutingDocument {
    /// Name of the pool.
    pub pool: String,
    /// Grows with each change of the document. A balancer never goes back to a smaller one.
    #[serde(default)]
    pub epoch: u64,
    /// Digest of the table that follows, 16 hexadecimal digits; empty where the writer did not compute it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The seats of the table, in the order of the pool's seats (Classroom numbers them by it).
    pub members: Vec<RoutedMember>,
    /// How a request finds its member.
    #[serde(default)]
    pub routing: Routing,
    /// How a member that looks wrong is probed.
    #[serde(default)]
    pub health: Health,
}

/// One seat of the table. Only seats that own keys are listed: a seat that joins or leaves is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutedMember {
    /// Name of the seat.
    pub name: MemberName,
    /// Share of the keys, relative to the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// What sits in the seat: the Pod's name, or the process'. Absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Where it listens, as `host:port`. Absent in a cluster: EndpointSlices tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it speaks. In a cluster the `appProtocol` of its EndpointSlice decides, where that says anything.
    #[serde(default, skip_serializing_if = "Protocol::is_default")]
    pub protocol: Protocol,
    /// The name that its certificate is for, where a balancer speaks TLS to members. Absent: the host of `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Serving or Vacant.
    #[serde(default = "serving", skip_serializing_if = "is_serving")]
    pub state: SeatState,
}

/// What a member speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, as servers of gRPC want it: over plain TCP with prior knowledge (RFC 9113, section 3.3), or as the handshake
    /// agrees where a balancer speaks TLS to members.
    H2c,
}

// === impl Protocol ===

impl Protocol {
    /// What the `appProtocol` of a Service's port or of an EndpointSlice's says: `kubernetes.io/h2c` is [`Protocol::H2c`],
    /// `http` is [`Protocol::Http1`]; others say nothing that helps here.
    #[must_use]
    pub fn of_app_protocol(text: &str) -> Option<Self> {
        match text {
            "kubernetes.io/h2c" => Some(Self::H2c),
            "http" => Some(Self::Http1),
            _ => None,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl From<AppProtocol> for Protocol {
    fn from(said: AppProtocol) -> Self {
        match said {
            AppProtocol::Http => Self::Http1,
            AppProtocol::H2c => Self::H2c,
        }
    }
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_one(weight: &u32) -> bool {
    *weight == 1
}

const fn serving() -> SeatState {
    SeatState::Serving
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_serving(state: &SeatState) -> bool {
    matches!(state, SeatState::Serving)
}
