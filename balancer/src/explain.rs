//! Why a key goes where it goes, for people who ask.

use std::net::SocketAddr;

use lbpool_api::status::SeatState;
use serde::{Deserialize, Serialize};

use crate::{
    route::{Answer, Question, route},
    shared::Shared,
    snapshot::{Member, Snapshot},
    stats::Spill,
    target::Probe,
    upstream::breaker::State,
};

/// Where a key goes now, and why. What is true of one moment: load and health change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The key.
    pub key: String,
    /// Epoch of the routing document.
    pub epoch: u64,
    /// Digest of the table.
    pub digest: String,
    /// The key's home: the seat that the table gives it, whatever its health.
    pub owner: Option<String>,
    /// Who answers a request with this key now; for `Held` once it is back.
    pub member: Option<String>,
    /// What happens to the request, for programs.
    pub outcome: Outcome,
    /// Why, for people.
    pub why: String,
    /// The seats in the order in which they would take the key.
    pub ranks: Vec<Rank>,
}

/// What happens to a request with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its owner answers.
    Owner,
    /// Its owner answers although it does not look ready: so few do that the table alone decides.
    Doubted,
    /// Its owner is not ready: the next rank answers.
    Spilled,
    /// Its owner carries too much: the next rank answers.
    OverBound,
    /// It waits for its owner, which is not ready.
    Held,
    /// It is refused, since its owner is not ready.
    Refused,
    /// Nobody is there.
    Nobody,
}

/// One seat, seen with a key's eyes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rank {
    /// The seat.
    pub member: String,
    /// What sits in it.
    pub pod: Option<String>,
    /// Where that listens.
    pub address: Option<SocketAddr>,
    /// What the routing document says.
    pub state: SeatState,
    /// Whether requests go there.
    pub ready: bool,
    /// Why they do not.
    pub trouble: Option<String>,
    /// Requests in flight on it.
    pub in_flight: u64,
}

impl Explanation {
    /// Explains a key by what is routed by now.
    #[must_use]
    pub fn of(shared: &Shared, key: &str) -> Self {
        let (snapshot, now) = (shared.snapshot(), shared.now());
        let hash = snapshot.table.hash(key.as_bytes());
        let question = Question {
            hash,
            keyed: true,
            tried: &[],
            patient: true,
            waited: false,
            now,
            workers: shared.stats(),
            load_floor: shared.limits().load_floor,
        };
        let decided = decide(&snapshot, hash, route(&snapshot, &question), now);
        let members = snapshot
            .table
            .rank_hash(hash)
            .filter_map(|member| snapshot.members.get(member));
        let ranks: Vec<Rank> = members.map(|member| Rank::of(member, now)).collect();
        Self {
            key: key.to_owned(),
            epoch: snapshot.epoch,
            digest: snapshot.digest.clone(),
            owner: ranks.first().map(|rank| rank.member.clone()),
            member: decided.member,
            outcome: decided.outcome,
            why: decided.why,
            ranks,
        }
    }
}

/// An answer in words.
struct Decided {
    member: Option<String>,
    outcome: Outcome,
    why: String,
}

fn decide(snapshot: &Snapshot, hash: u64, answer: Answer, now: u64) -> Decided {
    let owner = snapshot.table.owner(hash).and_then(|owner| snapshot.members.get(owner));
    let home = owner.map_or_else(String::new, |owner| owner.name.to_string());
    let trouble = owner.and_then(|owner| trouble(owner, now));
    let away = trouble.as_deref().unwrap_or("it is not ready");
    let decided = |member: Option<String>, outcome, why: String| Decided { member, outcome, why };
    match answer {
        Answer::Go { target, spill } => {
            let member = Some(target.member().to_string());
            match spill {
                None if trouble.is_some() => decided(
                    member,
                    Outcome::Doubted,
                    format!("it owns the key, and too few members look ready to believe that it is not ({away})"),
                ),
                None => decided(member, Outcome::Owner, "it owns the key".to_owned()),
                Some(Spill::Away | Spill::Failed) => {
                    let policy = snapshot.policy.away;
                    let why = format!("next in rank: {home} owns the key and is away, {away} (whenAway: {policy:?})");
                    decided(member, Outcome::Spilled, why)
                }
                Some(Spill::Load) => {
                    let bound = snapshot.policy.load_bound;
                    let why = format!("next in rank: {home} owns the key and is over its load (loadBound: {bound} %)");
                    decided(member, Outcome::OverBound, why)
                }
            }
        }
        Answer::Hold(_) => {
            let wait = snapshot.routing.when_away.hold_timeout;
            let why =
                format!("it owns the key and is away, {away}: requests wait for it up to {wait} (whenAway: Hold)");
            decided(Some(home), Outcome::Held, why)
        }
        Answer::Away => {
            let why = format!("{home} owns the key and is away, {away}; nobody else may answer (whenAway: Fail)");
            decided(None, Outcome::Refused, why)
        }
        Answer::Nobody if home.is_empty() => decided(None, Outcome::Nobody, "the pool has no members".to_owned()),
        Answer::Nobody => decided(None, Outcome::Nobody, "no member is ready".to_owned()),
    }
}

