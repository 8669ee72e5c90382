//! What people are told: the status, coalesced, and Events where they would look for them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Resource as _,
    api::{Patch, PatchParams},
    runtime::events::{Event, EventType, Recorder},
};
use lbpool_api::{
    LoadBalancerPool, PoolStatus,
    names::{API_VERSION, KIND},
    status::ConditionType,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::{Access, access::WRITER, watch::chain};
use crate::{PoolHandle, controller::Notice};

/// What changes within so long is written once.
const GATHER: Duration = Duration::from_millis(100);
/// Time between two writes of a status, and after one that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells about one pool.
pub(super) struct Reporter {
    access: Access,
    recorder: Recorder,
    pool: PoolHandle,
    reference: ObjectReference,
    told: PoolStatus,
}

// === impl Reporter ===

impl Reporter {
    pub(super) fn new(access: Access, recorder: Recorder, pool: PoolHandle) -> Self {
        let now = pool.get();
        Self {
            access,
            recorder,
            reference: now.object_ref(&()),
            told: now.status.clone().unwrap_or_default(),
            pool,
        }
    }

    /// Writes each new status and each notice, for as long as it is polled.
    pub(super) async fn run(mut self, mut notices: mpsc::Receiver<Notice>) {
        let mut news = self.pool.watch();
        let mut next = Instant::now();
        loop {
            let due = news
                .borrow_and_update()
                .status
                .clone()
                .filter(|status| *status != self.told);
            tokio::select! {
                changed = news.changed(), if due.is_none() => {
                    if changed.is_err() {
                        return;
                    }
                    sleep(GATHER).await;
                }
                () = sleep_until(next), if due.is_some() => {
                    // What is newest counts, not what was new when the wait began.
                    self.write().await;
                    next = Instant::now() + PAUSE;
                }
                Some(notice) = notices.recv() => self.tell(notice.warning, notice.reason, notice.note).await,
            }
        }
    }

    async fn write(&mut self) {
        let pool = self.pool.get();
        let Some(status) = pool.status.clone() else { return };
        match self.patch(&pool, &status).await {
            Ok(()) => {
                for (warning, reason, note) in turns(&self.told, &status) {
                    self.tell(warning, &reason, note).await;
                }
                self.told = status;
            }
            // The pool was deleted: what was about to be said interests nobody.
            Err(kube::Error::Api(answer)) if answer.is_not_found() => self.told = status,
            Err(error) => tracing::warn!(error = chain(&error), "the status was not written, tried again"),
        }
    }

    async fn patch(&self, pool: &LoadBalancerPool, status: &PoolStatus) -> kube::Result<()> {
        let (name, namespace) = (pool.metadata.name.as_deref(), pool.metadata.namespace.as_deref());
        let (name, namespace) = (name.unwrap_or_default(), namespace.unwrap_or_default());
        let api = Api::<LoadBalancerPool>::namespaced(self.access.client.clone(), namespace);
        let patch = serde_json::json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "uid": pool.metadata.uid},
            "status": status,
        });
        let _turn = self.access.turn().await;
        let params = PatchParams::apply(WRITER).force();
        api.patch_status(name, &params, &Patch::Apply(patch)).await.map(drop)
    }

    async fn tell(&self, warning: bool, reason: &str, note: String) {
        let type_ = if warning { EventType::Warning } else { EventType::Normal };
        let event = Event {
            type_,
            reason: reason.to_owned(),
            // An Event's note may have 1 kB.
            note: Some(note.chars().take(1000).collect()),
            // What is equal in all but its note is counted as a repeat, under the first note: an edit begins anew.
            action: format!(
                "Generation{}Epoch{}",
                self.pool.get().metadata.generation.unwrap_or(1),
                self.told.epoch
            ),
            secondary: None,
        };
        let _turn = self.access.turn().await;
        if let Err(error) = self.recorder.publish(&event, &self.reference).await {
            tracing::debug!(error = chain(&error), reason, "an Event was not written");
        }
    }
}

/// What turned from one status to the next: (warning, reason, note).
fn turns(before: &PoolStatus, after: &PoolStatus) -> Vec<(bool, String, String)> {
    let of = |status: &PoolStatus, kind: ConditionType| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind.as_str())
            .map(|condition| {
                (
                    condition.status == "True",
                    condition.reason.clone(),
                    condition.message.clone(),
                )
            })
    };
    let mut turns = Vec::new();
    let (was, is) = (of(before, ConditionType::Degraded), of(after, ConditionType::Degraded));
    match (was, is) {
        (was, Some((true, reason, note))) if was.as_ref().is_none_or(|was| !was.0 || was.1 != reason) => {
            turns.push((true, reason, note));
        }
        (Some((true, ..)), Some((false, _, note))) => turns.push((false, "Recovered".to_owned(), note)),
        _ => {}
    }
    let (was, is) = (
        of(before, ConditionType::Progressing),
        of(after, ConditionType::Progressing),
    );
    if let Some((_, reason, note)) = is
        && was.as_ref().is_none_or(|was| was.1 != reason)
        && matches!(reason.as_str(), "Updating" | "Scaling" | "Settled" | "Paused")
    {
        turns.push((false, reason, note));
    }
    turns
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lbpool_core::status::set_condition;

    use super::*;

    fn status(degraded: Option<&str>, progressing: &str) -> PoolStatus {
        let mut status = PoolStatus::default();
        let now = Timestamp::UNIX_EPOCH;
        let reason = degraded.unwrap_or("AsExpected");
        set_condition(
            &mut status,
            ConditionType::Degraded,
            degraded.is_some(),
            reason,
            "d",
            now,
        );
        set_condition(&mut status, ConditionType::Progressing, true, progressing, "p", now);
        status
    }

    fn reasons(before: &PoolStatus, after: &PoolStatus) -> Vec<String> {
        turns(before, after).into_iter().map(|turn| turn.1).collect()
    }

    #[test]
    fn an_event_tells_each_turn_once() {
        let (calm, scaling) = (status(None, "Settled"), status(None, "Scaling"));
        let broken = status(Some("MembersFailing"), "Updating");
        assert_eq!(reasons(&PoolStatus::default(), &scaling), ["Scaling"]);
        assert_eq!(reasons(&scaling, &scaling), Vec::<String>::new());
        assert_eq!(reasons(&calm, &broken), ["MembersFailing", "Updating"]);
        assert_eq!(
            reasons(&broken, &status(Some("CreateFailed"), "Updating")),
            ["CreateFailed"]
        );
        assert_eq!(reasons(&broken, &calm), ["Recovered", "Settled"]);
    }
}
