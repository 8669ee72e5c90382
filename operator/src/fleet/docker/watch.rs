//! Follows what happens to the pool's containers, and whether the engine is there at all.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Error, Shared,
    labels::{self, Listed},
};

/// How often all containers are listed: events tell everything, unless one is lost.
const LIST: Duration = Duration::from_secs(15);
/// Events of so many seconds before are asked for again: nothing may happen between two streams.
const OVERLAP: i64 = 5;
/// Pauses between tries to reach an engine that is away.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// What the keeper hears.
#[derive(Debug)]
pub(super) enum Notice {
    /// Something happened to the container of this member.
    Look(String),
    /// All containers that there are.
    All(Vec<Listed>),
    /// The engine went away or came back.
    Engine,
}

/// Watches for ever.
pub(super) async fn run(shared: Arc<Shared>, notices: mpsc::Sender<Notice>) {
    let mut pause = PAUSES.0;
    loop {
        let Err(error) = session(&shared, &notices).await else {
            return;
        };
        tracing::warn!(%error, "the container engine is away: members that run go on");
        // A stream that broke off says little: what a new connection meets says more.
        let error = shared.engine.ping().await.err().unwrap_or(error);
        shared.away.send_replace(Some(match error {
            Error::Away { why, .. } => why,
            other => other.to_string(),
        }));
        if notices.send(Notice::Engine).await.is_err() {
            return;
        }
        while shared.engine.ping().await.is_err() {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        pause = PAUSES.0;
    }
}

/// Returns without an error where nobody listens any more.
async fn session(shared: &Shared, notices: &mpsc::Sender<Notice>) -> Result<(), Error> {
    let labels = shared.owner.filter();
    let mut events = shared.engine.events(&labels, Timestamp::now().as_second() - OVERLAP);
    let mut lists = interval(LIST);
    lists.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let notice = tokio::select! {
            event = events.next() => match event {
                Some(event) => {
                    let actor = event?.actor.unwrap_or_default();
                    match labels::uid(actor.attributes.as_ref()) {
                        Some(uid) => Notice::Look(uid.to_owned()),
                        None => continue,
                    }
                }
                None => return Err(shared.broken("its stream of events ended")),
            },
            _ = lists.tick() => {
                let all = shared.engine.list(&labels).await?;
                if shared.away.send_replace(None).is_some() {
                    tracing::info!("the container engine is back");
                    if notices.send(Notice::Engine).await.is_err() {
                        return Ok(());
                    }
                }
                Notice::All(all.iter().filter_map(Listed::of).collect())
            }
        };
        if notices.send(notice).await.is_err() {
            return Ok(());
        }
    }
}
