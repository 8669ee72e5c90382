use lbpool_api::{routing::Protocol, status::SeatState};

use super::*;
use crate::{
    BalancerReport,
    testing::{World, at, valid},
};

const NEW: &str = "template: {spec: {containers: [{name: main, image: v2}]}}";

/// Everything that is done until nothing is left to do, where all goes well at once.
fn settle(world: &mut World, now: i64) -> Vec<String> {
    let (mut done, mut idle) = (Vec::new(), 0);
    for _ in 0..100 {
        let said = world.run(at(now));
        idle = if said.is_empty() { idle + 1 } else { 0 };
        if idle == 2 {
            return done;
        }
        done.extend(said);
        world.all_ready();
        world.confirm();
        world.reap();
    }
    panic!("does not settle: {done:#?}");
}

fn routed(world: &World) -> Vec<(String, Option<String>, SeatState)> {
    let members = &world.seen.routing.as_ref().unwrap().members;
    members
        .iter()
        .map(|member| (member.name.to_string(), member.pod.clone(), member.state))
        .collect()
}

fn seats_of(world: &World) -> Vec<String> {
    routed(world).into_iter().map(|(name, ..)| name).collect()
}

#[test]
fn the_policy_comes_first_and_a_seat_when_its_member_is_ready() {
    let mut world = World::new(valid("{replicas: 2}"));
    assert_eq!(
        world.run(at(1)),
        [
            "publish Membership ",
            "create SeatEmpty web-0",
            "create SeatEmpty web-1"
        ]
    );
    world.confirm();
    assert!(world.run(at(2)).is_empty());
    world.instance("id-2").phase = Phase::Ready;
    world.run(at(3));
    assert_eq!(seats_of(&world), ["web-1"]);
    world.all_ready();
    world.run(at(4));
    assert_eq!(seats_of(&world), ["web-0", "web-1"]);
    assert_eq!(world.seen.routing.as_ref().unwrap().epoch, 3);
}

#[test]
fn a_settled_pool_is_left_alone() {
    let world = World::settled(valid("{}"));
    assert_eq!(plan(&world.pool, &world.seen, at(1_000_000)), Plan::default());
}

#[test]
fn a_seat_leaves_the_table_before_its_member_ends() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid("{replicas: 2}");
    assert_eq!(world.run(at(10)).len(), 1);
    assert_eq!(seats_of(&world), ["web-0", "web-1"]);
    assert!(
        world.run(at(11)).is_empty(),
        "the balancer still routes by the table before"
    );
    let pod = world.instance("id-3").name.clone();
    world.confirm();
    world.seen.balancers[0].in_flight = vec![(pod, 1)];
    assert!(world.run(at(12)).is_empty(), "a request is in flight");
    assert_eq!(
        plan(&world.pool, &world.seen, at(12)).wake,
        Some(at(41)),
        "drainTimeout after it was seen to have left"
    );
    world.confirm();
    assert_eq!(world.run(at(13)), ["delete ScaledDown id-3"]);
    world.reap();
    assert!(world.run(at(14)).is_empty());
}

#[test]
fn a_balancer_that_does_not_answer_delays_a_drain_until_its_time_is_up() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid("{replicas: 2}");
    world.run(at(10));
    world.confirm();
    world.seen.balancers.push(BalancerReport {
        name: "deaf".into(),
        ..BalancerReport::default()
    });
    assert!(world.run(at(11)).is_empty());
    assert!(world.run(at(40)).is_empty());
    assert_eq!(world.run(at(41)), ["delete ScaledDown id-3"]);
}

#[test]
fn a_member_that_drains_is_taken_back_when_its_seat_is() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid("{replicas: 2}");
    world.run(at(10));
    world.pool = valid("{}");
    assert_eq!(settle(&mut world, 11).len(), 1, "one publication and nothing made");
    assert_eq!(seats_of(&world).len(), 3);
}

#[test]
fn a_member_told_to_end_gets_a_successor_of_another_name() {
    let mut world = World::settled(valid("{}"));
    let before = world.instance("id-3").name.clone();
    world.instance("id-3").phase = Phase::Ending;
    let done = world.run(at(10));
    assert_eq!(done[1], "create SeatEmpty web-2");
    assert_eq!(routed(&world)[2], ("web-2".into(), None, SeatState::Vacant));
    assert_ne!(world.instance("id-4").name, before);
}

#[test]
fn a_failed_member_is_replaced_at_once_and_removed_when_its_successor_is_seen() {
    let mut world = World::settled(valid("{}"));
    world.instance("id-2").phase = Phase::Failed;
    let done = world.run(at(10));
    assert_eq!(done[1..], ["create Failed web-1"]);
    assert_eq!(routed(&world)[1].2, SeatState::Vacant, "the seat keeps its keys");
    world.confirm();
    assert_eq!(world.run(at(11)), ["delete Failed id-2"]);
    world.reap();
    world.all_ready();
    assert_eq!(settle(&mut world, 12).len(), 1);
    assert_eq!(routed(&world)[1].2, SeatState::Serving);
}

