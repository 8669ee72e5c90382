//! A Pod, trimmed to what decisions need: a tenth of what the API server sends.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use lbpool_api::{
    MemberName,
    names::{ANNOTATION_MEMBER, LABEL_MEMBER, LABEL_POOL, LABEL_ROLE, LABEL_TEMPLATE, ROLE_BALANCER},
};
use lbpool_core::{Instance, InstanceId, Phase, UnreadyBalancer};

use super::{index::PoolKey, nodes::Nodes};

/// Characters of the last line of a container that ended.
const LAST_WORDS: usize = 300;

/// What is kept of a Pod of a pool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PodRecord {
    pub name: String,
    pub uid: String,
    /// UID of the object that controls it.
    pub owner: Option<String>,
    pub occupant: Occupant,
    pub node: Option<String>,
    pub ip: Option<IpAddr>,
    pub created: Timestamp,
    pub state: State,
    /// Was ready at some time, as far as we saw.
    pub served: bool,
    /// Why it does not start or ended.
    pub trouble: Option<String>,
    /// It has a node, and its volumes and its network are not there yet.
    pub unmounted: bool,
}

/// What a Pod is there for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// Sits in a seat.
    Member { seat: MemberName, template: String },
    /// Balances.
    Balancer,
}

/// What the API server says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No container runs so far, or none any more.
    Waiting,
    /// Runs and is not ready.
    Running,
    /// Ready.
    Ready,
    /// Its kubelet called it ready, and the control plane no longer does: it has not heard of the node for a while.
    Doubted,
    /// Failed or succeeded, for good.
    Ended,
    /// Was told to end.
    Ending,
}

// === impl PodRecord ===

impl PodRecord {
    /// The pool of a Pod and what is kept of it; none where its labels name no pool or no usable seat.
    pub fn of(pod: &Pod) -> Option<(PoolKey, Self)> {
        let meta = &pod.metadata;
        let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
        let key = PoolKey::new(meta.namespace.as_deref()?, label(LABEL_POOL)?);
        let occupant = if label(LABEL_ROLE).is_some_and(|role| role == ROLE_BALANCER) {
            Occupant::Balancer
        } else {
            let written = meta.annotations.as_ref().and_then(|all| all.get(ANNOTATION_MEMBER));
            let seat =
                written.filter(|seat| label(LABEL_MEMBER).is_some_and(|label| *label == seat.to_ascii_lowercase()));
            Occupant::Member {
                seat: seat.or_else(|| label(LABEL_MEMBER))?.parse().ok()?,
                template: label(LABEL_TEMPLATE).cloned().unwrap_or_default(),
            }
        };
        let status = pod.status.as_ref();
        let state = state(pod);
        let record = Self {
            name: meta.name.clone()?,
            uid: meta.uid.clone()?,
            owner: meta
                .owner_references
                .iter()
                .flatten()
                .find(|owner| owner.controller == Some(true))
                .map(|owner| owner.uid.clone()),
            occupant,
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            ip: status.and_then(|status| status.pod_ip.as_ref()?.parse().ok()),
            created: meta
                .creation_timestamp
                .as_ref()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            state,
            served: matches!(state, State::Ready | State::Doubted),
            trouble: status.and_then(trouble),
            unmounted: holds(pod, "PodScheduled", "True") && holds(pod, "PodReadyToStartContainers", "False"),
        };
        Some((key, record))
    }

    /// What is told of a balancer that is not ready. One that was, and says nothing, may be so again at any moment.
    pub fn unready(&self) -> Option<UnreadyBalancer> {
        (!self.served || self.trouble.is_some()).then(|| UnreadyBalancer {
            name: self.name.clone(),
            created: self.created,
            unmounted: self.unmounted,
            trouble: self.trouble.clone(),
        })
    }

