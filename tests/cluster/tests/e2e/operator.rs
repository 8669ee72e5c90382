//! The operator may end at any moment: its successor goes on where it was. There is never more than one leader.

use std::{thread, time::Duration};

use lbpool_tests_cluster::{Census, Cluster, Harness, Namespace, Operator, Pod, Pool, Seen, Table, Traffic, wait_for};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_mins(2);
/// Lease duration, as deploy/ has it.
const LEASE: Duration = Duration::from_secs(15);
/// Gauge that is 1 on the one that leads.
const LEADS: &str = "lbpool_leader";

/// SIGKILL to whoever leads.
fn kill_leader(harness: &Harness) {
    let leader = Operator::leader();
    println!("kill -9 {}", leader.name);
    harness.kill(&leader);
}

/// Waits until a census has seen something happen.
fn until(census: &Census, what: &str, check: impl Fn(&Seen) -> bool) {
    wait_for(what, LIMIT, || match census.seen() {
        seen if check(&seen) => Ok(()),
        seen => Err(format!("{seen:?}")),
    });
}

#[test]
fn killed_in_the_middle_of_a_scale_up_a_roll_out_and_a_drain_it_goes_on() {
    let Some(harness) = Cluster::get().harness_or_skip("the operator is killed") else {
        return;
    };
    let namespace = Namespace::new("killed");
    let pool = namespace.pool(&Pool::default());
    let traffic = Traffic::start(pool.address());
    let mut table = Table::new(
        "the operator is killed in the middle of",
        &["what", "settled after", "Pods made", "Pods deleted", "most at once"],
    );
    let mut row = |what: &str, took: Duration, seen: &Seen| {
        let took = format!("{:.1} s", took.as_secs_f64());
        table.row(&[&what, &took, &seen.created, &seen.deleted, &seen.most]);
    };

    // A scale-up: it dies when the first of the new Pods is there.
    let (census, began) = (Census::begin(&pool, "demo"), now());
    pool.scale(8);
    until(&census, "the first new Pod", |seen| seen.created >= 1);
    kill_leader(harness);
    pool.settled(8);
    let up = census.seen();
    row("a scale-up, 3 -> 8", began.elapsed(), &up);

    // A roll-out: it dies when the second new Pod is there.
    let (census, began) = (Census::begin(&pool, "demo"), now());
    let new = Pool {
        version: 2,
        replicas: 8,
        fields: "  update: {maxSurge: 3}".to_owned(),
        ..Pool::default()
    };
    let _ = namespace.apply(&new.to_string()).ok();
    until(&census, "the second new Pod", |seen| seen.created >= 2);
    kill_leader(harness);
    pool.settled_within(8, Duration::from_mins(4));
    let roll = census.seen();
    row("a roll-out of 8", began.elapsed(), &roll);

    // A drain: it dies while the Pods that leave finish their streams.
    let (census, began) = (Census::begin(&pool, "demo"), now());
    pool.scale(3);
    wait_for("the seats have left the table", LIMIT, || {
        match pool
            .status("members")
            .as_array()
            .map(|all| all.iter().filter(|member| member["state"] == "Draining").count())
        {
            Some(draining) if draining > 0 => Ok(()),
            other => Err(format!("{other:?} members drain")),
        }
    });
    kill_leader(harness);
    pool.settled(3);
    let down = census.seen();
    row("a drain, 8 -> 3", began.elapsed(), &down);

    let mix = traffic.stop();
    mix.print("the operator is killed three times");
    table.print();
    assert_eq!((up.created, up.deleted, up.most), (5, 0, 8), "{up:?}");
    assert_eq!((roll.created, roll.deleted), (8, 8), "{roll:?}");
    assert!(roll.most <= 11 && roll.fewest_ready >= 8, "{roll:?}");
    assert_eq!((down.created, down.deleted), (0, 5), "{down:?}");
    mix.assert_none_failed("the operator is killed");
}

fn now() -> Instant {
    Instant::now()
}

/// Those that take themselves for the leader now.
fn leaders(pods: &[Pod]) -> Vec<String> {
    let leads = |pod: &&Pod| Operator::metric(pod, LEADS).is_ok_and(|value| value > 0.0);
    pods.iter().filter(leads).map(|pod| pod.name.clone()).collect()
}

#[test]
fn a_leader_that_is_cut_off_gives_up_before_another_one_takes_over() {
    let Some(harness) = Cluster::get().harness_or_skip("the leader is cut off") else {
        return;
    };
    let namespace = Namespace::new("frozen");
    let pool = namespace.pool(&Pool::default());
    let census = Census::begin(&pool, "demo");
    let old = Operator::leader();
    let pods = Operator::pods();
    assert_eq!(leaders(&pods), std::slice::from_ref(&old.name));
    let began = now();
    let frozen = harness.cut_pod(&old.ip);
    let mut given_up = None;
    let taken_over = loop {
        let leaders = leaders(&pods);
        assert!(
            leaders.len() <= 1,
            "two leaders after {:?}: {leaders:?}",
            began.elapsed()
        );
        if given_up.is_none() && !leaders.contains(&old.name) {
            given_up = Some(began.elapsed());
        }
        if leaders.first().is_some_and(|leader| *leader != old.name) {
            break began.elapsed();
        }
        assert!(began.elapsed() < LIMIT, "nobody takes over");
        thread::sleep(Duration::from_millis(100));
    };
    // The new one works while the old one is still cut off.
    pool.scale(4);
    pool.settled(4);
    drop(frozen);
    // On the thaw the old one must not lead again, not even for a moment.
    let thaw = now();
    while thaw.elapsed() < LEASE {
        let leaders = leaders(&Operator::pods());
        assert!(leaders.len() <= 1, "two leaders after the thaw: {leaders:?}");
        thread::sleep(Duration::from_millis(100));
    }
    Operator::ready();
    let seen = census.seen();
    let mut table = Table::new("the leader is cut off from the API server", &["what", "took"]);
    table.time("until it gives up", given_up.unwrap_or_default());
    table.time("until another one leads", taken_over);
    Operator::weigh(&mut table);
    table.print();
    assert!(taken_over <= LEASE * 2, "{taken_over:?}");
    assert_eq!((seen.created, seen.deleted), (1, 0), "{seen:?}");
}