#[test]
fn a_member_that_fails_again_and_again_gets_a_name_of_its_own_each_time() {
    let mut world = World::settled(valid("{replicas: 1}"));
    for n in 1..20 {
        world.instance(&format!("id-{n}")).phase = Phase::Failed;
        world.run(at(10));
        world.confirm();
        world.run(at(10));
        world.reap();
        assert_eq!(world.seen.instances.len(), 1, "the failed one is removed");
    }
}

#[test]
fn one_that_is_merely_not_ready_keeps_its_seat() {
    let mut world = World::settled(valid("{}"));
    world.instance("id-1").phase = Phase::Unready;
    assert_eq!(world.run(at(10)).len(), 1);
    assert_eq!(routed(&world)[0].2, SeatState::Vacant);
    assert!(routed(&world)[0].1.is_some());
    assert_eq!(
        plan(&world.pool, &world.seen, at(100_000)),
        Plan::default(),
        "however long it takes"
    );
    world.instance("id-1").phase = Phase::Ready;
    assert_eq!(world.run(at(11)).len(), 1);
    assert_eq!(routed(&world)[0].2, SeatState::Serving);
}

#[test]
fn an_update_makes_before_it_breaks_one_at_a_time() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid(&format!("{{{NEW}}}"));
    assert_eq!(world.run(at(10)), ["create Outdated web-0"]);
    assert!(world.run(at(11)).is_empty(), "until it is ready");
    world.all_ready();
    assert_eq!(world.run(at(12)).len(), 1, "the seat is switched");
    assert!(
        world.run(at(13)).is_empty(),
        "until the old one is drained, which takes its place in maxSurge"
    );
    world.confirm();
    assert_eq!(world.run(at(14)), ["delete Replaced id-1"]);
    assert_eq!(world.run(at(15)), ["create Outdated web-1"]);
    let done = settle(&mut world, 16);
    assert!(
        done.iter().all(|said| !said.contains('-') || !said.contains(" - ")),
        "no seat was vacant: {done:?}"
    );
    assert!(
        world
            .seen
            .instances
            .iter()
            .all(|it| it.template == world.pool.template_hash)
    );
    assert_eq!(world.seen.instances.len(), 3);
}

#[test]
fn max_unavailable_breaks_before_it_makes() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid(&format!("{{{NEW}, update: {{maxSurge: 0, maxUnavailable: 2}}}}"));
    assert_eq!(world.run(at(10)).len(), 1);
    let vacant = |world: &World| routed(world).iter().filter(|(_, pod, _)| pod.is_none()).count();
    assert_eq!(vacant(&world), 2);
    assert!(world.run(at(11)).is_empty(), "what was emptied is not taken back");
    world.confirm();
    assert_eq!(world.run(at(12)), ["delete Outdated id-1", "delete Outdated id-2"]);
    world.reap();
    assert_eq!(world.run(at(13)), ["create SeatEmpty web-0", "create SeatEmpty web-1"]);
    settle(&mut world, 14);
    assert!(
        world
            .seen
            .instances
            .iter()
            .all(|it| it.template == world.pool.template_hash)
    );
}

#[test]
fn an_update_adds_nothing_to_an_outage() {
    let mut world = World::settled(valid("{}"));
    world.instance("id-3").phase = Phase::Failed;
    world.pool = valid(&format!("{{{NEW}, update: {{maxSurge: 0, maxUnavailable: 1}}}}"));
    world.run(at(10));
    assert_eq!(routed(&world).iter().filter(|(_, pod, _)| pod.is_none()).count(), 1);
}

#[test]
fn a_template_that_never_gets_ready_stops_after_one_surge() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid(&format!("{{{NEW}}}"));
    world.run(at(10));
    for now in 11..1_000 {
        assert!(world.run(at(now)).is_empty());
    }
    world.pool = valid("{}");
    assert_eq!(
        world.run(at(1_000)),
        ["delete Outdated id-4"],
        "rolled back: nothing else moves"
    );
    world.reap();
    assert!(world.run(at(1_001)).is_empty());
}

#[test]
fn a_paused_update_begins_nothing_and_ends_what_it_began() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid(&format!("{{{NEW}, update: {{paused: true}}}}"));
    assert!(world.run(at(10)).is_empty());
    world.pool = valid(&format!("{{{NEW}}}"));
    world.run(at(11));
    world.pool = valid(&format!("{{{NEW}, update: {{paused: true}}}}"));
    assert!(world.run(at(12)).is_empty(), "still starting");
    world.all_ready();
    assert_eq!(settle(&mut world, 13).len(), 2, "switched and the old one ended");
    world.instance("id-2").phase = Phase::Failed;
    assert!(
        settle(&mut world, 14).iter().any(|said| said == "create Failed web-1"),
        "a failure is still mended"
    );
}

