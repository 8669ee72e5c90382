//! Where the members of pools run, as the command line describes it.

use std::path::PathBuf;

use clap::ValueEnum;
#[cfg(feature = "docker")]
use lbpool_operator::fleet::docker::{Beside, Surroundings};

/// Flags of the fleet.
#[derive(Debug, clap::Args)]
pub(super) struct MembersArgs {
    /// What members are
    #[arg(long, value_name = "KIND", env = "LBPOOL_FLEET", default_value = "kubernetes")]
    fleet: FleetKind,
    /// The engine, its socket or its address [default: what docker itself would use, then the usual sockets]
    #[arg(
        long,
        visible_alias = "docker-host",
        value_name = "unix:///PATH|tcp://HOST:PORT",
        help_heading = "Members as containers (--fleet docker)"
    )]
    engine: Option<String>,
    /// The engine's network that members are on: one that the cluster's nodes reach, which is there already
    #[arg(
        long,
        value_name = "NAME",
        default_value = "kind",
        help_heading = "Members as containers (--fleet docker)"
    )]
    network: String,
    /// Folder of what members print: a file per seat, below NAMESPACE/POOL [default: lbpool/members in the user's state folder]
    #[arg(
        long,
        value_name = "DIR",
        env = "LBPOOL_MEMBER_LOGS",
        help_heading = "Members as containers (--fleet docker)"
    )]
    member_logs: Option<PathBuf>,
    #[arg(long, env = "DOCKER_CONTEXT", hide = true)]
    docker_context: Option<String>,
    #[arg(long = "docker-host-default", env = "DOCKER_HOST", hide = true)]
    docker_host: Option<String>,
    #[arg(long, env = "DOCKER_TLS_VERIFY", hide = true)]
    docker_tls_verify: Option<String>,
    #[arg(long, env = "DOCKER_CONFIG", hide = true)]
    docker_config: Option<PathBuf>,
    #[arg(long, env = "HOME", hide = true)]
    home: Option<PathBuf>,
    #[arg(long, env = "XDG_RUNTIME_DIR", hide = true)]
    user_runtime_dir: Option<PathBuf>,
    #[arg(long, env = "XDG_STATE_HOME", hide = true)]
    user_state_dir: Option<PathBuf>,
}

/// What members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FleetKind {
    /// Pods of the cluster
    Kubernetes,
    /// Containers of a Docker engine beside it, on a network that its nodes reach, as kind's is
    Docker,
}

/// Where members run.
#[derive(Clone, Debug)]
pub enum Members {
    /// In the cluster.
    Pods,
    /// Beside it.
    #[cfg(feature = "docker")]
    Containers(Beside),
}

// === impl MembersArgs ===

impl MembersArgs {
    pub(super) fn into_members(self) -> Result<Members, String> {
        match self.fleet {
            FleetKind::Kubernetes => Ok(Members::Pods),
            FleetKind::Docker => self.beside(),
        }
    }

    #[cfg(feature = "docker")]
    fn beside(self) -> Result<Members, String> {
        // Destructured whole: a flag that nothing uses does not compile.
        let Self {
            fleet: _,
            engine,
            network,
            member_logs,
            docker_context,
            docker_host,
            docker_tls_verify,
            docker_config,
            home,
            user_runtime_dir,
            user_state_dir,
        } = self;
        let state = user_state_dir
            .filter(|dir| dir.is_absolute())
            .or_else(|| Some(home.as_ref()?.join(".local/state")));
        let logs = member_logs
            .or_else(|| Some(state?.join("lbpool/members")))
            .ok_or("--member-logs is needed: neither HOME nor XDG_STATE_HOME is set")?;
        let surroundings = Surroundings {
            chosen: engine,
            context: docker_context,
            host: docker_host,
            tls: docker_tls_verify.is_some_and(|text| !text.is_empty()),
            config: docker_config,
            home,
            runtime: user_runtime_dir,
        };
        let endpoint = surroundings.endpoint().map_err(|error| error.to_string())?;
        Ok(Members::Containers(Beside::new(endpoint, network, logs)))
    }

    #[cfg(not(feature = "docker"))]
    fn beside(self) -> Result<Members, String> {
        let Self {
            fleet: _,
            engine: _,
            network: _,
            member_logs: _,
            docker_context: _,
            docker_host: _,
            docker_tls_verify: _,
            docker_config: _,
            home: _,
            user_runtime_dir: _,
            user_state_dir: _,
        } = self;
        Err(
            "this operator was built without containers: build it with `make build-beside`, or cargo build -p lbpool-operator \
             --features kubernetes,docker"
                .to_owned(),
        )
    }
}