    /// As a decision sees it; none for a balancer.
    pub fn instance(&self, port: u16, nodes: &Nodes) -> Option<Instance> {
        let Occupant::Member { seat, template } = &self.occupant else {
            return None;
        };
        let lost = self.node.as_deref().filter(|node| nodes.is_lost(node));
        let phase = match self.state {
            State::Ending => Phase::Ending,
            State::Ended => Phase::Failed,
            _ if lost.is_some() => Phase::Failed,
            // Until the node is lost: a control plane that was away itself doubts all Pods at once when it is back.
            State::Ready | State::Doubted => Phase::Ready,
            State::Waiting | State::Running if self.served => Phase::Unready,
            State::Waiting | State::Running => Phase::Starting,
        };
        Some(Instance {
            id: InstanceId(self.uid.clone()),
            name: self.name.clone(),
            seat: seat.clone(),
            template: template.clone(),
            phase,
            address: self.ip.map(|ip| SocketAddr::new(ip, port)),
            created: self.created,
            trouble: lost.map_or_else(
                || self.trouble.clone(),
                |node| Some(format!("its node {node} is not ready")),
            ),
        })
    }
}

/// Whether a condition is there with this status.
fn holds(pod: &Pod, kind: &str, status: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut found = conditions.filter(|condition| condition.type_ == kind);
    found.any(|condition| condition.status == status)
}

fn state(pod: &Pod) -> State {
    if pod.metadata.deletion_timestamp.is_some() {
        return State::Ending;
    }
    let Some(status) = &pod.status else {
        return State::Waiting;
    };
    if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
        return State::Ended;
    }
    // A kubelet says ready where all containers are, and all gates that the Pod has. Only the node lifecycle controller takes
    // the word back and leaves that of the containers.
    let gated = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.readiness_gates.as_ref().is_some_and(|gates| !gates.is_empty()));
    let runs = |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.running.is_some());
    if holds(pod, "Ready", "True") {
        State::Ready
    } else if holds(pod, "ContainersReady", "True") && !gated {
        State::Doubted
    } else if status.container_statuses.iter().flatten().any(runs) {
        State::Running
    } else {
        State::Waiting
    }
}

/// What a person would want to know of a Pod that does not serve, in the words of kubelet and scheduler.
fn trouble(status: &PodStatus) -> Option<String> {
    if status.phase.as_deref() == Some("Failed") {
        let words = [status.reason.as_deref(), status.message.as_deref()];
        let words: Vec<_> = words.into_iter().flatten().collect();
        let text = if words.is_empty() {
            "failed".to_owned()
        } else {
            words.join(": ")
        };
        return Some(text);
    }
    let init = status.init_container_statuses.iter().flatten();
    let mut containers = init.chain(status.container_statuses.iter().flatten());
    containers.find_map(waits).or_else(|| unscheduled(status))
}

fn waits(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    // These are on the way of every Pod that starts.
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
    let ended = container.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let told = waiting.message.clone().unwrap_or_default();
    let name = &container.name;
    Some(match ended {
        Some(ended) if reason == "CrashLoopBackOff" => {
            let last = ended.message.as_deref().and_then(last_words);
            format!(
                "container {name}: {reason}: exit code {}, restarted {} times{}",
                ended.exit_code,
                container.restart_count,
                last.map_or_else(String::new, |last| format!(": {last}"))
            )
        }
        _ if told.is_empty() => format!("container {name}: {reason}"),
        _ => format!("container {name}: {reason}: {told}"),
    })
}

/// The last line that a container left behind, as much of it as a person reads.
fn last_words(message: &str) -> Option<String> {
    let line = message.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(LAST_WORDS).collect())
}

fn unscheduled(status: &PodStatus) -> Option<String> {
    let mut conditions = status.conditions.iter().flatten();
    let condition = conditions.find(|it| it.type_ == "PodScheduled" && it.status == "False")?;
    let reason = condition.reason.as_deref().unwrap_or("not scheduled");
    Some(
        condition
            .message
            .as_ref()
            .map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}")),
    )
}
