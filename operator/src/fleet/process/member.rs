//! The life of one member: output, probes, end.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use lbpool_core::InstanceId;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    child::{Child, Pipes},
    leftovers::Record,
};
use crate::fleet::{
    logs::Output,
    probe::{Follow, News, Probe},
};

/// How long output is still read when a member has ended: its pipes may be held by what left its group.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a member tells the keeper.
#[derive(Debug)]
pub(super) struct Event {
    pub id: InstanceId,
    pub change: Change,
}

/// What became of a member.
#[derive(Debug)]
pub(super) enum Change {
    Health(News),
    Ended(String),
}

/// A member that runs.
pub(super) struct Member {
    pub id: InstanceId,
    pub child: Child,
    pub pipes: Pipes,
    pub probe: Probe,
    pub output: Output,
    pub record: Option<Record>,
    pub end: watch::Receiver<Option<Duration>>,
    pub events: mpsc::Sender<Event>,
}

/// Speaks for one member.
struct Teller {
    id: InstanceId,
    events: mpsc::Sender<Event>,
}

impl Member {
    /// Follows the member until it is reaped.
    pub async fn live(self) {
        let Self {
            id,
            mut child,
            pipes,
            probe,
            output,
            record,
            mut end,
            events,
        } = self;
        let mut pumps = JoinSet::new();
        pumps.spawn(output.clone().pump(pipes.stdout));
        pumps.spawn(output.clone().pump(pipes.stderr));
        let teller = Teller { id, events };
        let status = tokio::select! {
            status = child.ended() => status,
            grace = told_to_end(&mut end) => tokio::select! {
                status = child.end(grace) => status,
                () = cut_short(&mut end) => child.end(Duration::ZERO).await,
            },
            () = watch_health(probe, &teller) => child.end(Duration::ZERO).await,
        };
        if let Some(record) = record {
            record.remove();
        }
        let words = timeout(LAST_WORDS, async { while pumps.join_next().await.is_some() {} }).await;
        pumps.abort_all();
        let how = status.map_or_else(|error| error.to_string(), describe);
        output.note(&format!(
            "{how}{}",
            if words.is_err() {
                ", its output is held open"
            } else {
                ""
            }
        ));
        let last = output.last_line().map(|line| format!(": {line}")).unwrap_or_default();
        teller.tell(Change::Ended(format!("{how}{last}"))).await;
    }
}

impl Teller {
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

/// Probes for ever.
async fn watch_health(probe: Probe, teller: &Teller) {
    let mut follow = Follow::new(probe);
    loop {
        teller.tell(Change::Health(follow.next().await)).await;
    }
}

/// The grace that a member is given when it is told to end; none where the keeper itself is gone.
async fn told_to_end(end: &mut watch::Receiver<Option<Duration>>) -> Duration {
    end.wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|grace| *grace)
        .unwrap_or_default()
}

/// Returns where the grace is taken back: everything ends now.
async fn cut_short(end: &mut watch::Receiver<Option<Duration>>) {
    _ = end.wait_for(|grace| *grace == Some(Duration::ZERO)).await;
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(9)) => "killed (signal 9)".to_owned(),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}
