//! The life of one member: made, probed, its output passed on, ended, removed.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bollard::models::ContainerInspectResponse;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use lbpool_api::routing::Protocol;
use lbpool_core::InstanceId;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Error, Shared, container::Recipe, labels, network};
use crate::fleet::{
    logs::{Lines, Output},
    probe::{Follow, News, Probe},
};

/// How long output is still read when a member has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Pause before something that the engine failed at is asked for again.
const AGAIN: Duration = Duration::from_secs(1);
/// From when on a member that is not made yet says why.
const SLOW: Duration = Duration::from_secs(10);

/// What a member tells the keeper.
#[derive(Debug)]
pub(super) struct Event {
    pub id: InstanceId,
    pub change: Change,
}

/// What became of a member.
#[derive(Debug)]
pub(super) enum Change {
    /// It runs, and is reached there.
    Runs(SocketAddr),
    /// It is not made yet, and this is why.
    Waits(String),
    Health(News),
    Ended(String),
    /// Nothing of it is left.
    Gone,
}

/// Where a member comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// It is to be made.
    New(Box<Recipe>),
    /// Its container runs since an earlier time, and answered its health path just now or did not.
    Runs {
        container: String,
        address: SocketAddr,
        ready: bool,
    },
    /// Its container does not run.
    Ended { container: String },
}

/// What came of making a container.
enum Made {
    /// It runs, and is reached there.
    Runs(String, SocketAddr),
    /// It ended at once: how.
    Ended(String, String),
    /// The member was told to end before.
    Told,
}

/// A member.
pub(super) struct Member {
    pub id: InstanceId,
    pub name: String,
    pub port: u16,
    pub protocol: Protocol,
    pub shared: Arc<Shared>,
    pub health: watch::Receiver<lbpool_api::pool::Health>,
    pub output: Output,
    /// Rung when something happened to the container.
    pub look: Arc<Notify>,
    pub end: watch::Receiver<Option<Duration>>,
    pub events: mpsc::Sender<Event>,
}

impl Member {
    /// Follows the member until nothing is left of it.
    pub async fn live(mut self, origin: Origin) {
        let (container, lived) = match origin {
            Origin::New(recipe) => match self.make(*recipe).await {
                Ok(Made::Runs(container, address)) => {
                    self.tell(Change::Runs(address)).await;
                    let follow = Follow::new(self.probe(address));
                    let why = self.run(&container, follow, 0).await;
                    (Some(container), why)
                }
                Ok(Made::Ended(container, why)) => {
                    let words = print(
                        Arc::clone(&self.shared),
                        container.clone(),
                        Lines::new(self.output.clone()),
                        0,
                    );
                    _ = timeout(LAST_WORDS, words).await;
                    (Some(container), Some(why))
                }
                Ok(Made::Told) => (None, None),
                Err((container, error)) => (container, Some(error.to_string())),
            },
            Origin::Runs {
                container,
                address,
                ready,
            } => {
                let probe = self.probe(address);
                let follow = if ready {
                    Follow::ready(probe)
                } else {
                    Follow::new(probe)
                };
                let why = self.run(&container, follow, Timestamp::now().as_second()).await;
                (Some(container), why)
            }
            Origin::Ended { container } => (Some(container), None),
        };
        if let Some(why) = lived {
            self.output.note(&why);
            let last = self
                .output
                .last_line()
                .map(|line| format!(": {line}"))
                .unwrap_or_default();
            self.tell(Change::Ended(format!("{why}{last}"))).await;
        }
        self.told_to_end().await;
        self.remove(container).await;
        self.tell(Change::Gone).await;
    }

    fn probe(&self, address: SocketAddr) -> Probe {
        Probe {
            address,
            protocol: self.protocol,
            health: self.health.clone(),
        }
    }

    /// Makes and starts the container. While the engine is away, it waits.
    async fn make(&mut self, recipe: Recipe) -> Result<Made, (Option<String>, Error)> {
        let mut made = None;
        loop {
            let error = match self.try_to_make(&recipe, &mut made).await {
                Ok(made) => return Ok(made),
                Err(error) if error.is_away() => error,
                Err(error) => return Err((made, error)),
            };
            self.tell(Change::Waits(error.to_string())).await;
            tokio::select! {
                () = self.told_to_end() => return Ok(Made::Told),
                () = sleep(AGAIN) => {}
            }
        }
    }

    /// `made` is the container, once there is one: a request whose answer was lost may have made it.
    async fn try_to_make(&mut self, recipe: &Recipe, made: &mut Option<String>) -> Result<Made, Error> {
        let shared = Arc::clone(&self.shared);
        let prepared = async {
            tokio::try_join!(
                shared.images.ensure(&shared.engine, &recipe.image),
                network::ensure(&shared.engine, &shared.network),
            )
        };
        let mut prepared = std::pin::pin!(prepared);
        loop {
            tokio::select! {
                prepared = &mut prepared => { prepared?; break }
                () = sleep(SLOW) => {
                    if let Some(why) = shared.images.progress(&recipe.image.name) {
                        self.tell(Change::Waits(why)).await;
                    }
                }
                () = self.told_to_end() => return Ok(Made::Told),
            }
        }
        let id = match made.clone() {
            Some(id) => id,
            None => self.create(recipe).await?,
        };
        *made = Some(id.clone());
        shared.engine.start(&id).await?;
        let container = shared.engine.inspect(&id).await?;
        if let Some(why) = ended(&container) {
            return Ok(Made::Ended(id, why));
        }
        let address = network::address(&container, &shared.network.name, shared.reach, self.port);
        let address = address.ok_or_else(|| Error::Unaddressed {
            name: self.name.clone(),
            network: shared.network.name.clone(),
        })?;
        Ok(Made::Runs(id, address))
    }

