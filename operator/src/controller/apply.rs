//! The fourth step: does what the plan says, as far as it can be done.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use lbpool_api::{MemberName, RoutingDocument};
use lbpool_core::{
    Action, Plan, Reason, ValidPool,
    plan::{Create, Delete},
};
use tokio::time::timeout;

use super::{Controller, observe::Memory};
use crate::{Balancers, Created, Error, Fleet};

/// How long balancers may take to route by a document.
const PUBLISH_WITHIN: Duration = Duration::from_secs(10);
/// Members that are told to end at the same time.
const AT_ONCE: usize = 16;
/// Kubernetes' default for a template that says nothing.
const GRACE: Duration = Duration::from_secs(30);

/// What came of a plan.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// Something was done, so that there may be more to do.
    pub progress: bool,
    /// What could not be done, and will be tried again.
    pub failures: Vec<Error>,
    /// What has to wait.
    pub waits: Vec<Wait>,
}

/// A seat whose next instance is not made before a time.
#[derive(Debug)]
pub(super) struct Wait {
    pub seat: MemberName,
    pub until: Timestamp,
    pub why: String,
}

/// What came of making one.
enum Made {
    New,
    Exists,
    Later(Wait),
}

// === impl Applied ===

impl Applied {
    fn note(&mut self, done: Result<bool, Error>) {
        match done {
            Ok(progress) => self.progress |= progress,
            Err(error) => self.failures.push(error),
        }
    }

    /// Whether it is progress.
    fn take(&mut self, made: Made) -> bool {
        match made {
            Made::New => true,
            Made::Exists => false,
            Made::Later(wait) => {
                self.waits.push(wait);
                false
            }
        }
    }
}

// === impl Controller ===

impl<F: Fleet, B: Balancers> Controller<F, B> {
    /// An action that fails keeps none of the others from being done, but for several of a batch that all fail: what is
    /// wrong with them is wrong with the rest.
    pub(super) async fn apply(&mut self, pool: &ValidPool, plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        let (mut creates, mut deletes) = (Vec::new(), Vec::new());
        for action in &plan.actions {
            match action {
                Action::Publish { document, reason } => {
                    let done = self.publish(document.clone(), *reason).await;
                    applied.note(done);
                }
                Action::Create(create) => creates.push(create),
                Action::Delete(delete) => deletes.push(delete),
            }
        }
        // Slow start, as ReplicaSets do: one, two, four, ... at a time.
        let mut left = creates.as_slice();
        let mut size = 1;
        while !left.is_empty() {
            let (batch, rest) = left.split_at(size.min(left.len()));
            let made = join_all(batch.iter().map(|create| self.create(pool, create))).await;
            let failed = made.len() > 1 && made.iter().all(Result::is_err);
            for made in made {
                let progress = made.map(|made| applied.take(made));
                applied.note(progress);
            }
            if failed {
                break;
            }
            left = rest;
            size *= 2;
        }
        for batch in deletes.chunks(AT_ONCE) {
            for done in join_all(batch.iter().map(|delete| self.delete(pool, delete))).await {
                applied.note(done);
            }
        }
        applied
    }

    /// Hands out again what nobody knows the fate of. Until it is known nothing is decided on documents.
    pub(super) async fn confirm(&mut self) -> Result<(), Error> {
        match self.memory.unconfirmed.take() {
            Some(document) => hand_out(&self.balancers, &mut self.memory, document).await,
            None => Ok(()),
        }
    }

    async fn publish(&mut self, mut document: RoutingDocument, reason: Reason) -> Result<bool, Error> {
        let moved = self.tables.stamp(&mut document).await?;
        let (epoch, digest, members) = (document.epoch, document.digest.clone(), document.members.len());
        hand_out(&self.balancers, &mut self.memory, document).await?;
        self.metrics.published(reason);
        tracing::info!(
            epoch,
            digest,
            members,
            moved,
            reason = reason.as_str(),
            "routing published"
        );
        if moved > 0.0 {
            let share = moved * 100.0;
            let note = format!("epoch {epoch}: {members} in the table; {share:.1} % of the keys moved");
            self.tell(false, "TableChanged", note);
        }
        Ok(true)
    }

    async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Made, Error> {
        let Create { name, seat, reason, .. } = create;
        let created = self.fleet.create(pool, create).await.map_err(|source| Error::Create {
            seat: seat.clone(),
            name: name.clone(),
            source,
        })?;
        Ok(match created {
            Created::New => {
                self.metrics.created(*reason);
                tracing::info!(%seat, instance = name, reason = reason.as_str(), "member started");
                if *reason == Reason::Failed {
                    self.tell(
                        true,
                        "MemberReplaced",
                        format!("{name} takes the seat {seat}, whose member failed"),
                    );
                }
                Made::New
            }
            Created::Exists => Made::Exists,
            Created::NotBefore { at, why } => {
                tracing::debug!(%seat, %at, why, "member waits");
                Made::Later(Wait {
                    seat: seat.clone(),
                    until: at,
                    why,
                })
            }
        })
    }

    async fn delete(&self, pool: &ValidPool, delete: &Delete) -> Result<bool, Error> {
        let Delete { name, seat, reason, .. } = delete;
        self.fleet
            .delete(delete, grace(pool))
            .await
            .map_err(|source| Error::Delete {
                seat: seat.clone(),
                name: name.clone(),
                source,
            })?;
        self.metrics.deleted(*reason);
        let departure = self
            .memory
            .departures
            .iter()
            .find(|departure| departure.id == delete.id);
        if let Some(departure) = departure {
            let took = Timestamp::now().duration_since(departure.since);
            self.metrics.drained(took.try_into().unwrap_or_default());
        }
        tracing::info!(%seat, instance = name, reason = reason.as_str(), "member told to end");
        Ok(true)
    }
}

async fn hand_out(balancers: &impl Balancers, memory: &mut Memory, document: RoutingDocument) -> Result<(), Error> {
    let epoch = document.epoch;
    match timeout(PUBLISH_WITHIN, balancers.publish(&document)).await {
        Ok(Ok(())) => {
            memory.routing = Some(document);
            memory.doubt = false;
        }
        Ok(Err(source)) => {
            memory.doubt = true;
            memory.read = false;
            return Err(Error::Publish { epoch, source });
        }
        Err(_) => {
            memory.unconfirmed = Some(document);
            return Err(Error::Unconfirmed {
                epoch,
                within: PUBLISH_WITHIN,
            });
        }
    }
    Ok(())
}

/// How long a member may take to end after SIGTERM.
pub(super) fn grace(pool: &ValidPool) -> Duration {
    let seconds = pool
        .template
        .spec
        .as_ref()
        .and_then(|spec| spec.termination_grace_period_seconds);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(GRACE, Duration::from_secs)
}
