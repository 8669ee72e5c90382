//! Members as containers of a Docker engine, or of one that speaks its API.
//!
//! A member is the template's one container, on a network of the engine, with its seat as hostname. It is found again by
//! its labels, so it outlives a restart of this process; what ends it is the controller. The engine's socket stays with
//! this process and enters no container.

#[cfg(feature = "kubernetes")]
mod beside;
mod check;
mod container;
mod endpoint;
mod engine;
mod error;
mod images;
mod keeper;
mod labels;
mod limits;
mod member;
mod mounts;
mod network;
mod quantity;
mod watch;

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::join_all;
use lbpool_core::{
    Instance, ValidPool,
    plan::{Create, Delete},
};
use tokio::{
    sync::{Notify, mpsc, watch as values},
    task::JoinSet,
    time::timeout,
};

#[cfg(feature = "kubernetes")]
pub use self::beside::{Beside, BesideFleet};
use self::{
    container::{Place, Reach, Recipe},
    engine::Engine,
    images::Images,
    keeper::{Adopted, Keeper},
    labels::Listed,
};
pub use self::{
    endpoint::{Endpoint, NoEndpoint, Surroundings},
    error::Error,
    images::Pulling,
    labels::Owner,
};
use super::{Created, Fleet, env::Identity, orders::Orders, probe::Probe};

/// What ending takes besides the grace, on an engine that is busy.
const END_WITHIN: Duration = Duration::from_secs(30);

/// Whether members get a port of this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Publish {
    /// Where the engine's network can not be reached from here.
    #[default]
    Auto,
    /// Never: its network is routed.
    Never,
    /// Always, on 127.0.0.1.
    Loopback,
    /// Never, and the network must be reached from here: a port of this machine is of no use to those who ask members.
    Routed,
}

/// A network of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Whether it is made where there is none of this name, and removed with the last pool on it.
    pub make: bool,
}

/// How members are run.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// Where the engine is.
    pub endpoint: Endpoint,
    /// Whose containers they are.
    pub owner: Owner,
    /// The network that members are on.
    pub network: Network,
    /// Whether members get a port of this machine.
    pub publish: Publish,
    /// Whether the image is made sure of at the start: somebody waits, and an image that is nowhere is an error then. Otherwise
    /// each member sees to it.
    pub image_first: bool,
    /// Folder of the log files, one per seat.
    pub log_dir: PathBuf,
    /// Takes the lines that members print, as `<seat> | <line>`. Lines that find no room are left out.
    pub terminal: Option<mpsc::Sender<String>>,
    /// Told how far a pull has come.
    pub pulling: values::Sender<Option<Pulling>>,
}

/// What the parts of the fleet share.
#[derive(Debug)]
struct Shared {
    engine: Engine,
    owner: Owner,
    network: Network,
    reach: Reach,
    images: Images,
    log_dir: PathBuf,
    terminal: Option<mpsc::Sender<String>>,
    /// Why the engine does not answer; nothing while it does.
    away: values::Sender<Option<String>>,
}

/// Runs members as containers. Dropped, it leaves them: the next one over the same pool goes on with them.
#[derive(Debug)]
pub struct DockerFleet {
    shared: Arc<Shared>,
    changed: Arc<Notify>,
    orders: Orders,
    keeper: Mutex<JoinSet<()>>,
}

// === impl Shared ===

impl Shared {
    fn is_away(&self) -> bool {
        self.away.borrow().is_some()
    }

    fn broken(&self, why: &str) -> Error {
        Error::Away {
            endpoint: self.engine.endpoint().to_string(),
            why: why.to_owned(),
        }
    }
}

// === impl DockerFleet ===

