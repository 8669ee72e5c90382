//! Which parts run, and who ends whom.

mod file;
#[cfg(feature = "kubernetes")]
mod kubernetes;

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use lbpool_balancer::{
    Balancer, Shared,
    admin::{Admin, Extra},
    metrics::{self, Sources},
    tls::{Identity, Upstream},
    upstream::health::{self, When},
};
use lbpool_daemon::{LogArgs, Shutdown, log};
use prometheus_client::registry::Registry;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

/// How long the admin listener may take to end, once nothing is left to see there.
const ADMIN_END: Duration = Duration::from_secs(2);

/// What the command line asked for, checked.
#[derive(Debug)]
pub struct Config {
    /// Who says who the members are.
    pub discovery: Discovery,
    /// The data plane, without what is read from files.
    pub balancer: lbpool_balancer::Config,
    /// Files of certificates and keys.
    pub tls: Tls,
    /// Where the admin listener listens.
    pub admin: SocketAddr,
    /// Which members are probed; `None`: none.
    pub probe: Option<When>,
    /// How long requests in flight may take to finish at the end.
    pub grace: Duration,
    /// How long it is not ready before it ends.
    pub drain_delay: Duration,
    /// The log.
    pub log: LogArgs,
}

/// Files of certificates and keys.
#[derive(Debug, Default)]
pub struct Tls {
    /// The certificate that clients see, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The CA that members' certificates are checked by, and the name that all of them have.
    pub upstream: Option<(PathBuf, Option<String>)>,
}

/// Who says who the members are.
#[derive(Debug)]
pub enum Discovery {
    /// A members file.
    File(PathBuf),
    /// A cluster.
    #[cfg(feature = "kubernetes")]
    Kubernetes(Cluster),
}

/// Which pool of a cluster.
#[cfg(feature = "kubernetes")]
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub pool: String,
    /// Its namespace. `None`: the one that the balancer runs in.
    pub namespace: Option<String>,
    /// Where what is known is kept for the next start.
    pub snapshot: Option<PathBuf>,
}

/// The same, ready to be followed.
enum Source {
    File(Box<file::File>),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<kubernetes::Cluster>),
}

/// Runs until a signal asks for the end.
///
/// # Errors
/// It can not start, or a part that it needs has failed.
pub fn run(config: Config) -> anyhow::Result<()> {
    log::init(&config.log)?;
    let shutdown = Shutdown::on_signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can not start a runtime")?;
    runtime.block_on(serve(config, shutdown))
}

async fn serve(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let Config {
        discovery,
        mut balancer,
        tls,
        admin,
        probe,
        grace,
        drain_delay,
        log: _,
    } = config;
    let members = discovery.to_string();
    let source = Source::open(discovery).await?;
    tls.read(&mut balancer)?;
    let identity = balancer.tls.clone();
    let balancer = Balancer::start(balancer).context("requests (--listen)")?;
    let shared = balancer.shared();
    let mut registry = Registry::default();
    metrics::register(&shared, source.counts(), &mut registry);
    let admin = Admin::bind_with(admin, Arc::clone(&shared), registry, source.extra(&shared))
        .context("admin listener (--admin)")?;
    let admin_address = admin.local_addr();
    let (stop_admin, stop) = oneshot::channel::<()>();
    let mut admin = pin!(admin.run(async { drop(stop.await) }));
    let serving = || {
        tracing::info!(listen = %balancer.local_addr(), admin = %admin_address, %members, "serving");
    };
    {
        let probes = async {
            match probe {
                Some(when) => health::run(Arc::clone(&shared), when).await,
                None => std::future::pending().await,
            }
        };
        let certificates = async {
            match &identity {
                Some(identity) => identity.follow().await,
                None => std::future::pending().await,
            }
        };
        // Between the signal and the end of the delay, all goes on, but every client is told to go elsewhere.
        let asked = async {
            let cause = shutdown.requested().await;
            tracing::info!(
                cause = cause.as_str(),
                ?drain_delay,
                ?grace,
                "ending: not ready any more"
            );
            shared.leave();
            sleep(drain_delay).await;
        };
        tokio::select! {
            () = asked => {}
            failed = source.follow(&balancer, serving) => match failed? {},
            () = probes => {}
            never = certificates => match never {},
            ended = &mut admin => return Err(ended.err().map_or_else(
                || anyhow::anyhow!("the admin listener ended by itself"),
                |error| anyhow::Error::new(error).context("the admin listener ended"),
            )),
        }
    }
    // The admin listener tells how far it is until the last request is answered.
    tokio::select! {
        () = balancer.shutdown(grace) => {}
        _ = &mut admin => {}
    }
    drop(stop_admin);
    // What matters has ended; whoever looks at the admin listener now is cut.
    drop(timeout(ADMIN_END, admin).await);
    tracing::info!("ended");
    Ok(())
}

/// An error and its causes on one line, those left out that the message before has told already.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

// === impl Tls ===

impl Tls {
    fn read(self, balancer: &mut lbpool_balancer::Config) -> anyhow::Result<()> {
        let Self { identity, upstream } = self;
        if let Some((cert, key)) = identity {
            let identity = Identity::open(&cert, &key).context("--tls-cert, --tls-key")?;
            balancer.tls = Some(Arc::new(identity));
        }
        if let Some((authorities, name)) = upstream {
            let upstream = Upstream::open(&authorities, name.as_deref());
            balancer.upstream_tls = Some(Arc::new(upstream.context("--upstream-tls-ca, --upstream-tls-name")?));
        }
        Ok(())
    }
}

// === impl Discovery ===

impl std::fmt::Display for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => write!(f, "pool {}", cluster.pool),
        }
    }
}

// === impl Source ===

impl Source {
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(clippy::unused_async, reason = "a cluster is asked for")
    )]
    async fn open(discovery: Discovery) -> anyhow::Result<Self> {
        Ok(match discovery {
            Discovery::File(path) => Self::File(Box::new(file::File::open(&path)?)),
            #[cfg(feature = "kubernetes")]
            Discovery::Kubernetes(cluster) => Self::Kubernetes(Box::new(kubernetes::Cluster::open(cluster).await?)),
        })
    }

    fn counts(&self) -> Sources {
        match self {
            Self::File(file) => Sources {
                file: Some(file.counts()),
                cluster: None,
            },
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => Sources {
                file: None,
                cluster: Some(cluster.counts()),
            },
        }
    }

    /// What the admin listener serves besides.
    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(unused_variables, reason = "a file brings nothing")
    )]
    fn extra(&self, shared: &Arc<Shared>) -> Option<Extra> {
        match self {
            Self::File(_) => None,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => Some(cluster.extra(Arc::clone(shared))),
        }
    }

    /// Routes by what it says, for as long as it is polled. Calls `serving` when that has begun.
    async fn follow(self, balancer: &Balancer, serving: impl FnOnce()) -> anyhow::Result<Infallible> {
        match self {
            Self::File(file) => file.follow(balancer, serving).await,
            #[cfg(feature = "kubernetes")]
            Self::Kubernetes(cluster) => {
                serving();
                Ok(cluster.follow(balancer).await)
            }
        }
    }
}
