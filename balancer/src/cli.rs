//! The flags of the command `balancer`, and what follows from them.

mod limits;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{CommandFactory as _, Parser, ValueEnum, error::ErrorKind};
use lbpool_balancer::{Config, Network, Opening, Proxies, Style, upstream::health::When};
use lbpool_daemon::LogArgs;

use crate::app;
use limits::LimitArgs;

const EXAMPLE: &str = "\
Example: members.yaml
  pool: web
  members:
  - {name: cache-0, address: 10.0.0.10:8080}
  - {name: cache-1, address: 10.0.0.11:8080, weight: 2}
  routing:
    key: [{cookie: session}, {sourceIP: true}]

  balancer --members members.yaml
  curl http://127.0.0.1:8080/                 # answered by the member that owns the key
  curl http://127.0.0.1:9180/v1/table         # who owns what

The file is read again when it was replaced, and at once on SIGHUP. A wrong file is logged and changes
nothing. SIGTERM and SIGINT end in good order: not ready, --drain-delay, no new connections, requests
in flight finished within --grace. A second signal ends at once.";

/// An HTTP balancer that sends each key to the member that owns it
#[derive(Debug, Parser)]
#[command(name = "balancer", version, after_help = EXAMPLE, max_term_width = 110)]
pub struct Args {
    /// Who says who the members are
    #[arg(long, value_name = "WHERE", env = "LBPOOL_DISCOVERY", default_value = "file")]
    discovery: From,
    /// File that says who the members are and how requests find them
    #[arg(short, long, value_name = "FILE", env = "LBPOOL_MEMBERS")]
    members: Option<PathBuf>,
    /// In a cluster: name of the pool that is served
    #[arg(long, value_name = "NAME", env = "LBPOOL_POOL")]
    pool: Option<String>,
    /// In a cluster: namespace of the pool [default: the balancer's own]
    #[arg(long, value_name = "NAME", env = "LBPOOL_NAMESPACE")]
    namespace: Option<String>,
    /// In a cluster: file that keeps what is routed by, for a restart while the API server does not answer
    #[arg(long, value_name = "FILE", env = "LBPOOL_SNAPSHOT")]
    snapshot: Option<PathBuf>,
    /// Where requests are listened for
    #[arg(
        short,
        long,
        value_name = "ADDRESS",
        env = "LBPOOL_LISTEN",
        default_value = "0.0.0.0:8080"
    )]
    listen: SocketAddr,
    /// Where /healthz, /readyz, /metrics, /v1/table and /v1/explain are served, without authentication
    #[arg(long, value_name = "ADDRESS", env = "LBPOOL_ADMIN", default_value = "127.0.0.1:9180")]
    admin: SocketAddr,
    /// Certificate chain in PEM, the server's own first: clients speak TLS then. Read again when it was replaced
    #[arg(long, value_name = "FILE", env = "LBPOOL_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", env = "LBPOOL_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Members are spoken to over TLS, and a CA of this file (PEM) has signed their certificates
    #[arg(long, value_name = "FILE", env = "LBPOOL_UPSTREAM_TLS_CA")]
    upstream_tls_ca: Option<PathBuf>,
    /// The name that all members' certificates are for [default: each for the host of its own address]
    #[arg(
        long,
        value_name = "NAME",
        env = "LBPOOL_UPSTREAM_TLS_NAME",
        requires = "upstream_tls_ca"
    )]
    upstream_tls_name: Option<String>,
    /// Number of worker threads [default: one per core]
    #[arg(long, value_name = "N", env = "LBPOOL_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Name of this balancer in reports
    #[arg(long, env = "LBPOOL_NAME", default_value = "balancer")]
    name: String,
    /// Which members are probed (GET health.path) [default: all, in a cluster failed]
    #[arg(long, value_name = "WHICH", env = "LBPOOL_PROBE")]
    probe: Option<Which>,
    /// What is done with X-Forwarded-* and Forwarded headers that clients send
    #[arg(long, value_name = "HOW", env = "LBPOOL_FORWARDED", default_value = "replace")]
    forwarded: Forwarded,
    /// Networks of your own proxies: what they say about clients is believed, that of all others is replaced
    #[arg(long, value_name = "CIDR", env = "LBPOOL_TRUST_FORWARDED", value_delimiter = ',')]
    trust_forwarded: Vec<Network>,
    /// Which headers tell members about clients; the first of them names the client's address
    #[arg(
        long,
        value_name = "WHICH",
        env = "LBPOOL_FORWARDED_STYLE",
        default_value = "x-forwarded"
    )]
    forwarded_style: Headers,
    #[command(flatten)]
    limits: LimitArgs,
    /// How long requests in flight may take to finish when the balancer ends
    #[arg(long, value_name = "TIME", env = "LBPOOL_GRACE", default_value = "30s", value_parser = time)]
    grace: Duration,
    /// How long /readyz says no, and every answer tells its client to go elsewhere, before connections are refused
    #[arg(long, value_name = "TIME", env = "LBPOOL_DRAIN_DELAY", default_value = "0s", value_parser = time)]
    drain_delay: Duration,
    #[command(flatten)]
    log: LogArgs,
    /// Prints docs/reference/metrics.md and ends
    #[arg(long, hide = true)]
    metrics_reference: bool,
}

