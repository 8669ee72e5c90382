//! Keeps the members: the one thread that starts them, knows them, and outlives them.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use lbpool_api::pool::Health;
use lbpool_core::{Instance, InstanceId, Phase, ValidPool, plan::Create};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};

use super::{
    Config,
    child::Child,
    launch::Launch,
    leftovers::Record,
    member::{Change, Event, Member},
    port::Ports,
};
use crate::fleet::{
    Created, Error,
    backoff::{Backoffs, Life},
    env::Identity,
    logs::{Output, SeatLogs},
    orders::{self, Keep, Order},
    probe::Probe,
};

/// Room for what members have to tell; they wait when it is full.
const EVENTS: usize = 256;

/// The members and what is remembered about their seats.
pub(super) struct Keeper {
    config: Config,
    changed: Arc<Notify>,
    members: BTreeMap<InstanceId, Kept>,
    backoffs: Backoffs,
    logs: SeatLogs,
    ports: Ports,
    /// How members are probed, those that run already too.
    health: watch::Sender<Health>,
    lives: JoinSet<()>,
    events: mpsc::Sender<Event>,
    /// Nothing starts any more.
    closed: bool,
    /// Told when all have ended.
    closing: Vec<oneshot::Sender<()>>,
}

struct Kept {
    instance: Instance,
    end: watch::Sender<Option<Duration>>,
}

impl Keeper {
    /// Serves orders until the fleet is dropped, then ends what still runs.
    pub async fn run(config: Config, changed: Arc<Notify>, mut orders: mpsc::Receiver<Order>) {
        let (events, mut told) = mpsc::channel(EVENTS);
        let mut keeper = Self {
            logs: SeatLogs::new(config.log_dir.clone()),
            config,
            changed,
            members: BTreeMap::new(),
            backoffs: Backoffs::default(),
            ports: Ports::new(),
            health: watch::Sender::default(),
            lives: JoinSet::new(),
            events,
            closed: false,
            closing: Vec::new(),
        };
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => keeper.obey(order),
                    None => break,
                },
                Some(event) = told.recv() => keeper.hear(event),
                Some(_) = keeper.lives.join_next() => {}
            }
        }
        keeper.end_all(Duration::ZERO);
        while !keeper.members.is_empty() {
            let Some(event) = told.recv().await else { break };
            keeper.hear(event);
        }
    }

    fn start(&mut self, pool: &ValidPool, create: &Create, now: Timestamp) -> Result<(), Error> {
        let members = &self.members;
        let port = self.ports.free(|port| {
            members
                .values()
                .any(|kept| kept.instance.address.is_some_and(|address| address.port() == port))
        })?;
        let identity = Identity {
            seat: create.seat.clone(),
            name: create.name.clone(),
            uid: super::unique_id(),
            namespace: pool.namespace.clone(),
            port,
            address: Some(Ipv4Addr::LOCALHOST.into()),
        };
        orders::probe_by(&self.health, &pool.health);
        let launch = Launch::new(pool, &identity, &self.config.search)?;
        let log = self.logs.open(&create.seat)?;
        let output = Output::new(create.seat.as_str(), log, self.config.terminal.clone());
        let (child, pipes) =
            Child::start(&launch, &identity.uid, self.config.guard.as_deref()).map_err(|source| Error::Start {
                program: self.config.guard.clone().unwrap_or_else(|| launch.program.clone()),
                source,
            })?;
        let pid = child.pid();
        output.note(&format!("{} starts: process {pid}, port {port}", create.name));
        // The member runs already; without its record only the guard stands between it and being left behind.
        let record = Record::write(&self.config.records, pid, &identity.uid, &create.name)
            .inspect_err(|error| tracing::warn!(%error, pid, "can not write down a member"))
            .ok();
        let id = InstanceId(identity.uid);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (end, told_to_end) = watch::channel(None);
        let member = Member {
            id: id.clone(),
            child,
            pipes,
            probe: Probe {
                address,
                protocol: lbpool_core::protocol(&create.template),
                health: self.health.subscribe(),
            },
            output,
            record,
            end: told_to_end,
            events: self.events.clone(),
        };
        self.lives.spawn(member.live());
        let instance = Instance {
            id: id.clone(),
            name: create.name.clone(),
            seat: create.seat.clone(),
            template: create.template.clone(),
            phase: Phase::Starting,
            address: Some(address),
            created: now,
            trouble: None,
        };
        self.members.insert(id, Kept { instance, end });
        self.changed.notify_one();
        Ok(())
    }

    fn hear(&mut self, Event { id, change }: Event) {
        let now = Timestamp::now();
        let Some(kept) = self.members.get_mut(&id) else { return };
        let phase = kept.instance.phase;
        match change {
            Change::Ended(_) if phase == Phase::Ending => {
                self.members.remove(&id);
                self.close_when_empty();
            }
            Change::Ended(why) => {
                let life = Life {
                    began: kept.instance.created,
                    ended: now,
                };
                kept.instance.phase = Phase::Failed;
                kept.instance.trouble = Some(why.clone());
                let Instance {
                    name, seat, template, ..
                } = kept.instance.clone();
                tracing::warn!(instance = name, %seat, why, "member failed");
                self.backoffs.failed(&seat, &template, life, &why);
            }
            _ if phase == Phase::Ending => return,
            Change::Health(news) => {
                if !orders::hear(&mut kept.instance, news) {
                    return;
                }
            }
        }
        self.changed.notify_one();
    }

    fn end_all(&mut self, grace: Duration) {
        self.members.retain(|_, kept| kept.instance.phase != Phase::Failed);
        for kept in self.members.values_mut() {
            kept.instance.phase = Phase::Ending;
            kept.end.send_replace(Some(grace));
        }
        self.changed.notify_one();
    }

    fn close_when_empty(&mut self) {
        if self.members.is_empty() {
            for answer in self.closing.drain(..) {
                _ = answer.send(());
            }
        }
    }
}

// === impl Keep for Keeper ===

impl Keep for Keeper {
    fn observe(&self) -> Vec<Instance> {
        self.members.values().map(|kept| kept.instance.clone()).collect()
    }

    fn create(&mut self, pool: &ValidPool, create: &Create) -> Result<Created, Error> {
        if self.closed {
            return Err(Error::Ended);
        }
        let now = Timestamp::now();
        let members = self.members.values().map(|kept| &kept.instance);
        if let Some(not_now) = orders::not_now(members, &mut self.backoffs, create, now) {
            return Ok(not_now);
        }
        match self.start(pool, create, now) {
            Ok(()) => Ok(Created::New),
            Err(error) => {
                let life = Life { began: now, ended: now };
                self.backoffs
                    .failed(&create.seat, &create.template, life, &error.to_string());
                Err(error)
            }
        }
    }

    fn delete(&mut self, id: &InstanceId, grace: Duration) {
        let Some(kept) = self.members.get_mut(id) else { return };
        match kept.instance.phase {
            Phase::Failed => _ = self.members.remove(id),
            Phase::Ending => return,
            Phase::Starting | Phase::Ready | Phase::Unready => {
                kept.instance.phase = Phase::Ending;
                kept.end.send_replace(Some(grace));
            }
        }
        self.changed.notify_one();
    }

    fn probe(&self, health: &Health) {
        orders::probe_by(&self.health, health);
    }

    fn shutdown(&mut self, grace: Duration, ended: oneshot::Sender<()>) {
        self.closed = true;
        self.closing.push(ended);
        self.end_all(grace);
        self.close_when_empty();
    }
}
