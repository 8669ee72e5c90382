//! Which parts run, and who ends whom.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use lbpool_api::RoutingDocument;
use lbpool_balancer::{
    Balancer, Published,
    admin::Admin,
    discovery::{file::MembersFile, names::Names},
    metrics::{self, FileCounts},
    upstream::health::{self, When},
};
use lbpool_daemon::{LogArgs, Shutdown, log};
use prometheus_client::registry::Registry;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{sleep, timeout},
};

/// How long the admin listener may take to end, once nothing is left to see there.
const ADMIN_END: Duration = Duration::from_secs(2);

/// What the command line asked for, checked.
#[derive(Debug)]
pub struct Config {
    /// The members file.
    pub members: PathBuf,
    /// The data plane.
    pub balancer: lbpool_balancer::Config,
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

/// Follows the members file.
struct Follower<'a> {
    balancer: &'a Balancer,
    file: MembersFile,
    names: Names,
    counts: Arc<FileCounts>,
    hangup: Signal,
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
        members,
        balancer,
        admin,
        probe,
        grace,
        drain_delay,
        log: _,
    } = config;
    let hangup = signal(SignalKind::hangup()).context("can not listen for SIGHUP")?;
    let (file, document) = MembersFile::open(&members)?;
    let balancer = Balancer::start(balancer).context("requests (--listen)")?;
    let shared = balancer.shared();
    let counts = Arc::new(FileCounts::default());
    let mut registry = Registry::default();
    metrics::register(&shared, Some(Arc::clone(&counts)), &mut registry);
    let admin = Admin::bind(admin, Arc::clone(&shared), registry).context("admin listener (--admin)")?;
    let (leave, admin_address) = (admin.leave(), admin.local_addr());
    let (stop_admin, stop) = oneshot::channel::<()>();
    let mut admin = pin!(admin.run(async { drop(stop.await) }));

    let mut follower = Follower {
        balancer: &balancer,
        file,
        names: Names::default(),
        counts,
        hangup,
    };
    follower
        .route(document)
        .await
        .with_context(|| members.display().to_string())?;
    tracing::info!(listen = %balancer.local_addr(), admin = %admin_address, members = %members.display(), "serving");
    {
        let probes = async {
            match probe {
                Some(when) => health::run(shared, when).await,
                None => std::future::pending().await,
            }
        };
        // Between the signal and the end of the delay, all goes on as before.
        let asked = async {
            let cause = shutdown.requested().await;
            tracing::info!(
                cause = cause.as_str(),
                ?drain_delay,
                ?grace,
                "ending: not ready any more"
            );
            leave.now();
            sleep(drain_delay).await;
        };
        tokio::select! {
            () = asked => {}
            never = follower.follow() => match never {},
            () = probes => {}
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

// === impl Follower ===

impl Follower<'_> {
    /// Routes by what the file says, for as long as it is polled.
    async fn follow(&mut self) -> Infallible {
        loop {
            let read = tokio::select! {
                read = self.file.changed() => read,
                document = self.names.changed() => {
                    self.follow_names(document).await;
                    continue;
                }
                _ = self.hangup.recv() => self.file.reload().await,
            };
            let outcome = match read {
                Ok(Some(document)) => self.route(document).await.map(Some).inspect_err(|_| self.file.refuse()),
                Ok(None) => Ok(None),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(routed) => {
                    self.counts.is_refused.store(false, Relaxed);
                    if routed.is_none() {
                        tracing::info!("members file: says what is routed by already");
                    }
                }
                Err(error) => {
                    self.counts.refused.fetch_add(1, Relaxed);
                    self.counts.is_refused.store(true, Relaxed);
                    tracing::error!("members file refused, the routing stays as it was: {}", explain(&error));
                }
            }
        }
    }

    /// Routes by other addresses of the same file: what is known of the file itself stays as it is.
    async fn follow_names(&mut self, resolved: RoutingDocument) {
        let epoch = self.file.count();
        if let Err(error) = self.balancer.publish(RoutingDocument { epoch, ..resolved }).await {
            tracing::error!("new addresses of names are not used: {error}");
        }
    }

    async fn route(&mut self, document: RoutingDocument) -> anyhow::Result<Published> {
        let before = self.names.clone();
        let resolved = self.names.resolve(document).await;
        let published = self.balancer.publish(resolved).await;
        if published.is_err() {
            // Those of the document that is routed by are looked up on.
            self.names = before;
        }
        let published = published?;
        self.counts.routed.fetch_add(1, Relaxed);
        Ok(published)
    }
}