/// What the command line asks for.
pub enum Command {
    /// A balancer, until a signal ends it.
    Serve(Box<app::Config>),
    /// The reference of the metrics.
    MetricsReference,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum From {
    /// A members file
    File,
    /// A cluster: the ConfigMap and the EndpointSlices of a pool
    Kubernetes,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// All of them: nobody else tells who is ready
    All,
    /// Those that failed requests, until they are well again
    Failed,
    /// None: only failed requests count
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Forwarded {
    /// They are replaced: clients come directly
    Replace,
    /// They are kept and added to: all clients are proxies of your own
    Append,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Headers {
    /// X-Forwarded-For, -Proto and -Host
    XForwarded,
    /// Forwarded (RFC 7239)
    Forwarded,
    /// All of them
    Both,
}

// === impl Args ===

impl Args {
    /// Checked flags.
    ///
    /// # Errors
    /// Flags that do not fit each other.
    pub fn into_command(self) -> Result<Command, clap::Error> {
        // Destructured whole: a flag that nothing uses does not compile.
        let Self {
            discovery,
            members,
            pool,
            namespace,
            snapshot,
            listen,
            admin,
            tls_cert,
            tls_key,
            upstream_tls_ca,
            upstream_tls_name,
            workers,
            name,
            probe,
            forwarded,
            trust_forwarded,
            forwarded_style,
            limits,
            grace,
            drain_delay,
            log,
            metrics_reference,
        } = self;
        if metrics_reference {
            return Ok(Command::MetricsReference);
        }
        let from = discovery;
        let discovery = Source {
            members,
            pool,
            namespace,
            snapshot,
        }
        .check(from)?;
        let balancer = Config {
            name,
            listen,
            workers: workers.map_or(0, usize::from),
            control: None,
            proxies: match (forwarded, &trust_forwarded[..]) {
                (Forwarded::Replace, []) => Proxies::Nobody,
                (Forwarded::Append, []) => Proxies::Peer,
                (Forwarded::Replace, networks) => Proxies::Networks(networks.into()),
                (Forwarded::Append, _) => {
                    return Err(wrong(
                        ErrorKind::ArgumentConflict,
                        "--trust-forwarded says who is believed, --forwarded append believes everybody: give one of them",
                    ));
                }
            },
            style: match forwarded_style {
                Headers::XForwarded => Style::XForwarded,
                Headers::Forwarded => Style::Forwarded,
                Headers::Both => Style::Both,
            },
            limits: limits.into(),
            opening: Opening::default(),
            tls: None,
            upstream_tls: None,
        };
        let tls = app::Tls {
            identity: tls_cert.zip(tls_key),
            upstream: upstream_tls_ca.map(|ca| (ca, upstream_tls_name)),
        };
        let probe = match (probe, from) {
            (Some(Which::All), _) | (None, From::File) => Some(When::Always),
            // The kubelet tells who is ready.
            (Some(Which::Failed), _) | (None, From::Kubernetes) => Some(When::Wrong),
            (Some(Which::None), _) => None,
        };
        Ok(Command::Serve(Box::new(app::Config {
            discovery,
            balancer,
            tls,
            admin,
            probe,
            grace,
            drain_delay,
            log,
        })))
    }
}

/// The flags that say who says who the members are.
struct Source {
    members: Option<PathBuf>,
    pool: Option<String>,
    namespace: Option<String>,
    snapshot: Option<PathBuf>,
}

// === impl Source ===

impl Source {
    fn check(self, from: From) -> Result<app::Discovery, clap::Error> {
        match from {
            From::File => self.file(),
            From::Kubernetes => self.kubernetes(),
        }
    }

    fn file(self) -> Result<app::Discovery, clap::Error> {
        if self.pool.is_some() || self.snapshot.is_some() {
            return Err(wrong(
                ErrorKind::ArgumentConflict,
                "--pool and --snapshot are for --discovery kubernetes",
            ));
        }
        let missing = || {
            wrong(
                ErrorKind::MissingRequiredArgument,
                "--members FILE is required: it says who the members are (or --discovery kubernetes)",
            )
        };
        Ok(app::Discovery::File(self.members.ok_or_else(missing)?))
    }

    #[cfg(feature = "kubernetes")]
    fn kubernetes(self) -> Result<app::Discovery, clap::Error> {
        let Self {
            members,
            pool,
            namespace,
            snapshot,
        } = self;
        if members.is_some() {
            return Err(wrong(ErrorKind::ArgumentConflict, "--members is for --discovery file"));
        }
        let missing = || {
            wrong(
                ErrorKind::MissingRequiredArgument,
                "--pool NAME is required with --discovery kubernetes",
            )
        };
        let pool = pool.ok_or_else(missing)?;
        Ok(app::Discovery::Kubernetes(app::Cluster {
            pool,
            namespace,
            snapshot,
        }))
    }

    #[cfg(not(feature = "kubernetes"))]
    fn kubernetes(self) -> Result<app::Discovery, clap::Error> {
        drop(self.namespace);
        Err(wrong(
            ErrorKind::InvalidValue,
            "--discovery kubernetes is not in this binary: it was built without the feature `kubernetes`",
        ))
    }
}

fn wrong(kind: ErrorKind, message: &str) -> clap::Error {
    Args::command().error(kind, message)
}

/// A duration, zero allowed.
fn time(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" => Ok(Duration::ZERO),
        _ => text
            .parse::<lbpool_api::Duration>()
            .map(lbpool_api::Duration::get)
            .map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use lbpool_balancer::Limits;
    use lbpool_http1::rewrite::Trust;

    use super::*;

    fn checked(flags: &[&str]) -> Result<Command, clap::Error> {
        Args::try_parse_from([&["balancer"], flags].concat())?.into_command()
    }

    #[test]
    fn the_flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_members_file_is_all_it_needs() {
        let Ok(Command::Serve(config)) = checked(&["--members", "m.yaml"]) else {
            panic!("serves");
        };
        assert_eq!(config.discovery.to_string(), "m.yaml");
        assert_eq!(config.probe, Some(When::Always));
        assert_eq!(config.balancer.listen.port(), 8080);
        assert!(config.admin.ip().is_loopback());
        assert_eq!(config.balancer.limits, Limits::default(), "flags and library agree");
        assert_eq!(
            (config.grace, config.drain_delay),
            (Duration::from_secs(30), Duration::ZERO)
        );
    }

    #[test]
    fn flags_say_who_is_believed_about_clients() {
        for (flags, address, believed) in [
            (&[][..], "10.0.0.1", false),
            (&["--forwarded", "append"], "192.0.2.7", true),
            (&["--trust-forwarded", "10.0.0.0/8,fd00::/8"], "10.0.0.1", true),
            (
                &["--trust-forwarded", "10.0.0.0/8", "--trust-forwarded", "192.0.2.7"],
                "192.0.2.7",
                true,
            ),
            (&["--trust-forwarded", "10.0.0.0/8"], "192.0.2.7", false),
        ] {
            let Ok(Command::Serve(config)) = checked(&[&["--members", "m.yaml"], flags].concat()) else {
                panic!("serves");
            };
            let trust = config.balancer.proxies.trust(address.parse().unwrap());
            assert_eq!(trust == Trust::Append, believed, "{flags:?} {address}");
        }
    }

    #[test]
    fn wrong_flags_are_refused() {
        for wrong in [
            &[][..],
            &["--members", "m", "--trust-forwarded", "10.0.0.0/33"],
            &[
                "--members",
                "m",
                "--trust-forwarded",
                "10.0.0.0/8",
                "--forwarded",
                "append",
            ],
            &["--members", "m", "--max-head", "65537"],
            &["--members", "m", "--max-headers", "129"],
            &["--members", "m", "--client-timeout", "0s"],
            &["--members", "m", "--listen", "8080"],
            &["--members", "m", "--workers", "0"],
            &["--members", "m", "--http2-streams", "0"],
            &["--members", "m", "--grace", "soon"],
            &["--members", "m", "--key-body", "0"],
            &["--members", "m", "--key-body", "65537"],
            &["--members", "m", "--probe", "some"],
            &["--members", "m", "--pool", "web"],
            &["--members", "m", "--tls-cert", "c"],
            &["--members", "m", "--tls-key", "k"],
            &["--members", "m", "--upstream-tls-name", "n"],
            &["--members", "m", "--tunnel-idle", "never"],
            &["--discovery", "kubernetes"],
            &["--discovery", "kubernetes", "--pool", "web", "--members", "m"],
            &["--discovery", "dns", "--members", "m"],
        ] {
            assert!(checked(wrong).is_err(), "{wrong:?}");
        }
    }

    #[cfg(feature = "kubernetes")]
    #[test]
    fn in_a_cluster_a_pool_is_all_it_needs_and_the_kubelet_probes() {
        let Ok(Command::Serve(config)) = checked(&["--discovery", "kubernetes", "--pool", "web"]) else {
            panic!("serves");
        };
        assert_eq!(config.probe, Some(When::Wrong));
    }

    #[cfg(not(feature = "kubernetes"))]
    #[test]
    fn a_binary_without_clusters_says_so() {
        let refused = checked(&["--discovery", "kubernetes", "--pool", "web"]).err();
        assert!(refused.is_some_and(|error| error.to_string().contains("without the feature")));
    }
}