// === impl Rank ===

impl Rank {
    fn of(member: &Member, now: u64) -> Self {
        let target = member.target.as_ref();
        Self {
            member: member.name.to_string(),
            pod: target.map(|target| target.pod().to_string()),
            address: target.map(|target| target.address()),
            state: member.state,
            ready: member.ready(now).is_some(),
            trouble: trouble(member, now),
            in_flight: target.map_or(0, |target| target.in_flight()),
        }
    }
}

/// Why no requests go to a member.
fn trouble(member: &Member, now: u64) -> Option<String> {
    let Some(target) = &member.target else {
        return Some("nobody is in its seat".to_owned());
    };
    if member.state != SeatState::Serving {
        return Some(format!("its seat is {}", member.state.as_str()));
    }
    if target.probe() == Probe::Ill {
        return Some("it does not answer probes".to_owned());
    }
    match target.breaker().state(now) {
        State::Open { until } => {
            let left = until.saturating_sub(now).div_ceil(1000);
            Some(format!("its requests failed, tried again in {left}s"))
        }
        State::Closed | State::Trial => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Balancer, Config, upstream::breaker::Failure};

    async fn explained(routing: &str, change: impl FnOnce(&Shared)) -> Explanation {
        let balancer = Balancer::start(Config {
            workers: 1,
            ..Config::default()
        })
        .unwrap();
        let text = format!(
            "{{pool: web, epoch: 4, members: [{{name: a, address: '127.0.0.1:9'}}, {{name: b, address: '127.0.0.1:9'}}, {{name: c}}], \
             routing: {routing}}}"
        );
        balancer.publish(serde_yaml::from_str(&text).unwrap()).await.unwrap();
        let shared = balancer.shared();
        change(&shared);
        let snapshot = shared.snapshot();
        let of_a = |key: &String| snapshot.table.owner(snapshot.table.hash(key.as_bytes())) == Some(0);
        let key = (0..1000).map(|n| format!("key-{n}")).find(of_a).unwrap();
        Explanation::of(&shared, &key)
    }

    fn eject_a(shared: &Shared) {
        let snapshot = shared.snapshot();
        let target = snapshot.targets().next().unwrap();
        shared.on_failure(&snapshot, target, Failure::Connect);
    }

    #[tokio::test]
    async fn the_owner_answers_where_it_is_ready() {
        let told = explained("{}", |_| {}).await;
        assert_eq!(
            (told.owner.as_deref(), told.member.as_deref(), told.epoch),
            (Some("a"), Some("a"), 4)
        );
        assert_eq!(told.why, "it owns the key");
        assert_eq!(told.ranks.len(), 3);
        assert_eq!(told.outcome, Outcome::Owner);
        let c = told.ranks.iter().find(|rank| rank.member == "c").unwrap();
        assert_eq!((c.ready, c.trouble.as_deref()), (false, Some("nobody is in its seat")));
    }

    #[tokio::test]
    async fn an_owner_that_is_away_is_told_with_what_follows() {
        for (policy, member, outcome, why) in [
            (
                "Spill",
                Some("b"),
                Outcome::Spilled,
                "next in rank: a owns the key and is away",
            ),
            ("Hold", Some("a"), Outcome::Held, "it owns the key and is away"),
            ("Fail", None, Outcome::Refused, "a owns the key and is away"),
        ] {
            let told = explained(&format!("{{whenAway: {{policy: {policy}}}}}"), eject_a).await;
            assert_eq!(
                (told.owner.as_deref(), told.member.as_deref(), told.outcome),
                (Some("a"), member, outcome),
                "{policy}"
            );
            assert!(told.why.starts_with(why) && told.why.contains(policy), "{}", told.why);
            let trouble = told.ranks[0].trouble.as_deref().unwrap();
            assert!(trouble.starts_with("its requests failed, tried again in "), "{trouble}");
        }
    }

    #[tokio::test]
    async fn a_seat_that_is_empty_and_a_load_that_is_too_high_are_told() {
        let told = explained("{loadBound: 110}", |shared| {
            let target = Arc::clone(shared.snapshot().targets().next().unwrap());
            for _ in 0..100 {
                target.begin(0);
            }
        })
        .await;
        assert_eq!((told.member.as_deref(), told.outcome), (Some("b"), Outcome::OverBound));
        assert!(told.why.contains("loadBound: 110 %"), "{}", told.why);
        assert_eq!(told.ranks[0].in_flight, 100);
    }
}
