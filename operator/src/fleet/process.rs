//! Members as child processes of this one: no container engine, nothing to install.
//!
//! A member is what the first container of the template runs, as a process group of its own, on a loopback port of its own
//! that it finds in `PORT`. Its image, volumes, resources and probes are not used; whether it is ready is what the
//! pool's `health` says. It is told to end with SIGTERM and killed after a grace; it never outlives this process: see
//! [`guard`] and `leftovers`.

mod child;
pub mod guard;
mod keeper;
mod launch;
mod leftovers;
mod member;
mod port;

use std::{
    collections::hash_map::RandomState,
    ffi::OsString,
    fs,
    hash::BuildHasher,
    io,
    net::Ipv4Addr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use lbpool_core::{
    Instance, ValidPool,
    plan::{Create, Delete},
};
use tokio::sync::{Notify, mpsc};

use self::{
    keeper::Keeper,
    launch::{Launch, Search},
};
use super::{
    Created, Error, Fleet,
    env::Identity,
    orders::{Order, Orders},
};

/// How members are run.
#[derive(Clone, Debug, Default)]
pub struct ProcessConfig {
    /// Folder of the running pool: members are written down in `members/` below it.
    pub runtime_dir: PathBuf,
    /// Folder of the log files, one per seat.
    pub log_dir: PathBuf,
    /// Folders in which a program is looked for first: that of the running executable.
    pub program_dirs: Vec<PathBuf>,
    /// Folders in which it is looked for after them: the value of `PATH`. A template that sets `PATH` has its own.
    pub search_path: OsString,
    /// Our own executable, which starts members by its hidden command [`guard::COMMAND`] so that they end with this
    /// process. None: they are ended at the next start.
    pub guard: Option<PathBuf>,
    /// Takes the lines that members print, as `<seat> | <line>`. Lines that find no room are left out.
    pub terminal: Option<mpsc::Sender<String>>,
}

/// What the keeper needs of it.
struct Config {
    records: PathBuf,
    log_dir: PathBuf,
    search: Search,
    guard: Option<PathBuf>,
    terminal: Option<mpsc::Sender<String>>,
}

/// Runs members as child processes. Dropped, it kills what still runs.
#[derive(Debug)]
pub struct ProcessFleet {
    search: Search,
    changed: Arc<Notify>,
    orders: Option<Orders>,
    thread: Option<JoinHandle<()>>,
}

impl ProcessFleet {
    /// Ends what an earlier process left behind in the same runtime directory, and gets ready to run members.
    ///
    /// # Errors
    /// Where a folder can not be made or used, or no thread can be started.
    pub fn new(config: ProcessConfig) -> Result<Self, Error> {
        let ProcessConfig {
            runtime_dir,
            log_dir,
            program_dirs,
            search_path,
            guard,
            terminal,
        } = config;
        let records = runtime_dir.join("members");
        for dir in [&records, &log_dir] {
            in_file(dir, fs::DirBuilder::new().recursive(true).mode(0o700).create(dir))?;
        }
        for name in in_file(&records, leftovers::reap(&records))? {
            tracing::warn!(instance = name, "ended a member that an earlier run left behind");
        }
        let search = Search {
            dirs: program_dirs,
            path: search_path,
        };
        let config = Config {
            records,
            log_dir,
            search: search.clone(),
            guard,
            terminal,
        };
        let changed = Arc::new(Notify::new());
        let (orders, obeyed) = Orders::channel();
        let thread = in_file(&runtime_dir, keep(config, Arc::clone(&changed), obeyed))?;
        Ok(Self {
            search,
            changed,
            orders: Some(orders),
            thread: Some(thread),
        })
    }

    /// None only while it is dropped.
    fn orders(&self) -> Result<&Orders, Error> {
        self.orders.as_ref().ok_or(Error::Ended)
    }
}

/// Starts the keeper's thread. Members are made on it, and the kernel kills them when it ends: it has to be a thread of
/// its own, whatever threads the rest of the process comes and goes with.
fn keep(config: Config, changed: Arc<Notify>, orders: mpsc::Receiver<Order>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("members".to_owned())
        .spawn(move || runtime.block_on(Keeper::run(config, changed, orders)))
}

fn in_file<T>(path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// An id that no other instance has, on this machine or another.
pub(crate) fn unique_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let state = RandomState::new();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{:016x}{:016x}",
        state.hash_one((std::process::id(), count)),
        state.hash_one(jiff::Timestamp::now())
    )
}

// === impl Fleet for ProcessFleet ===

impl Fleet for ProcessFleet {
    fn check(&self, pool: &ValidPool) -> Result<(), Error> {
        let Some(seat) = pool.seats.first() else { return Ok(()) };
        let identity = Identity {
            seat: seat.name.clone(),
            name: seat.name.host().into_owned(),
            uid: String::new(),
            namespace: pool.namespace.clone(),
            port: pool.port,
            address: Some(Ipv4Addr::LOCALHOST.into()),
        };
        Launch::new(pool, &identity, &self.search)?;
        let spec = pool.template.spec.as_ref();
        let others = spec.map_or(0, |spec| spec.containers.len().saturating_sub(1));
        let init = spec.and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len);
        if others + init > 0 {
            tracing::warn!(
                others,
                init,
                "only the template's first container is run on one machine"
            );
        }
        Ok(())
    }

    async fn observe(&self) -> Result<Vec<Instance>, Error> {
        self.orders()?.observe().await
    }

    async fn probe(&self, pool: &ValidPool) -> Result<(), Error> {
        self.orders()?.probe(&pool.health).await
    }

    async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Created, Error> {
        self.orders()?.create(pool, create).await
    }

    async fn delete(&self, delete: &Delete, grace: Duration) -> Result<(), Error> {
        self.orders()?.delete(delete, grace).await
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn shutdown(&self, grace: Duration) {
        // A keeper that is gone has ended all of its members.
        if let Ok(orders) = self.orders() {
            _ = orders.shutdown(grace).await;
        }
    }
}

impl Drop for ProcessFleet {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the keeper has been printed; its members went with its thread.
            _ = thread.join();
        }
    }
}
