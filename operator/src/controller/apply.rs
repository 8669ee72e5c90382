//! The fourth step: does what the plan says, as far as it can be done.

use std::time::Duration;

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
    /// Why the fleet can not be seen or changed at present.
    pub away: Option<String>,
}

/// A seat whose next instance is not made before a time.
#[derive(Debug)]
pub(super) struct Wait {
    pub seat: MemberName,
    pub until: Timestamp,
    pub why: String,
}

impl<F: Fleet, B: Balancers> Controller<F, B> {
    /// An action that fails keeps none of the others from being done.
    pub(super) async fn apply(&mut self, pool: &ValidPool, plan: &Plan) -> Applied {
        let mut applied = Applied::default();
        for action in &plan.actions {
            let done = match action {
                Action::Publish { document, reason } => self.publish(document.clone(), *reason).await,
                Action::Create(create) => self.create(pool, create, &mut applied).await,
                Action::Delete(delete) => self.delete(pool, delete).await,
            };
            match done {
                Ok(progress) => applied.progress |= progress,
                Err(error) => applied.failures.push(error),
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
        self.tables.stamp(&mut document).await?;
        let (epoch, digest, members) = (document.epoch, document.digest.clone(), document.members.len());
        hand_out(&self.balancers, &mut self.memory, document).await?;
        self.metrics.published(reason);
        tracing::info!(epoch, digest, members, reason = reason.as_str(), "routing published");
        Ok(true)
    }

    async fn create(&self, pool: &ValidPool, create: &Create, applied: &mut Applied) -> Result<bool, Error> {
        let Create { name, seat, reason, .. } = create;
        let created = self.fleet.create(pool, create).await.map_err(|source| Error::Create {
            seat: seat.clone(),
            name: name.clone(),
            source,
        })?;
        match created {
            Created::New => {
                self.metrics.created(*reason);
                tracing::info!(%seat, instance = name, reason = reason.as_str(), "member started");
                Ok(true)
            }
            Created::Exists => Ok(false),
            Created::NotBefore { at, why } => {
                tracing::debug!(%seat, %at, why, "member waits");
                applied.waits.push(Wait {
                    seat: seat.clone(),
                    until: at,
                    why,
                });
                Ok(false)
            }
        }
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
