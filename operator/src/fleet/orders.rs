//! What a fleet asks of whoever keeps its members: a task or a thread of its own, that is asked for one thing at a time.

use std::time::Duration;

use jiff::Timestamp;
use lbpool_api::pool::Health;
use lbpool_core::{
    Instance, InstanceId, Phase, ValidPool,
    plan::{Create, Delete},
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Created, Error, backoff::Backoffs, probe::News};

/// Orders that wait; who gives more waits too.
const ORDERS: usize = 64;

/// What a keeper is asked to do.
pub(super) enum Order {
    Observe(oneshot::Sender<Vec<Instance>>),
    Create(Box<ValidPool>, Box<Create>, oneshot::Sender<Result<Created, Error>>),
    Delete(InstanceId, Duration, oneshot::Sender<()>),
    Probe(Box<Health>, oneshot::Sender<()>),
    Shutdown(Duration, oneshot::Sender<()>),
}

/// The side that asks. A keeper that is gone answers [`Error::Ended`].
#[derive(Debug)]
pub(super) struct Orders(mpsc::Sender<Order>);

/// The side that does what it is asked.
pub(super) trait Keep {
    /// All members.
    fn observe(&self) -> Vec<Instance>;
    /// As [`Fleet::create`](super::Fleet::create).
    fn create(&mut self, pool: &ValidPool, create: &Create) -> Result<Created, Error>;
    /// As [`Fleet::delete`](super::Fleet::delete).
    fn delete(&mut self, id: &InstanceId, grace: Duration);
    /// As [`Fleet::probe`](super::Fleet::probe).
    fn probe(&self, health: &Health);
    /// Ends all, starts none from now on, and tells when the last has ended.
    fn shutdown(&mut self, grace: Duration, ended: oneshot::Sender<()>);

    /// An asker that is gone needs no answer.
    fn obey(&mut self, order: Order) {
        match order {
            Order::Observe(answer) => _ = answer.send(self.observe()),
            Order::Create(pool, create, answer) => _ = answer.send(self.create(&pool, &create)),
            Order::Delete(id, grace, answer) => {
                self.delete(&id, grace);
                _ = answer.send(());
            }
            Order::Probe(health, answer) => {
                self.probe(&health);
                _ = answer.send(());
            }
            Order::Shutdown(grace, answer) => self.shutdown(grace, answer),
        }
    }
}

// === impl Orders ===

impl Orders {
    /// Both ends.
    pub fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (orders, obeyed) = mpsc::channel(ORDERS);
        (Self(orders), obeyed)
    }

    pub async fn observe(&self) -> Result<Vec<Instance>, Error> {
        self.ask(Order::Observe).await
    }

    pub async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Created, Error> {
        let (pool, create) = (Box::new(pool.clone()), Box::new(create.clone()));
        self.ask(|answer| Order::Create(pool, create, answer)).await?
    }

    pub async fn delete(&self, delete: &Delete, grace: Duration) -> Result<(), Error> {
        let id = delete.id.clone();
        self.ask(|answer| Order::Delete(id, grace, answer)).await
    }

    pub async fn probe(&self, health: &Health) -> Result<(), Error> {
        let health = Box::new(health.clone());
        self.ask(|answer| Order::Probe(health, answer)).await
    }

    pub async fn shutdown(&self, grace: Duration) -> Result<(), Error> {
        self.ask(|answer| Order::Shutdown(grace, answer)).await
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        self.0.send(order(answer)).await.map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::Ended)
    }
}

/// Why none is made, where that is so: it is there already, or its seat waits.
pub(super) fn not_now<'a>(
    mut members: impl Iterator<Item = &'a Instance>,
    backoffs: &mut Backoffs,
    create: &Create,
    now: Timestamp,
) -> Option<Created> {
    if members.any(|member| member.name == create.name) {
        return Some(Created::Exists);
    }
    let (at, why) = backoffs.wait(&create.seat, &create.template, now)?;
    Some(Created::NotBefore { at, why })
}

/// Members are probed this way from now on; nobody hears of what is as it was.
pub(super) fn probe_by(health: &watch::Sender<Health>, wanted: &Health) {
    health.send_if_modified(|last| {
        let changed = last != wanted;
        if changed {
            last.clone_from(wanted);
        }
        changed
    });
}

/// Takes note of what a probe found: whether it is anything new.
pub(super) fn hear(member: &mut Instance, news: News) -> bool {
    match news {
        News::Ready => {
            member.phase = Phase::Ready;
            member.trouble = None;
        }
        News::Unready(why) => {
            member.phase = Phase::Unready;
            member.trouble = Some(why);
        }
        News::Slow(why) if member.phase == Phase::Starting => member.trouble = Some(why),
        News::Slow(_) => return false,
    }
    true
}