#[test]
fn a_rollback_midway_takes_the_old_ones_back() {
    let mut world = World::settled(valid("{replicas: 2}"));
    world.pool = valid(&format!("{{replicas: 2, {NEW}}}"));
    world.run(at(10));
    world.all_ready();
    world.run(at(11));
    world.pool = valid("{replicas: 2}");
    let done = settle(&mut world, 12);
    assert!(
        done.iter().all(|said| !said.starts_with("create")),
        "the old one had not ended yet: {done:?}"
    );
    assert_eq!(
        world
            .seen
            .instances
            .iter()
            .map(|it| it.id.0.as_str())
            .collect::<Vec<_>>(),
        ["id-1", "id-2"]
    );
}

#[test]
fn weights_order_and_policy_are_new_epochs_and_nothing_else() {
    let mut world = World::settled(valid("{members: [{name: A}, {name: B}]}"));
    for (epoch, spec, reason) in [
        (1, "{members: [{name: A, weight: 3}, {name: B}]}", "Membership"),
        (2, "{members: [{name: B}, {name: A, weight: 3}]}", "Membership"),
        (
            3,
            "{members: [{name: B}, {name: A, weight: 3}], routing: {loadBound: 0}}",
            "Policy",
        ),
        (
            4,
            "{members: [{name: B}, {name: A, weight: 3}], routing: {loadBound: 0}, health: {path: /up}}",
            "Policy",
        ),
    ] {
        let before = world.seen.routing.as_ref().unwrap().epoch;
        world.pool = valid(spec);
        let done = settle(&mut world, 10 + epoch);
        assert_eq!(done.len(), 1, "{done:?}");
        assert!(done[0].starts_with(&format!("publish {reason}")), "{done:?}");
        assert_eq!(world.seen.routing.as_ref().unwrap().epoch, before + 1);
    }
}

#[test]
fn a_lost_document_is_written_anew_past_what_balancers_know() {
    let mut world = World::settled(valid("{}"));
    world.seen.routing = None;
    world.seen.balancers[0].epoch = 57;
    let done = settle(&mut world, 10);
    assert_eq!(done.len(), 1, "{done:?}");
    assert_eq!(world.seen.routing.as_ref().unwrap().epoch, 58);
    assert_eq!(seats_of(&world).len(), 3);
}

#[test]
fn what_never_served_is_ended_at_once() {
    let mut world = World::new(valid("{}"));
    world.run(at(1));
    world.pool = valid(&format!("{{replicas: 2, {NEW}}}"));
    assert_eq!(
        world.run(at(2)),
        ["delete Outdated id-1", "delete Outdated id-2", "delete ScaledDown id-3"]
    );
}

#[test]
fn scaling_to_zero_and_back_gives_the_same_seats() {
    let mut world = World::settled(valid("{}"));
    let before = seats_of(&world);
    world.pool = valid("{replicas: 0}");
    settle(&mut world, 10);
    assert!(world.seen.instances.is_empty() && seats_of(&world).is_empty());
    world.pool = valid("{}");
    settle(&mut world, 20);
    assert_eq!(seats_of(&world), before);
}

#[test]
fn a_replacement_moves_no_key_and_a_new_seat_only_its_share() {
    let table = |world: &World| {
        let document = world.seen.routing.as_ref().unwrap();
        let members: Vec<_> = document
            .members
            .iter()
            .map(|it| lbpool_ring::Member::weighted(it.name.as_str(), it.weight))
            .collect();
        lbpool_ring::Table::build(&members).unwrap()
    };
    let mut world = World::settled(valid("{}"));
    let before = table(&world);
    world.instance("id-2").phase = Phase::Failed;
    world.run(at(10));
    assert_eq!(table(&world).digest(), before.digest(), "while it is vacant");
    settle(&mut world, 11);
    world.pool = valid(&format!("{{{NEW}}}"));
    settle(&mut world, 12);
    assert_eq!(table(&world).digest(), before.digest());
    world.pool = valid("{replicas: 4}");
    settle(&mut world, 13);
    let moved = table(&world).moved_from(&before);
    assert!((0.2..0.27).contains(&moved), "{moved}");
}

#[test]
fn another_protocol_goes_from_member_to_member_with_those_who_speak_it() {
    let mut world = World::settled(valid("{replicas: 2}"));
    let spoken = |world: &World| {
        let members = &world.seen.routing.as_ref().unwrap().members;
        members.iter().map(|member| member.protocol).collect::<Vec<_>>()
    };
    assert_eq!(spoken(&world), [Protocol::Http1; 2]);
    // A policy of the same edit is published at once: it says nothing new of members that are as they were.
    world.pool = valid("{replicas: 2, appProtocol: kubernetes.io/h2c, routing: {loadBound: 0}}");
    assert_eq!(world.run(at(20))[1], "create Outdated web-0");
    assert_eq!(spoken(&world), [Protocol::Http1; 2]);
    world.all_ready();
    world.run(at(21));
    assert_eq!(spoken(&world), [Protocol::H2c, Protocol::Http1]);
    settle(&mut world, 22);
    assert_eq!(spoken(&world), [Protocol::H2c; 2]);
}
