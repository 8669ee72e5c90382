//! The flags of the command `operator`, and what follows from them.

mod members;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use lbpool_core::build::Settings;
use lbpool_daemon::LogArgs;
use lbpool_operator::{kubernetes::Scope, leader::Terms};

pub use self::members::Members;
use self::members::MembersArgs;
use crate::app;

const AFTER: &str = "\
In a cluster it needs no flags: it uses the account of its Pod. Elsewhere it uses --kubeconfig, or what kubectl uses.
SIGTERM and SIGINT end in good order: passes are finished, the lease is released, members and balancers stay as they are.";

/// Keeps the LoadBalancerPools of a cluster as their specs say
#[derive(Debug, Parser)]
#[command(name = "operator", version, after_help = AFTER, max_term_width = 110)]
pub struct Args {
    /// Namespaces whose pools are driven, comma separated or repeated [default: all]
    #[arg(
        short,
        long = "namespace",
        value_name = "NAME",
        env = "LBPOOL_NAMESPACES",
        value_delimiter = ','
    )]
    namespaces: Vec<String>,
    /// Image of the balancers of a pool that names none
    #[arg(long, value_name = "IMAGE", env = "LBPOOL_BALANCER_IMAGE",
        default_value = concat!("lbpool.dev/balancer:", env!("CARGO_PKG_VERSION")))]
    balancer_image: String,
    /// How the API server is reached from outside of a cluster
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// Where /livez, /readyz and /metrics are served, without authentication
    #[arg(long, value_name = "ADDRESS", env = "LBPOOL_ADMIN", default_value = "0.0.0.0:9280")]
    admin: SocketAddr,
    /// Whether several operators elect the one that works; without it there must be only one
    #[arg(long, value_name = "BOOL", env = "LBPOOL_LEADER_ELECT", default_value = "true", action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Name of the lease
    #[arg(
        long,
        value_name = "NAME",
        env = "LBPOOL_LEASE_NAME",
        default_value = "lbpool-operator"
    )]
    lease_name: String,
    /// Namespace of the lease
    #[arg(
        long,
        value_name = "NAME",
        env = "LBPOOL_LEASE_NAMESPACE",
        default_value = "lbpool-system"
    )]
    lease_namespace: String,
    /// Who this operator is in the lease and in Events: unique among its like [default: host and process]
    #[arg(long, value_name = "NAME", env = "LBPOOL_IDENTITY")]
    identity: Option<String>,
    /// How long others wait before they take the lease of a leader that is silent
    #[arg(long, value_name = "TIME", env = "LBPOOL_LEASE_DURATION", default_value = "15s", value_parser = time)]
    lease_duration: Duration,
    /// How long the leader tries to renew its lease before it ends: below the lease's duration
    #[arg(long, value_name = "TIME", env = "LBPOOL_RENEW_DEADLINE", default_value = "10s", value_parser = time)]
    renew_deadline: Duration,
    /// Pause between two attempts at the lease: below the renew deadline
    #[arg(long, value_name = "TIME", env = "LBPOOL_RETRY_PERIOD", default_value = "2s", value_parser = time)]
    retry_period: Duration,
    /// Changes that may be on their way to the API server at the same time
    #[arg(long, value_name = "N", env = "LBPOOL_WRITES", default_value = "16", value_parser = clap::value_parser!(u16).range(1..))]
    writes: u16,
    #[command(flatten)]
    members: MembersArgs,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What it does instead of driving pools.
#[derive(Debug, Subcommand)]
enum Task {
    /// Makes the sample pool of an installation, unless it is there, and ends
    CreatePool(Sample),
}

/// Where the sample pool is found, and made.
#[derive(Clone, Debug, clap::Args)]
pub struct Sample {
    /// Namespace of the ConfigMap, and of the pool
    #[arg(long, value_name = "NAME")]
    pub from_namespace: String,
    /// ConfigMap whose key pool.yaml is the pool
    #[arg(long, value_name = "NAME")]
    pub from_config_map: String,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Drive pools, until a signal ends it.
    Drive(Box<app::Config>),
    /// Make the sample pool.
    CreatePool(Sample, LogArgs),
}

// === impl Args ===

