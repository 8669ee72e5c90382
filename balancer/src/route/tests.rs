use std::net::SocketAddr;

use lbpool_api::{pool::Routing, routing::Protocol, status::SeatState};
use lbpool_ring::Table;

use super::*;
use crate::{policy::Policy, target::Probe};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn pool(away: AwayPolicy) -> Snapshot {
    let placed: Vec<_> = NAMES.iter().map(|name| lbpool_ring::Member::new(*name)).collect();
    let table = Arc::new(Table::build(&placed).unwrap());
    let member = |name: &&str| {
        let name: Arc<str> = Arc::from(*name);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let target = Some(Arc::new(Target::new(
            Arc::clone(&name),
            Arc::clone(&name),
            address,
            Protocol::Http1,
            1,
        )));
        Member {
            name,
            weight: 1,
            state: SeatState::Serving,
            target,
        }
    };
    let mut snapshot = Snapshot::empty(table);
    snapshot.members = NAMES.iter().map(member).collect();
    snapshot.weight = NAMES.len() as u64;
    snapshot.policy = Policy {
        away,
        load_bound: 125,
        ..Policy::compile(&Routing::default()).unwrap()
    };
    snapshot
}

const fn question(tried: &[Arc<Target>]) -> Question<'_> {
    Question {
        hash: 7 << 40,
        keyed: true,
        tried,
        patient: true,
        waited: false,
        now: 1,
        workers: &[],
        load_floor: 4,
    }
}

/// The counts of two workers that have so many requests in flight.
fn in_flight(n: u64) -> [WorkerStats; 2] {
    let workers = [WorkerStats::default(), WorkerStats::default()];
    workers[0].sent.add(n - 1);
    workers[1].sent.inc();
    workers
}

/// Members by rank for the key of [`question`].
fn ranks(snapshot: &Snapshot) -> Vec<Arc<Target>> {
    let ranks = snapshot.table.rank_hash(question(&[]).hash);
    ranks
        .map(|member| Arc::clone(snapshot.members[member].target.as_ref().unwrap()))
        .collect()
}

#[track_caller]
fn assert_goes(answer: &Answer, to: &Arc<Target>, why: Option<Spill>) {
    match answer {
        Answer::Go { target, spill } => {
            assert_eq!((target.member(), *spill), (to.member(), why));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_owner_that_is_ill_is_spilled_held_for_or_failed() {
    for away in [AwayPolicy::Spill, AwayPolicy::Hold, AwayPolicy::Fail] {
        let snapshot = pool(away);
        let ranks = ranks(&snapshot);
        assert_goes(&route(&snapshot, &question(&[])), &ranks[0], None);
        ranks[0].set_probe(Probe::Ill);
        match (away, route(&snapshot, &question(&[]))) {
            (AwayPolicy::Spill, answer) => assert_goes(&answer, &ranks[1], Some(Spill::Away)),
            (AwayPolicy::Hold, Answer::Hold(owner)) => assert_eq!(&snapshot.members[owner].name, ranks[0].member()),
            (AwayPolicy::Fail, Answer::Away) => {}
            (away, answer) => panic!("{away:?}: {answer:?}"),
        }
        let impatient = Question {
            patient: false,
            ..question(&[])
        };
        if away == AwayPolicy::Hold {
            assert_goes(&route(&snapshot, &impatient), &ranks[1], Some(Spill::Away));
        }
        let any = Question {
            keyed: false,
            ..question(&[])
        };
        assert_goes(&route(&snapshot, &any), &ranks[1], Some(Spill::Away));
    }
}

#[test]
fn what_failed_a_request_is_not_asked_again_by_it() {
    let snapshot = pool(AwayPolicy::Spill);
    let ranks = ranks(&snapshot);
    for n in 1..NAMES.len() {
        assert_goes(
            &route(&snapshot, &question(&ranks[..n])),
            &ranks[n],
            Some(Spill::Failed),
        );
    }
    assert!(matches!(route(&snapshot, &question(&ranks)), Answer::Nobody));
}

#[test]
fn where_too_few_look_ready_the_table_decides() {
    for away in [AwayPolicy::Spill, AwayPolicy::Hold, AwayPolicy::Fail] {
        let snapshot = pool(away);
        let ranks = ranks(&snapshot);
        for target in &ranks[..6] {
            target.set_probe(Probe::Ill);
        }
        let answer = route(&snapshot, &question(&[]));
        match away {
            AwayPolicy::Spill => assert_goes(&answer, &ranks[6], Some(Spill::Away)),
            AwayPolicy::Hold => assert!(matches!(answer, Answer::Hold(_)), "{answer:?}"),
            AwayPolicy::Fail => assert!(matches!(answer, Answer::Away), "{answer:?}"),
        }
        ranks[6].set_probe(Probe::Ill);
        assert_goes(&route(&snapshot, &question(&[])), &ranks[0], None);
    }
}

#[test]
fn where_the_cluster_calls_nobody_ready_the_table_decides_unless_there_is_but_one() {
    let mut snapshot = pool(AwayPolicy::Spill);
    let ranks = ranks(&snapshot);
    for member in &mut snapshot.members {
        member.state = SeatState::Vacant;
    }
    assert_goes(&route(&snapshot, &question(&[])), &ranks[0], None);
    let tried = [Arc::clone(&ranks[0])];
    assert_goes(&route(&snapshot, &question(&tried)), &ranks[1], Some(Spill::Failed));
    // One that is ready tells that the cluster sees.
    let ready = snapshot
        .members
        .iter_mut()
        .find(|member| &member.name == ranks[5].member());
    ready.unwrap().state = SeatState::Serving;
    assert_goes(&route(&snapshot, &question(&[])), &ranks[5], Some(Spill::Away));

    for member in &mut snapshot.members {
        member.state = SeatState::Vacant;
        member.target = member
            .target
            .take()
            .filter(|target| target.member() == ranks[0].member());
    }
    assert!(
        matches!(route(&snapshot, &question(&[])), Answer::Nobody),
        "it may well be away"
    );
}

#[test]
fn above_the_bound_the_next_rank_below_it_is_taken_but_not_by_one_who_waited() {
    let snapshot = pool(AwayPolicy::Hold);
    let ranks = ranks(&snapshot);
    let load = |target: &Arc<Target>, n: usize| (0..n).for_each(|_| target.begin(0));
    let [three, four, eight, many] = [3, 4, 8, 32].map(in_flight);
    let at = |workers| Question {
        workers,
        ..question(&[])
    };
    load(&ranks[0], 3);
    assert_goes(&route(&snapshot, &at(&three)), &ranks[0], None);
    load(&ranks[0], 1);
    assert_goes(&route(&snapshot, &at(&four)), &ranks[1], Some(Spill::Load));
    load(&ranks[1], 4);
    assert_goes(&route(&snapshot, &at(&eight)), &ranks[2], Some(Spill::Load));
    let waited = Question {
        waited: true,
        ..at(&eight)
    };
    assert_goes(&route(&snapshot, &waited), &ranks[0], None);
    // 4 of 32 in flight are no more than a member's share.
    assert_goes(&route(&snapshot, &at(&many)), &ranks[0], None);
}

#[test]
fn where_all_are_above_the_bound_keys_stay_home() {
    let snapshot = pool(AwayPolicy::Spill);
    for target in snapshot.targets() {
        (0..10).for_each(|_| target.begin(0));
    }
    let ranks = ranks(&snapshot);
    assert_goes(
        &route(
            &snapshot,
            &Question {
                workers: &in_flight(8),
                ..question(&[])
            },
        ),
        &ranks[0],
        None,
    );
}
