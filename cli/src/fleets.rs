//! Where the members of a pool run: each kind of fleet, as the command line describes it.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use lbpool_operator::fleet::process::{ProcessConfig, ProcessFleet};
use tokio::sync::mpsc;

use crate::runtime::Claim;

/// Members as child processes of this one.
///
/// # Errors
/// Where folders can not be used.
pub fn process(
    claim: &Claim,
    search_path: OsString,
    terminal: Option<mpsc::Sender<String>>,
) -> anyhow::Result<ProcessFleet> {
    let executable = std::env::current_exe().context("can not find the path of this program")?;
    Ok(ProcessFleet::new(ProcessConfig {
        runtime_dir: claim.dir().to_owned(),
        log_dir: claim.logs(),
        program_dirs: executable.parent().map(Path::to_owned).into_iter().collect(),
        search_path,
        guard: Some(own_image(executable)),
        terminal,
    })?)
}

/// This very program, also where its file has been replaced or removed since.
fn own_image(executable: PathBuf) -> PathBuf {
    let image = Path::new("/proc/self/exe");
    if image.exists() { image.to_owned() } else { executable }
}

#[cfg(feature = "docker")]
pub use containers::{docker, sweep};

#[cfg(not(feature = "docker"))]
pub use absent::{docker, sweep};

/// Members as containers.
#[cfg(feature = "docker")]
mod containers {
    use std::time::Duration;

    use indicatif::{ProgressBar, ProgressStyle};
    use lbpool_api::LoadBalancerPool;
    use lbpool_core::validate;
    use lbpool_operator::fleet::docker::{
        DockerConfig, DockerFleet, Endpoint, Network, Owner, Publish, Pulling, Surroundings,
    };
    use tokio::sync::{mpsc, watch};

    use crate::{
        cli::{FleetArgs, PublishPorts},
        live::Screen,
        runtime::Claim,
    };

    /// Members as containers of an engine. A pull that is needed is shown.
    ///
    /// # Errors
    /// Where there is no engine, or it can not run the pool.
    pub async fn docker(
        args: &FleetArgs,
        (user, claim): (String, &Claim),
        pool: &LoadBalancerPool,
        terminal: Option<mpsc::Sender<String>>,
        screen: &Screen,
    ) -> anyhow::Result<DockerFleet> {
        let valid = validate(pool)?;
        let (pulling, pulled) = watch::channel(None);
        let config = DockerConfig {
            endpoint: endpoint(args)?,
            owner: owner(user, &valid.name, &valid.namespace),
            network: Network {
                name: args.network.clone(),
                make: true,
            },
            publish: match args.publish {
                PublishPorts::Auto => Publish::Auto,
                PublishPorts::Never => Publish::Never,
                PublishPorts::Loopback => Publish::Loopback,
            },
            image_first: true,
            log_dir: claim.logs(),
            terminal,
            pulling,
        };
        tokio::select! {
            fleet = Box::pin(DockerFleet::start(config, &valid)) => Ok(fleet?),
            () = show(screen, pulled) => std::future::pending().await,
        }
    }

    /// Removes the containers that a run which was killed has left behind: their names.
    ///
    /// # Errors
    /// Where there is no engine.
    pub async fn sweep(args: &FleetArgs, user: String, pool: &str) -> anyhow::Result<Vec<String>> {
        let owner = owner(user, pool, "default");
        Ok(DockerFleet::sweep(endpoint(args)?, &owner, &args.network).await?)
    }

    fn owner(by: String, pool: &str, namespace: &str) -> Owner {
        Owner {
            pool: pool.to_owned(),
            namespace: namespace.to_owned(),
            uid: None,
            by,
        }
    }

    fn endpoint(args: &FleetArgs) -> anyhow::Result<Endpoint> {
        let surroundings = Surroundings {
            chosen: args.engine.clone(),
            context: args.docker_context.clone(),
            host: args.docker_host.clone(),
            tls: args.docker_tls_verify.as_deref().is_some_and(|text| !text.is_empty()),
            config: args.docker_config.clone(),
            home: args.home.clone(),
            runtime: args.user_runtime_dir.clone(),
        };
        Ok(surroundings.endpoint()?)
    }

    /// Draws the pull that runs; on no terminal it is one line.
    async fn show(screen: &Screen, mut pulled: watch::Receiver<Option<Pulling>>) {
        let style = "{msg}  {bar:30}  {bytes} of {total_bytes}  {bytes_per_sec}";
        let mut bar: Option<ProgressBar> = None;
        while pulled.changed().await.is_ok() {
            let Some(pulling) = pulled.borrow_and_update().clone() else {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
                continue;
            };
            let bar = bar.get_or_insert_with(|| {
                screen.line(&format!("image {} is not on the engine: it is pulled", pulling.image));
                let bar = if screen.draws() {
                    ProgressBar::new(0)
                } else {
                    ProgressBar::hidden()
                };
                bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.set_message(pulling.image.clone());
                bar.enable_steady_tick(Duration::from_millis(200));
                bar
            });
            bar.set_length(pulling.total);
            bar.set_position(pulling.done);
        }
    }
}

/// A build without what containers need.
#[cfg(not(feature = "docker"))]
mod absent {
    use lbpool_api::LoadBalancerPool;
    use lbpool_operator::fleet::process::ProcessFleet;
    use tokio::sync::mpsc;

    use crate::{cli::FleetArgs, live::Screen, runtime::Claim};

    fn absent<T>() -> anyhow::Result<T> {
        anyhow::bail!(
            "this lbpool was built without containers: build it with `make build-docker`, or cargo build -p lbpool-cli --features docker"
        )
    }

    pub async fn docker(
        _: &FleetArgs,
        _: (String, &Claim),
        _: &LoadBalancerPool,
        _: Option<mpsc::Sender<String>>,
        _: &Screen,
    ) -> anyhow::Result<ProcessFleet> {
        absent()
    }

    pub async fn sweep(_: &FleetArgs, _: String, _: &str) -> anyhow::Result<Vec<String>> {
        absent()
    }
}
