//! The pool that is looked at: one of our own, or one that runs already and is left as it was found.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use anyhow::Context as _;
use hyper::Uri;
use lbpool_api::{
    LoadBalancerPool,
    pool::{self, AwayPolicy, KeySource},
    status::SeatState,
};
use lbpool_core::{edit, seats::seats};
use lbpool_report::{Algorithm, Oracle};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use super::{
    Plan,
    child::OwnPool,
    load::{KEY, Target},
};
use crate::{
    client::Client,
    manifest::{self, Overrides},
    runtime::Places,
};

/// How long a change may take until it is complete.
const WAIT: lbpool_api::Duration = lbpool_api::Duration::from_secs(60);
/// How long the status may lag behind what is routed.
const LAG: Duration = Duration::from_secs(5);

/// The pool that is looked at.
#[derive(Debug)]
pub struct Subject {
    client: Client,
    /// Where requests go.
    pub target: Target,
    /// Its URL, for people.
    pub url: String,
    /// Its name.
    pub name: String,
    /// As it was found.
    original: LoadBalancerPool,
    own: Option<OwnPool>,
    /// Tables take their time to build, and the same servers come again and again.
    oracles: RefCell<Oracles>,
}

/// By algorithm and servers.
type Oracles = HashMap<(Algorithm, Vec<String>), Rc<Oracle>>;

/// The pool in a known state.
#[derive(Debug)]
pub struct Arranged {
    /// As it is applied.
    pub pool: LoadBalancerPool,
    /// Its servers, in the order of their seats.
    pub servers: Vec<String>,
    /// Who should answer for which key.
    pub oracle: Rc<Oracle>,
    /// Of the table that the pool routes by.
    pub digest: String,
}

// === impl Subject ===

impl Subject {
    /// Finds the pool, or starts one.
    ///
    /// # Errors
    /// It does not run, does not start, or the URL makes no sense.
    pub async fn open(places: &Places, plan: &Plan) -> anyhow::Result<Self> {
        let (running, own) = if let Some(name) = &plan.pool {
            (places.find(Some(name))?, None)
        } else {
            let pool = manifest::demo(Overrides { replicas: Some(3) })?;
            let (own, running) = OwnPool::start(&pool).await?;
            (running, Some(own))
        };
        let client = Client::new(&running.socket());
        let original = client.pool().await?;
        let url = plan.url.clone().unwrap_or(running.record.url);
        let target = target(&url, plan)?;
        Ok(Self {
            client,
            target,
            url,
            name: running.record.pool,
            original: bare(&original),
            own,
            oracles: RefCell::default(),
        })
    }

    /// Whether it was there before.
    pub const fn is_foreign(&self) -> bool {
        self.own.is_none()
    }

    /// Gives the pool so many servers and an algorithm, and waits until it routes by them.
    ///
    /// What else decides where a key goes is set too: the key's source; no load bound, which would send a busy server's keys
    /// elsewhere; Spill, so that a killed server's requests go on at once.
    ///
    /// # Errors
    /// The pool refuses, or does not get there in time.
    pub async fn arrange(&self, algorithm: Algorithm, servers: usize) -> anyhow::Result<Arranged> {
        let mut pool = self.original.clone();
        let spec = &mut pool.spec;
        spec.replicas = i32::try_from(servers)?;
        (spec.members, spec.retired) = (Vec::new(), Vec::new());
        spec.routing.algorithm = match algorithm {
            Algorithm::Classroom => pool::Algorithm::Classroom,
            Algorithm::Ring => pool::Algorithm::Ring,
            Algorithm::Maglev => pool::Algorithm::Maglev,
            Algorithm::Rendezvous => pool::Algorithm::Rendezvous,
        };
        spec.routing.load_bound = 0;
        spec.routing.key = vec![KeySource {
            header: Some(KEY.to_owned()),
            ..KeySource::default()
        }];
        spec.routing.when_away.policy = AwayPolicy::Spill;
        self.apply(algorithm, pool).await
    }

    /// Takes a server away by name.
    ///
    /// # Errors
    /// As [`Subject::arrange`].
    pub async fn without(&self, algorithm: Algorithm, before: &Arranged, server: &str) -> anyhow::Result<Arranged> {
        let mut pool = before.pool.clone();
        pool.spec = edit::remove(&pool, 1, &[server.to_owned()])?;
        self.apply(algorithm, pool).await
    }