impl Args {
    /// Checked flags.
    ///
    /// # Errors
    /// Where two of them do not go together.
    pub fn into_command(self) -> Result<Command, String> {
        // Destructured whole: a flag that nothing uses does not compile.
        let Self {
            namespaces,
            balancer_image,
            kubeconfig,
            admin,
            leader_elect,
            lease_name,
            lease_namespace,
            identity,
            lease_duration,
            renew_deadline,
            retry_period,
            writes,
            members,
            log,
            task,
        } = self;
        if let Some(Task::CreatePool(sample)) = task {
            return Ok(Command::CreatePool(sample, log));
        }
        if lease_duration <= renew_deadline {
            return Err("--lease-duration must be longer than --renew-deadline: or two could lead".to_owned());
        }
        if renew_deadline <= retry_period {
            return Err("--renew-deadline must be longer than --retry-period".to_owned());
        }
        let namespaces: Vec<_> = namespaces.into_iter().filter(|name| !name.is_empty()).collect();
        let scope = if namespaces.is_empty() {
            Scope::Cluster
        } else {
            Scope::Namespaces(namespaces)
        };
        let identity = identity.unwrap_or_else(own_name);
        let terms = Terms {
            namespace: lease_namespace,
            name: lease_name,
            identity: identity.clone(),
            duration: lease_duration,
            renew_deadline,
            retry_period,
        };
        Ok(Command::Drive(Box::new(app::Config {
            scope,
            members: members.into_members()?,
            settings: Settings { balancer_image },
            kubeconfig,
            admin,
            election: leader_elect.then_some(terms),
            identity,
            writes: usize::from(writes),
            log,
        })))
    }
}

fn own_name() -> String {
    let host = rustix::system::uname();
    format!("{}-{}", host.nodename().to_string_lossy(), std::process::id())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<lbpool_api::Duration>();
    time.map(lbpool_api::Duration::get).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn it_needs_no_flags() {
        let Ok(Command::Drive(config)) = Args::parse_from(["operator"]).into_command() else {
            panic!("drives pools");
        };
        assert_eq!(config.scope, Scope::Cluster);
        assert_eq!(
            config.election.map(|terms| terms.name).as_deref(),
            Some("lbpool-operator")
        );
        assert!(config.settings.balancer_image.starts_with("lbpool.dev/balancer:"));
    }

    #[test]
    #[cfg(feature = "docker")]
    fn members_are_containers_of_the_engine_that_is_named_or_that_docker_would_use() {
        for args in [
            &["--engine", "unix:///run/x.sock"][..],
            &["--docker-host", "unix:///run/x.sock", "--network", "lab"],
        ] {
            let args = ["operator", "--fleet", "docker", "--member-logs", "/tmp/x"]
                .iter()
                .chain(args);
            let Ok(Command::Drive(config)) = Args::parse_from(args).into_command() else {
                panic!("drives pools");
            };
            let said = format!("{:?}", config.members);
            assert!(said.contains("/run/x.sock"), "{said}");
        }
        let args = ["operator", "--fleet", "docker", "--engine", "ssh://host"];
        let error = Args::parse_from(args).into_command().unwrap_err();
        assert!(error.contains("ssh://host"), "{error}");
    }

    #[test]
    fn terms_by_which_two_could_lead_are_refused() {
        for wrong in [["--lease-duration", "10s"], ["--renew-deadline", "2s"]] {
            let args = Args::parse_from(["operator"].into_iter().chain(wrong));
            assert!(args.into_command().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn namespaces_are_given_one_by_one_or_in_a_list() {
        let args = Args::parse_from(["operator", "--namespace", "a,b", "-n", "c"]);
        let Ok(Command::Drive(config)) = args.into_command() else {
            panic!("drives pools");
        };
        assert_eq!(
            config.scope,
            Scope::Namespaces(["a", "b", "c"].map(str::to_owned).to_vec())
        );
    }

    #[test]
    fn the_sample_is_made_from_a_config_map() {
        let args = ["operator", "create-pool", "--from-namespace=a", "--from-config-map=b"];
        let command = Args::parse_from(args).into_command().unwrap();
        assert!(matches!(command, Command::CreatePool(sample, _) if sample.from_config_map == "b"));
    }
}
