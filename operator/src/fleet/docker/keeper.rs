//! Keeps the members: knows what each does, and tells them to end.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
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
    Shared,
    container::{Place, Recipe},
    labels::Listed,
    member::{Change, Event, Member, Origin},
    watch::{self as notices, Notice},
};
use crate::fleet::{
    Created, Error,
    backoff::{Backoffs, Life},
    env::Identity,
    logs::{Output, SeatLogs},
    orders::{self, Keep, Order},
    process::unique_id,
};

/// Room for what members have to tell; they wait when it is full.
const EVENTS: usize = 256;
/// Members that are gone and may still be in a list that was made before.
const REMEMBERED: usize = 1024;

/// A container of ours that was there before us.
#[derive(Debug)]
pub(super) struct Adopted {
    pub listed: Listed,
    /// Where it is reached, if it runs.
    pub address: Option<SocketAddr>,
    /// It answered its health path.
    pub ready: bool,
}

/// The members and what is remembered about their seats.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    changed: Arc<Notify>,
    members: BTreeMap<InstanceId, Kept>,
    gone: VecDeque<InstanceId>,
    backoffs: Backoffs,
    logs: SeatLogs,
    health: watch::Sender<Health>,
    port: u16,
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
    look: Arc<Notify>,
}

impl Keeper {
    /// Serves orders until the fleet is dropped. Containers stay then: the next start finds them.
    pub async fn run(
        shared: Arc<Shared>,
        changed: Arc<Notify>,
        (health, port): (Health, u16),
        found: Vec<Adopted>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let (events, mut told) = mpsc::channel(EVENTS);
        let (notify, mut heard) = mpsc::channel(EVENTS);
        let mut keeper = Self {
            logs: SeatLogs::new(shared.log_dir.clone()),
            shared: Arc::clone(&shared),
            changed,
            members: BTreeMap::new(),
            gone: VecDeque::new(),
            backoffs: Backoffs::default(),
            health: watch::Sender::new(health),
            port,
            lives: JoinSet::new(),
            events,
            closed: false,
            closing: Vec::new(),
        };
        for adopted in found {
            keeper.adopt(adopted);
        }
        let mut watching = JoinSet::new();
        watching.spawn(notices::run(shared, notify));
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => keeper.obey(order),
                    None => break,
                },
                Some(event) = told.recv() => keeper.hear(event),
                Some(notice) = heard.recv() => keeper.notice(notice),
                Some(_) = keeper.lives.join_next() => {}
            }
        }
    }

    /// Takes over a container from an earlier time.
    fn adopt(&mut self, Adopted { listed, address, ready }: Adopted) {
        let phase = match address {
            Some(_) if ready => Phase::Ready,
            Some(_) => Phase::Starting,
            None => Phase::Failed,
        };
        let name = listed.name.clone();
        let instance = Instance {
            id: InstanceId(listed.uid),
            name: listed.name,
            seat: listed.seat,
            template: listed.template,
            phase,
            address,
            created: listed.created,
            trouble: None,
        };
        let container = listed.id;
        let origin = match address {
            Some(address) => Origin::Runs {
                container,
                address,
                ready,
            },
            None => Origin::Ended { container },
        };
        match self.keep(instance, origin) {
            Ok(()) => tracing::info!(instance = name, ?phase, "a container of an earlier run goes on"),
            Err(error) => tracing::warn!(instance = name, %error, "a container of an earlier run is left alone"),
        }
    }

    fn keep(&mut self, instance: Instance, origin: Origin) -> Result<(), Error> {
        let log = self.logs.open(&instance.seat)?;
        let output = Output::new(instance.seat.as_str(), log, self.shared.terminal.clone());
        output.note(&format!("{} starts", instance.name));
        let (end, told_to_end) = watch::channel(None);
        let look = Arc::new(Notify::new());
        let member = Member {
            id: instance.id.clone(),
            name: instance.name.clone(),
            port: self.port,
            protocol: lbpool_core::protocol(&instance.template),
            shared: Arc::clone(&self.shared),
            health: self.health.subscribe(),
            output,
            look: Arc::clone(&look),
            end: told_to_end,
            events: self.events.clone(),
        };
        self.lives.spawn(member.live(origin));
        self.members.insert(instance.id.clone(), Kept { instance, end, look });
        self.changed.notify_one();
        Ok(())
    }

    fn hear(&mut self, Event { id, change }: Event) {
        let Some(kept) = self.members.get_mut(&id) else { return };
        let instance = &mut kept.instance;
        match change {
            Change::Gone => {
                self.members.remove(&id);
                self.gone.push_back(id);
                if self.gone.len() > REMEMBERED {
                    self.gone.pop_front();
                }
                self.close_when_empty();
            }
            _ if instance.phase == Phase::Ending => return,
            Change::Runs(address) => {
                instance.address = Some(address);
                instance.trouble = None;
            }
            Change::Waits(why) => instance.trouble = Some(why),
            Change::Ended(why) => {
                let life = Life {
                    began: instance.created,
                    ended: Timestamp::now(),
                };
                instance.phase = Phase::Failed;
                instance.trouble = Some(why.clone());
                tracing::warn!(instance = instance.name, seat = %instance.seat, why, "member failed");
                self.backoffs.failed(&instance.seat, &instance.template, life, &why);
            }
            Change::Health(news) => {
                if !orders::hear(instance, news) {
                    return;
                }
            }
        }
        self.changed.notify_one();
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Look(uid) => {
                if let Some(kept) = self.members.get(&InstanceId(uid)) {
                    kept.look.notify_one();
                }
            }
            Notice::All(all) => self.compare(all),
            Notice::Engine => self.changed.notify_one(),
        }
    }

    /// Whoever is not listed as running looks after itself; whoever nobody knows was made by a request whose answer was
    /// lost.
    fn compare(&mut self, all: Vec<Listed>) {
        for (id, kept) in &self.members {
            if !all.iter().any(|listed| listed.uid == id.0 && listed.running) {
                kept.look.notify_one();
            }
        }
        for listed in all {
            let id = InstanceId(listed.uid.clone());
            if !self.members.contains_key(&id) && !self.gone.contains(&id) {
                self.adopt(Adopted {
                    listed,
                    address: None,
                    ready: false,
                });
                if self.closed {
                    self.delete(&id, Duration::ZERO);
                }
            }
        }
    }

    fn end_all(&mut self, grace: Duration) {
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

    /// The container itself is made by the member's own task: many start at once, and none holds up a pass.
    fn create(&mut self, pool: &ValidPool, create: &Create) -> Result<Created, Error> {
        if self.closed {
            return Err(Error::Ended);
        }
        let now = Timestamp::now();
        let members = self.members.values().map(|kept| &kept.instance);
        if let Some(not_now) = orders::not_now(members, &mut self.backoffs, create, now) {
            return Ok(not_now);
        }
        orders::probe_by(&self.health, &pool.health);
        self.port = pool.port;
        let identity = Identity {
            seat: create.seat.clone(),
            name: create.name.clone(),
            uid: unique_id(),
            namespace: pool.namespace.clone(),
            port: pool.port,
            address: None,
        };
        let shared = Arc::clone(&self.shared);
        let place = Place {
            network: &shared.network.name,
            reach: shared.reach,
            owner: &shared.owner,
        };
        let recipe = Recipe::new(pool, &identity, &place).map_err(|problems| Error::Template { problems })?;
        let instance = Instance {
            id: InstanceId(identity.uid),
            name: create.name.clone(),
            seat: create.seat.clone(),
            template: create.template.clone(),
            phase: Phase::Starting,
            address: None,
            created: now,
            trouble: None,
        };
        self.keep(instance, Origin::New(Box::new(recipe)))?;
        Ok(Created::New)
    }

    fn delete(&mut self, id: &InstanceId, grace: Duration) {
        let Some(kept) = self.members.get_mut(id) else { return };
        if kept.instance.phase != Phase::Ending {
            kept.instance.phase = Phase::Ending;
            kept.end.send_replace(Some(grace));
            self.changed.notify_one();
        }
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
