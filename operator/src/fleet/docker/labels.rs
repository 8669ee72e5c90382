//! The labels that make a container ours, and what they tell after a restart.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use jiff::Timestamp;
use lbpool_api::{
    MemberName,
    names::{LABEL_MEMBER, LABEL_POOL},
};
use lbpool_core::ValidPool;

use crate::fleet::env::Identity;

const LABEL_ROLE: &str = "lbpool.dev/role";
const LABEL_NAMESPACE: &str = "lbpool.dev/namespace";
const LABEL_SEAT: &str = "lbpool.dev/seat";
const LABEL_TEMPLATE: &str = "lbpool.dev/template";
const LABEL_GENERATION: &str = "lbpool.dev/generation";
const LABEL_UID: &str = "lbpool.dev/uid";
const LABEL_POOL_UID: &str = "lbpool.dev/pool-uid";
const LABEL_OWNER: &str = "lbpool.dev/owner";
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "lbpool");

/// Whose containers they are: a pool's, as one user of one machine runs it, or as a cluster has it.
///
/// The name of a pool is not enough: two users of an engine may both have a `demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Name of the pool.
    pub pool: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID, where it has one that lasts: a pool that is made anew under its name is another one.
    pub uid: Option<String>,
    /// Who runs it: the same after a restart, another one for others.
    pub by: String,
}

/// A container that carries our labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub id: String,
    pub uid: String,
    pub name: String,
    pub seat: MemberName,
    pub template: String,
    pub created: Timestamp,
    pub running: bool,
    #[cfg(feature = "kubernetes")]
    pub namespace: String,
    /// The pool's UID, where it has one that lasts.
    #[cfg(feature = "kubernetes")]
    pub pool_uid: Option<String>,
}

// === impl Owner ===

impl Owner {
    /// What only containers of this owner have, as the engine's filters take it.
    pub(super) fn filter(&self) -> Vec<String> {
        let Self {
            pool,
            namespace,
            uid,
            by,
        } = self;
        let mut labels = all_of(by);
        labels.extend([format!("{LABEL_POOL}={pool}"), format!("{LABEL_NAMESPACE}={namespace}")]);
        labels.extend(uid.iter().map(|uid| format!("{LABEL_POOL_UID}={uid}")));
        labels
    }

    /// The labels of a member, on top of what the template says.
    pub(super) fn labels(&self, pool: &ValidPool, identity: &Identity) -> HashMap<String, String> {
        let metadata = pool.template.metadata.as_ref();
        let theirs = [
            metadata.and_then(|metadata| metadata.annotations.as_ref()),
            metadata.and_then(|metadata| metadata.labels.as_ref()),
        ];
        let mut labels: HashMap<String, String> = theirs.into_iter().flatten().flat_map(BTreeMap::clone).collect();
        labels.extend(
            [
                (LABEL_POOL, self.pool.clone()),
                (LABEL_NAMESPACE, self.namespace.clone()),
                (LABEL_OWNER, self.by.clone()),
                (LABEL_ROLE, "member".to_owned()),
                (LABEL_MEMBER, identity.seat.host().into_owned()),
                (LABEL_SEAT, identity.seat.to_string()),
                (LABEL_TEMPLATE, pool.template_hash.clone()),
                (LABEL_GENERATION, pool.generation.to_string()),
                (LABEL_UID, identity.uid.clone()),
                (MANAGED_BY.0, MANAGED_BY.1.to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        // A template's own label of this name would have another pool's containers ended.
        labels.remove(LABEL_POOL_UID);
        labels.extend(self.uid.clone().map(|uid| (LABEL_POOL_UID.to_owned(), uid)));
        labels
    }
}

/// What only containers that `by` runs have, of whatever pool.
pub(super) fn all_of(by: &str) -> Vec<String> {
    vec![format!("{LABEL_OWNER}={by}")]
}

/// Labels of a network that we make.
pub(super) fn of_network() -> HashMap<String, String> {
    HashMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())])
}

/// Whether we made a network.
pub(super) fn is_ours(labels: Option<&HashMap<String, String>>) -> bool {
    labels
        .and_then(|labels| labels.get(MANAGED_BY.0))
        .is_some_and(|by| by == MANAGED_BY.1)
}

/// The uid among labels, or among an event's attributes.
pub(super) fn uid(labels: Option<&HashMap<String, String>>) -> Option<&str> {
    labels?.get(LABEL_UID).map(String::as_str)
}

// === impl Listed ===

impl Listed {
    /// Nothing where a label is missing or makes no sense: then it is somebody else's, whatever it looks like.
    pub fn of(summary: &ContainerSummary) -> Option<Self> {
        use ContainerSummaryStateEnum as State;
        let label = |name: &str| {
            summary
                .labels
                .as_ref()?
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let name = summary.names.iter().flatten().next()?;
        Some(Self {
            id: summary.id.clone()?,
            uid: label(LABEL_UID)?,
            name: name.trim_start_matches('/').to_owned(),
            seat: label(LABEL_SEAT)?.parse().ok()?,
            template: label(LABEL_TEMPLATE)?,
            created: Timestamp::from_second(summary.created?).ok()?,
            running: matches!(summary.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING)),
            #[cfg(feature = "kubernetes")]
            namespace: label(LABEL_NAMESPACE).unwrap_or_default(),
            #[cfg(feature = "kubernetes")]
            pool_uid: label(LABEL_POOL_UID),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(labels: &[(&str, &str)]) -> ContainerSummary {
        ContainerSummary {
            id: Some("c1".to_owned()),
            names: Some(vec!["/fish-0-abcde".to_owned()]),
            created: Some(100),
            state: Some(ContainerSummaryStateEnum::RUNNING),
            labels: Some(
                labels
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn a_container_without_all_of_our_labels_is_somebody_elses() {
        let all = [(LABEL_UID, "u"), (LABEL_SEAT, "Fish-0"), (LABEL_TEMPLATE, "t")];
        let listed = Listed::of(&summary(&all)).unwrap();
        assert_eq!((listed.name.as_str(), listed.seat.as_str()), ("fish-0-abcde", "Fish-0"));
        for missing in 0..all.len() {
            let mut some = all.to_vec();
            some.remove(missing);
            assert_eq!(Listed::of(&summary(&some)), None, "{missing}");
        }
        assert_eq!(
            Listed::of(&summary(&[
                (LABEL_UID, "u"),
                (LABEL_SEAT, "no seat"),
                (LABEL_TEMPLATE, "t")
            ])),
            None
        );
    }
}