    async fn create(&self, recipe: &Recipe) -> Result<String, Error> {
        let engine = &self.shared.engine;
        match engine.create(&self.name, recipe.body.clone()).await {
            Err(Error::Conflict { .. }) => self.find().await?.ok_or_else(|| Error::Name {
                name: self.name.clone(),
            }),
            created => created,
        }
    }

    /// The container that has our name, if it is ours.
    async fn find(&self) -> Result<Option<String>, Error> {
        match self.shared.engine.inspect(&self.name).await {
            Ok(found) => {
                let labels = found.config.and_then(|config| config.labels);
                let ours = labels::uid(labels.as_ref()) == Some(self.id.0.as_str());
                Ok(found.id.filter(|_| ours))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Probes it and passes its output on, until it ends: why it did; nothing where it is told to.
    async fn run(&mut self, container: &str, mut follow: Follow, since: i64) -> Option<String> {
        let mut pump = JoinSet::new();
        pump.spawn(print(
            Arc::clone(&self.shared),
            container.to_owned(),
            Lines::new(self.output.clone()),
            since,
        ));
        let look = Arc::clone(&self.look);
        let ended = loop {
            tokio::select! {
                () = look.notified() => if let Some(why) = self.is_ended(container).await { break Some(why) },
                () = self.told_to_end() => break None,
                news = follow.next() => self.tell(Change::Health(news)).await,
            }
        };
        if ended.is_some() {
            _ = timeout(LAST_WORDS, pump.join_next()).await;
        } else {
            // Its last words come while it is stopped.
            let container = container.to_owned();
            self.stop(&container).await;
            _ = timeout(LAST_WORDS, pump.join_next()).await;
        }
        ended
    }

    /// How the container ended, if it did. An engine that is away is asked again when it is back.
    async fn is_ended(&self, container: &str) -> Option<String> {
        match self.shared.engine.inspect(container).await {
            Ok(container) => ended(&container),
            Err(error) if error.is_missing() => Some("removed by somebody else".to_owned()),
            Err(_) => None,
        }
    }

    /// Stops and removes whatever there is of it. Asked for until it is done.
    async fn remove(&mut self, container: Option<String>) {
        loop {
            let found = match &container {
                Some(id) => Ok(Some(id.clone())),
                None => self.find().await,
            };
            let removed = match found {
                Ok(None) => return,
                Ok(Some(id)) => self.shared.engine.remove(&id).await,
                Err(error) => Err(error),
            };
            match removed {
                Ok(()) => return,
                Err(error) if error.is_missing() => return,
                Err(error) => {
                    tracing::debug!(instance = self.name, %error, "not removed yet");
                    sleep(AGAIN).await;
                }
            }
        }
    }

    /// SIGTERM, and SIGKILL when its time is over, or is taken back.
    async fn stop(&mut self, container: &str) {
        let grace = (*self.end.borrow()).unwrap_or_default();
        if grace.is_zero() {
            return;
        }
        let engine = self.shared.engine.clone();
        let stopped = tokio::select! {
            stopped = engine.stop(container, grace) => stopped,
            () = cut_short(&mut self.end) => engine.kill(container).await,
        };
        if let Err(error) = stopped
            && !error.is_missing()
        {
            tracing::debug!(instance = self.name, %error, "not stopped: it is killed");
        }
        if let Ok(container) = engine.inspect(container).await
            && let Some(how) = ended(&container)
        {
            self.output.note(&how);
        }
    }

    async fn told_to_end(&mut self) {
        if self.end.wait_for(Option::is_some).await.is_err() {
            // The keeper is gone, and with it whoever could tell: the container stays for the next start.
            std::future::pending::<()>().await;
        }
    }

    async fn tell(&self, change: Change) {
        // The keeper is gone only when it has given up on everything.
        _ = self
            .events
            .send(Event {
                id: self.id.clone(),
                change,
            })
            .await;
    }
}

/// Returns where the grace is taken back: everything ends now.
async fn cut_short(end: &mut watch::Receiver<Option<Duration>>) {
    _ = end.wait_for(|grace| *grace == Some(Duration::ZERO)).await;
}

/// Passes on what a container prints, from a time on; goes on when the engine was away.
async fn print(shared: Arc<Shared>, container: String, mut lines: Lines, mut since: i64) {
    loop {
        let mut said = shared.engine.logs(&container, since);
        let mut broken = false;
        while let Some(said) = said.next().await {
            match said {
                Ok(said) => lines.feed(said.as_ref()),
                Err(_) => broken = true,
            }
        }
        since = Timestamp::now().as_second();
        if !broken && !shared.is_away() {
            break;
        }
        sleep(AGAIN).await;
        match shared.engine.inspect(&container).await {
            Ok(container) if ended(&container).is_some() => break,
            Err(error) if error.is_missing() => break,
            _ => {}
        }
    }
    lines.end();
}

/// How a container ended; nothing while it runs.
fn ended(container: &ContainerInspectResponse) -> Option<String> {
    let state = container.state.as_ref()?;
    if state.running == Some(true) || state.restarting == Some(true) {
        return None;
    }
    let code = state.exit_code.unwrap_or_default();
    let how = match code {
        _ if state.oom_killed == Some(true) => "out of memory: killed at its limit".to_owned(),
        137 => "killed (signal 9)".to_owned(),
        129..=192 => format!("ended by signal {}", code - 128),
        code => format!("exit status {code}"),
    };
    match state.error.as_deref() {
        Some(error) if !error.is_empty() => Some(format!("{how} ({error})")),
        _ => Some(how),
    }
}
