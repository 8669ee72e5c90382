//! What `up` shows while it runs: a picture that is drawn anew on a terminal, plain lines elsewhere.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lbpool_api::{
    LoadBalancerPool,
    status::{ConditionType, SeatState},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    control::{Details, Seat},
    local::Pool,
    output,
};

/// How often counts are drawn.
const TICK: Duration = Duration::from_millis(500);
/// Seats that are drawn; of more, those that are not serving come first.
const SEATS: usize = 16;

/// Where it is shown.
#[derive(Clone, Debug)]
pub struct Screen {
    picture: Option<ProgressBar>,
}

/// What was last told in plain lines.
#[derive(Default, PartialEq)]
struct Told {
    ready: String,
    trouble: Option<String>,
}

// === impl Screen ===

impl Screen {
    /// A picture, or plain lines only.
    pub fn new(draw: bool) -> Self {
        let picture = draw.then(|| {
            let picture = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            picture.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
            picture
        });
        Self { picture }
    }

    /// Whether there is a picture.
    pub const fn draws(&self) -> bool {
        self.picture.is_some()
    }

    /// Prints a line, above the picture. Nobody who listens is no reason to end.
    pub fn line(&self, line: &str) {
        match &self.picture {
            Some(picture) => picture.println(line),
            None => _ = writeln!(io::stdout().lock(), "{line}"),
        }
    }

    /// Leaves the picture as it is and stops drawing.
    pub fn end(&self) {
        if let Some(picture) = &self.picture {
            picture.finish_and_clear();
        }
    }
}

/// Shows the pool and what its members print, for as long as it is polled.
pub async fn run(screen: Screen, pool: Arc<Pool>, mut lines: mpsc::Receiver<String>) {
    let mut news = pool.handle.watch();
    let mut told = Told::default();
    let (mut requests, mut since) = (0, Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(line) = lines.recv() => screen.line(&line),
            changed = news.changed() => match changed {
                Ok(()) => {
                    let now = news.borrow_and_update().clone();
                    told = tell(&screen, &now, told);
                    if let Some(picture) = &screen.picture {
                        picture.set_message(draw(&now, &pool.details(), None));
                    }
                }
                Err(_) => return,
            },
            _ = ticks.tick(), if screen.draws() => {
                let details = pool.details();
                let rate = rate(details.requests.saturating_sub(requests), since.elapsed());
                (requests, since) = (details.requests, Instant::now());
                if let Some(picture) = &screen.picture {
                    picture.set_message(draw(&pool.handle.get(), &details, Some(rate)));
                }
            }
        }
    }
}

/// A plain line where something changed that a person would want to know.
fn tell(screen: &Screen, pool: &LoadBalancerPool, told: Told) -> Told {
    let status = pool.status.clone().unwrap_or_default();
    let now = Told {
        ready: status.ready.clone(),
        trouble: trouble(pool),
    };
    if now == told {
        return told;
    }
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    match &now.trouble {
        Some(trouble) if now.trouble != told.trouble => screen.line(&format!("{name}: {} ready, {trouble}", now.ready)),
        _ if screen.draws() => {}
        _ => screen.line(&format!("{name}: {} ready, epoch {}", now.ready, status.epoch)),
    }
    now
}

/// What a person should do something about.
fn trouble(pool: &LoadBalancerPool) -> Option<String> {
    let mut conditions = pool.status.iter().flat_map(|status| &status.conditions);
    let degraded = |type_: &str| type_ == ConditionType::Degraded.as_str();
    conditions
        .find(|condition| degraded(&condition.type_) && condition.status == "True")
        .map(|condition| format!("{}: {}", condition.reason, condition.message))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "for the eye"
)]
fn rate(requests: u64, elapsed: Duration) -> u64 {
    (requests as f64 / elapsed.as_secs_f64().max(0.001)).round() as u64
}

/// The picture.
fn draw(pool: &LoadBalancerPool, details: &Details, rate: Option<u64>) -> String {
    let status = pool.status.clone().unwrap_or_default();
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    let rate = rate.map(|rate| format!(" ({rate}/s)")).unwrap_or_default();
    let mut text = format!(
        "\n{name}  {} ready  epoch {}  {} requests{rate}  {}\n",
        status.ready, status.epoch, details.requests, details.record.url
    );
    let mut seats: Vec<&Seat> = details.seats.iter().collect();
    let hidden = seats.len().saturating_sub(SEATS);
    if hidden > 0 {
        seats.sort_by_key(|seat| seat.state == Some(SeatState::Serving));
        seats.truncate(SEATS);
    }
    let rows: Vec<Vec<String>> = seats
        .into_iter()
        .map(|seat| [vec![" ".to_owned()], row(seat)].concat())
        .collect();
    text.push_str(&output::columns(&rows));
    if hidden > 0 {
        text.extend(["    and ", &hidden.to_string(), " more\n"]);
    }
    if let Some(trouble) = trouble(pool) {
        text.extend(["  ", &trouble, "\n"]);
    }
    text
}

/// A seat in columns: name, state, who sits in it, process, address, requests in flight.
pub fn row(seat: &Seat) -> Vec<String> {
    let none = || "-".to_owned();
    vec![
        seat.name.clone(),
        seat.state.map_or_else(none, |state| state.as_str().to_owned()),
        seat.pod.clone().unwrap_or_else(none),
        seat.pid.map_or_else(none, |pid| pid.to_string()),
        seat.address.map_or_else(none, |address| address.to_string()),
        seat.in_flight.to_string(),
    ]
}