impl DockerFleet {
    /// Reaches the engine, gets it ready for `pool`, image and network included, and takes over the containers of an
    /// earlier run. Runs on the runtime that it is started on.
    ///
    /// # Errors
    /// Where the engine can not be used, or the template can not be run on it.
    pub async fn start(config: DockerConfig, pool: &ValidPool) -> Result<Self, super::Error> {
        let DockerConfig {
            endpoint,
            owner,
            network,
            publish,
            image_first,
            log_dir,
            terminal,
            pulling,
        } = config;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&log_dir);
        made.map_err(|source| super::Error::File {
            path: log_dir.clone(),
            source,
        })?;
        let engine = Engine::connect(endpoint).await?;
        let found = network::ensure(&engine, &network).await?;
        let shared = Arc::new(Shared {
            reach: network::reach(&engine, &found, publish).await?,
            images: Images::new(pulling),
            away: values::Sender::new(None),
            engine,
            owner,
            network,
            log_dir,
            terminal,
        });
        if image_first && let Some(recipe) = shared.recipe(pool)? {
            shared.images.ensure(&shared.engine, &recipe.image).await?;
        }
        let found = adopt(&shared, pool).await?;
        let changed = Arc::new(Notify::new());
        let (orders, obeyed) = Orders::channel();
        let mut keeper = JoinSet::new();
        keeper.spawn(Keeper::run(
            Arc::clone(&shared),
            Arc::clone(&changed),
            (pool.health.clone(), pool.port),
            found,
            obeyed,
        ));
        Ok(Self {
            shared,
            changed,
            orders,
            keeper: Mutex::new(keeper),
        })
    }

    /// Removes what a run that was killed has left behind: containers of this owner, and the network where it was made
    /// for them. Gives the containers' names.
    ///
    /// # Errors
    /// Where the engine can not be used.
    pub async fn sweep(endpoint: Endpoint, owner: &Owner, network: &str) -> Result<Vec<String>, super::Error> {
        let engine = Engine::connect(endpoint).await?;
        let all = engine.list(&owner.filter()).await?;
        let mut removed = Vec::new();
        for listed in all.iter().filter_map(Listed::of) {
            match engine.remove(&listed.id).await {
                Err(error) if !error.is_missing() => return Err(error.into()),
                _ => removed.push(listed.name),
            }
        }
        network::leave(&engine, network).await;
        Ok(removed)
    }
}

impl Shared {
    fn recipe(&self, pool: &ValidPool) -> Result<Option<Recipe>, super::Error> {
        let place = Place {
            network: &self.network.name,
            reach: self.reach,
            owner: &self.owner,
        };
        recipe(pool, &place)
    }
}

/// What any member of the pool is made of; nothing for a pool without seats.
fn recipe(pool: &ValidPool, place: &Place<'_>) -> Result<Option<Recipe>, super::Error> {
    let Some(seat) = pool.seats.first() else {
        return Ok(None);
    };
    let identity = Identity {
        seat: seat.name.clone(),
        name: seat.name.host().into_owned(),
        uid: String::new(),
        namespace: pool.namespace.clone(),
        port: pool.port,
        address: None,
    };
    let recipe = Recipe::new(pool, &identity, place);
    recipe.map(Some).map_err(|problems| super::Error::Template { problems })
}

/// The containers of an earlier run. Those that run are probed once: who serves must not be taken for one that starts.
async fn adopt(shared: &Shared, pool: &ValidPool) -> Result<Vec<Adopted>, Error> {
    let all = shared.engine.list(&shared.owner.filter()).await?;
    let (_keep, health) = values::channel(pool.health.clone());
    let look = |listed: Listed| {
        let health = health.clone();
        async move {
            let address = if listed.running {
                address(shared, &listed.id, pool.port).await
            } else {
                None
            };
            let ready = match address {
                Some(address) => {
                    let protocol = lbpool_core::protocol(&listed.template);
                    let probe = Probe {
                        address,
                        protocol,
                        health,
                    };
                    probe.once().await.is_ok()
                }
                None => false,
            };
            Adopted { listed, address, ready }
        }
    };
    Ok(join_all(all.iter().filter_map(Listed::of).map(look)).await)
}

async fn address(shared: &Shared, id: &str, port: u16) -> Option<SocketAddr> {
    let container = shared.engine.inspect(id).await.ok()?;
    network::address(&container, &shared.network.name, shared.reach, port)
}

// === impl Fleet for DockerFleet ===

impl Fleet for DockerFleet {
    fn check(&self, pool: &ValidPool) -> Result<(), super::Error> {
        self.shared.recipe(pool).map(drop)
    }

    /// Says why the engine is away, where it is; what has to be there for a member is made with it.
    async fn provide(&self, _: &ValidPool) -> Result<(), super::Error> {
        let away = self.shared.away.borrow().clone();
        match away {
            Some(why) => Err(self.shared.broken(&why).into()),
            None => Ok(()),
        }
    }

    /// What is known of them; while the engine is away, what was known last and what their probes say since.
    async fn observe(&self) -> Result<Vec<Instance>, super::Error> {
        self.orders.observe().await
    }

    async fn probe(&self, pool: &ValidPool) -> Result<(), super::Error> {
        self.orders.probe(&pool.health).await
    }

    async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Created, super::Error> {
        self.orders.create(pool, create).await
    }

    async fn delete(&self, delete: &Delete, grace: Duration) -> Result<(), super::Error> {
        self.orders.delete(delete, grace).await
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn shutdown(&self, grace: Duration) {
        let ended = self.orders.shutdown(grace);
        if timeout(grace + END_WITHIN, ended).await.is_err() {
            let labels = self.shared.owner.filter().join(",");
            tracing::error!(
                labels,
                "containers are left behind: the engine does not end them; the next start finds them"
            );
        }
        network::leave(&self.shared.engine, &self.shared.network.name).await;
        if let Ok(mut keeper) = self.keeper.lock() {
            keeper.abort_all();
        }
    }
}
