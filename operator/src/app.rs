//! Which parts run, and who ends whom.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context as _;
use kube::{
    Client,
    config::{KubeConfigOptions, Kubeconfig},
};
use lbpool_core::build::Settings;
use lbpool_daemon::{LogArgs, Shutdown, log};
use lbpool_operator::{
    Metrics,
    kubernetes::{Access, Asks, Index, Manager, Pods, Scope, Site, Watches, connect},
    leader::{Candidate, Terms},
    sample,
};
use prometheus_client::registry::Registry;
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    admin,
    cli::{Command, Members, Sample},
};

/// How long the parts may take to end after a signal.
const END: Duration = Duration::from_secs(8);

/// What the command line asked for, checked.
#[derive(Debug)]
pub struct Config {
    /// Whose pools.
    pub scope: Scope,
    /// Where their members run.
    pub members: Members,
    /// What pools that say nothing get.
    pub settings: Settings,
    /// How the API server is reached; none: as the account of the Pod, or as kubectl does.
    pub kubeconfig: Option<PathBuf>,
    /// Where the admin listener listens.
    pub admin: SocketAddr,
    /// How the leader is elected; none: there is only this one.
    pub election: Option<Terms>,
    /// Who this is.
    pub identity: String,
    /// Writes at the same time.
    pub writes: usize,
    /// The log.
    pub log: LogArgs,
}

/// Runs until a signal asks for the end, or until it may not lead any more.
///
/// # Errors
/// It can not start, a part that it needs has failed, or the lease was lost.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Drive(config) => drive(*config),
        Command::CreatePool(sample, log) => create_pool(&sample, &log),
    }
}

fn drive(config: Config) -> anyhow::Result<()> {
    log::init(&config.log)?;
    let shutdown = Shutdown::on_signals()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can not start a runtime")?;
    let outcome = match config.members.clone() {
        Members::Pods => runtime.block_on(serve(config, Pods, shutdown)),
        #[cfg(feature = "docker")]
        Members::Containers(beside) => runtime.block_on(serve(config, beside, shutdown)),
    };
    // Nothing may be written once leadership is over.
    runtime.shutdown_background();
    outcome
}

/// Ends when the pool is there; a signal ends the process as usual.
fn create_pool(
    Sample {
        from_namespace,
        from_config_map,
    }: &Sample,
    log: &LogArgs,
) -> anyhow::Result<()> {
    log::init(log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can not start a runtime")?;
    runtime.block_on(async {
        let metrics = Metrics::register(&mut Registry::default());
        let (client, _) = client(None, &metrics, &Arc::default()).await?;
        let outcome = sample::create(client, from_namespace, from_config_map).await?;
        tracing::info!(?outcome, "the sample pool is there");
        Ok(())
    })
}

async fn serve<S: Site>(config: Config, site: S, shutdown: Shutdown) -> anyhow::Result<()> {
    let Config {
        scope,
        members: _,
        settings,
        kubeconfig,
        admin,
        election,
        identity,
        writes,
        log: _,
    } = config;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let index = Arc::new(Index::default());
    let (client, asks) = client(kubeconfig, &metrics, &index).await?;
    let mut watches = Watches::new(&client, &index, &scope);
    site.watch(&mut watches);
    let listed = watches.listed();
    let view = Arc::new(admin::View {
        registry,
        unlisted: watches.listed(),
        ends: AtomicBool::new(false),
    });
    let server = admin::serve(admin, Arc::clone(&view))?;
    let server_handle = server.handle();
    tracing::info!(%admin, identity, ?scope, "started");

    let access = Access::new((client.clone(), asks), index, metrics.clone(), settings, writes);
    let manager = Manager::new(access, scope, site, identity);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut candidate = election.map(|terms| Candidate::new(client, terms));
    let lead = async {
        if let Some(candidate) = &mut candidate {
            candidate.win().await;
        }
        tracing::info!("leading");
        metrics.leads(true);
        let lost = async {
            match &mut candidate {
                Some(candidate) => candidate.hold().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // First: who has lost the lease must not begin another pass.
            biased;
            lost = lost => Err(anyhow::Error::new(lost).context("this operator leads no more")),
            () = manager.run(listed, async { drop(stopped.await) }) => Ok(()),
        }
    };
    let asked = async {
        let cause = shutdown.requested().await;
        tracing::info!(cause = cause.as_str(), "ending");
        view.ends.store(true, Relaxed);
        drop(stop);
        sleep(END).await;
    };
    let outcome = {
        let mut lead = std::pin::pin!(lead);
        let mut asked = std::pin::pin!(asked);
        tokio::select! {
            outcome = &mut lead => outcome,
            () = &mut asked => Ok(()),
            () = watches.run() => Err(anyhow::anyhow!("the watches ended by themselves")),
            ended = server => Err(anyhow::anyhow!("the admin listener ended: {ended:?}")),
        }
    };
    metrics.leads(false);
    let asked = shutdown.cause().is_some();
    if let (true, true, Some(candidate)) = (asked, outcome.is_ok(), &mut candidate) {
        candidate.release().await;
    }
    // Who looks at the admin listener now is cut.
    drop(timeout(Duration::from_secs(1), server_handle.stop(false)).await);
    match outcome {
        Ok(()) if !asked => Err(anyhow::anyhow!("the controllers ended by themselves")),
        outcome => outcome,
    }
}

async fn client(kubeconfig: Option<PathBuf>, metrics: &Metrics, index: &Arc<Index>) -> anyhow::Result<(Client, Asks)> {
    // Who has a Pod's account and is told of no other is in the cluster's network.
    let inside = kubeconfig.is_none() && kube::Config::incluster().is_ok();
    let config = match kubeconfig {
        Some(path) => {
            let named = || format!("--kubeconfig {}", path.display());
            let file = Kubeconfig::read_from(&path).with_context(named)?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(named)?
        }
        None => kube::Config::infer()
            .await
            .context("no API server is known: run it in a cluster, or give --kubeconfig")?,
    };
    let client = connect(config, metrics, index).context("the API server's address or certificates can not be used")?;
    let asks = if inside { Asks::Directly } else { Asks::ThroughApiServer };
    Ok((client, asks))
}
