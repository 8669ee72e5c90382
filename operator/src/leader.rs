//! Who of several operators leads: a Lease, by the rules of client-go's `leaderelection`.
//!
//! - Read, change, replace with the version that was read: a conflict means that somebody else was faster.
//! - Another's lease has expired when **our** clock has seen it unchanged for its duration; the times that are written in it
//!   are for people.
//! - A leader that could not renew for the renew deadline, counted from when its last success was *sent*, is none any more
//!   and ends its process at once. Deadline below duration: it has ended before anybody else may begin.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::kubernetes::chain;

/// Which Lease, and how it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who we are: unique among all who may lead.
    pub identity: String,
    /// How long others must see it unchanged before they take it.
    pub duration: Duration,
    /// How long the leader may fail to renew it before it ends. Below the duration.
    pub renew_deadline: Duration,
    /// Pause between two attempts.
    pub retry_period: Duration,
}

/// Stands for election. Once it has won it is the leader until [`Candidate::hold`] returns.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    terms: Terms,
    /// The version of the Lease that was seen last, and when it was seen first.
    seen: Option<(String, Instant)>,
    /// Of the last success: when it was sent.
    renewed: Instant,
}

/// Why leadership ended.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Another has it.
    #[error("{holder} holds the lease now")]
    Taken {
        /// Who.
        holder: String,
    },
    /// It could not be renewed in time.
    #[error("the lease was not renewed within {within:?}")]
    Late {
        /// How long it was tried.
        within: Duration,
    },
}

/// What came of one attempt.
enum Attempt {
    Held,
    Others(String),
}

// === impl Candidate ===

impl Candidate {
    /// Stands for the lease of `terms`.
    #[must_use]
    pub fn new(client: Client, terms: Terms) -> Self {
        Self {
            api: Api::namespaced(client, &terms.namespace),
            terms,
            seen: None,
            renewed: Instant::now(),
        }
    }

    /// Waits until the lease is ours.
    pub async fn win(&mut self) {
        let mut told = String::new();
        loop {
            match timeout(self.terms.renew_deadline, self.attempt()).await {
                Ok(Ok(Attempt::Held)) => return,
                Ok(Ok(Attempt::Others(holder))) => {
                    if holder != told {
                        tracing::info!(holder, "standing by: another leads");
                        told = holder;
                    }
                }
                Ok(Err(error)) => tracing::warn!(error = chain(&error), "could not try for the lease"),
                Err(_) => tracing::warn!("could not try for the lease: no answer in time"),
            }
            sleep(self.terms.retry_period).await;
        }
    }

    /// Renews the lease until it is lost.
    pub async fn hold(&mut self) -> Lost {
        loop {
            sleep(self.terms.retry_period).await;
            let deadline = self.renewed + self.terms.renew_deadline;
            loop {
                match timeout_at(deadline, self.attempt()).await {
                    Ok(Ok(Attempt::Held)) => break,
                    Ok(Ok(Attempt::Others(holder))) => return Lost::Taken { holder },
                    Ok(Err(error)) => tracing::warn!(error = chain(&error), "could not renew the lease"),
                    Err(_) => return self.late(),
                }
                if timeout_at(deadline, sleep(self.terms.retry_period)).await.is_err() {
                    return self.late();
                }
            }
        }
    }

    const fn late(&self) -> Lost {
        Lost::Late {
            within: self.terms.renew_deadline,
        }
    }

    /// Gives the lease up, so that the next leader need not wait for its end.
    pub async fn release(&mut self) {
        let give = async {
            let Some(mut lease) = self.api.get_opt(&self.terms.name).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(self.terms.identity.as_str()) {
                return Ok(());
            }
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            self.api
                .replace(&self.terms.name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        match timeout(self.terms.retry_period, give).await {
            Ok(Ok(())) => tracing::info!("lease released"),
            Ok(Err(error)) => tracing::warn!(
                error = chain(&error),
                "the lease was not released: others wait for its end"
            ),
            Err(_) => tracing::warn!("the lease was not released in time: others wait for its end"),
        }
    }

    /// Takes or renews the lease where that is allowed.
    async fn attempt(&mut self) -> kube::Result<Attempt> {
        let sent = Instant::now();
        let lease = match self.api.get_opt(&self.terms.name).await? {
            None => {
                let lease = self.ours(Lease::default());
                self.api.create(&PostParams::default(), &lease).await
            }
            Some(lease) => {
                self.note(&lease);
                if let Some(holder) = self.other(&lease) {
                    return Ok(Attempt::Others(holder));
                }
                self.api
                    .replace(&self.terms.name, &PostParams::default(), &self.ours(lease))
                    .await
            }
        };
        match lease {
            Ok(lease) => {
                self.note(&lease);
                self.renewed = sent;
                Ok(Attempt::Held)
            }
            // Somebody was faster; who, the next attempt tells.
            Err(kube::Error::Api(status)) if status.code == 409 => Err(kube::Error::Api(status)),
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, lease: &Lease) {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != version) {
            self.seen = Some((version, Instant::now()));
        }
    }

    /// Who else holds the lease, unless it has expired.
    fn other(&self, lease: &Lease) -> Option<String> {
        let spec = lease.spec.as_ref()?;
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty())?;
        let seconds = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.terms.duration, Duration::from_secs);
        let since = self.seen.as_ref().map(|(_, since)| *since)?;
        (holder != self.terms.identity && since.elapsed() < duration).then_some(holder)
    }

    fn ours(&self, lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.unwrap_or_default();
        let identity = Some(self.terms.identity.clone());
        let kept = before.holder_identity == identity;
        let transitions = before.lease_transitions.unwrap_or(0);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.terms.name.clone()),
                namespace: Some(self.terms.namespace.clone()),
                ..lease.metadata
            },
            spec: Some(LeaseSpec {
                acquire_time: before.acquire_time.filter(|_| kept).or_else(|| Some(now.clone())),
                holder_identity: identity,
                lease_duration_seconds: i32::try_from(self.terms.duration.as_secs()).ok(),
                lease_transitions: Some(if kept { transitions } else { transitions + 1 }),
                renew_time: Some(now),
                ..before
            }),
        }
    }
}