    async fn apply(&self, algorithm: Algorithm, pool: LoadBalancerPool) -> anyhow::Result<Arranged> {
        let edited = self.client.apply(&pool, Some(WAIT)).await?;
        if let Some(pending) = edited.pending {
            anyhow::bail!("{pending}");
        }
        let seats = seats(&self.name, &pool.spec);
        let servers: Vec<String> = seats.iter().map(|seat| seat.name.to_string()).collect();
        let oracle = self.oracle(algorithm, &servers)?;
        let digest = self.digest(&oracle, servers.len()).await?;
        Ok(Arranged {
            pool,
            servers,
            oracle,
            digest,
        })
    }

    /// Who should answer, of servers that all weigh the same.
    fn oracle(&self, algorithm: Algorithm, servers: &[String]) -> anyhow::Result<Rc<Oracle>> {
        let key = (algorithm, servers.to_vec());
        if let Some(oracle) = self.oracles.borrow().get(&key) {
            return Ok(Rc::clone(oracle));
        }
        let oracle = Rc::new(Oracle::new(algorithm, servers.iter().map(|name| (name.as_str(), 1)))?);
        self.oracles.borrow_mut().insert(key, Rc::clone(&oracle));
        Ok(oracle)
    }

    /// The digest that the pool publishes, once its status has caught up. If it never agrees with ours, it is the
    /// self-check's matter to say so.
    async fn digest(&self, oracle: &Oracle, servers: usize) -> anyhow::Result<String> {
        let mut changes = self.client.watch().await?;
        let mut last = String::new();
        let agreed = async {
            while let Some(pool) = changes.next().await? {
                let status = pool.status.unwrap_or_default();
                let serving = status
                    .members
                    .iter()
                    .filter(|member| member.state == SeatState::Serving);
                let complete = serving.count() == servers && status.members.len() == servers;
                last = status.digest;
                if complete && last == oracle.digest() {
                    return Ok(());
                }
            }
            Err(anyhow::anyhow!("the pool has ended"))
        };
        if let Ok(outcome) = timeout(LAG, agreed).await {
            outcome?;
        }
        Ok(last)
    }

    /// The process that sits in a seat.
    ///
    /// # Errors
    /// The pool does not know one.
    pub async fn process(&self, server: &str) -> anyhow::Result<Pid> {
        let details = self.client.details().await?;
        let seat = details.seats.iter().find(|seat| seat.name == server);
        let pid = seat.and_then(|seat| seat.pid).and_then(|pid| i32::try_from(pid).ok());
        pid.and_then(Pid::from_raw)
            .with_context(|| format!("no process is known of {server}"))
    }

    /// Leaves nothing behind: ends our own pool, gives another one back what it was.
    ///
    /// # Errors
    /// That did not work; the message says how to do it by hand.
    pub async fn close(self) -> anyhow::Result<()> {
        if let Some(own) = self.own {
            return own.end().await;
        }
        let by_hand = || format!("the pool {} is not as it was: apply its file again", self.name);
        let edited = self
            .client
            .apply(&self.original, Some(WAIT))
            .await
            .with_context(by_hand)?;
        match edited.pending {
            Some(pending) => Err(anyhow::anyhow!("{pending}")).with_context(by_hand),
            None => Ok(()),
        }
    }
}

/// Ends a process at once, as a crash would.
///
/// # Errors
/// The system refuses.
pub fn kill(process: Pid) -> anyhow::Result<()> {
    kill_process(process, Signal::KILL).context("can not kill the server")
}

/// A pool as somebody would apply it: its name and its spec.
fn bare(pool: &LoadBalancerPool) -> LoadBalancerPool {
    LoadBalancerPool::new(pool.metadata.name.as_deref().unwrap_or_default(), pool.spec.clone())
}

fn target(url: &str, plan: &Plan) -> anyhow::Result<Target> {
    let wrong = || format!("`{url}` is no URL of a pool: expected one such as http://127.0.0.1:5000");
    let uri: Uri = url.parse().with_context(wrong)?;
    anyhow::ensure!(uri.scheme_str() == Some("http"), wrong());
    let authority = uri.authority().with_context(wrong)?;
    let port = authority.port_u16().unwrap_or(80);
    Ok(Target {
        authority: format!("{}:{port}", authority.host()),
        path: plan.path.clone(),
        connections: plan.connections,
    })
}
