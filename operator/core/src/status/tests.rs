use super::*;
use crate::{
    Balancing, UnreadyBalancer, plan,
    testing::{World, at, valid},
};

fn condition<'a>(status: &'a PoolStatus, kind: &str) -> &'a Condition {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .unwrap()
}

fn report(world: &World, last: &PoolStatus, now: Timestamp) -> PoolStatus {
    let plan = plan(&world.pool, &world.seen, now);
    status(&world.pool, &world.seen, &plan, last, now)
}

#[test]
fn a_settled_pool_is_ready_and_says_so() {
    let world = World::settled(valid("{members: [{name: S5, weight: 2}]}"));
    let status = report(&world, &PoolStatus::default(), at(10));
    assert_eq!(
        (
            status.ready.as_str(),
            status.replicas,
            status.ready_replicas,
            status.updated_replicas
        ),
        ("3/3", 3, 3, 3)
    );
    assert_eq!(status.selector, "lbpool.dev/pool=web,lbpool.dev/member");
    assert_eq!(status.members[0].weight, 2);
    assert!(
        status
            .members
            .iter()
            .all(|member| member.state == SeatState::Serving && member.pod.is_some())
    );
    assert_eq!(
        (
            condition(&status, "Ready").status.as_str(),
            condition(&status, "Ready").reason.as_str()
        ),
        ("True", "Ready")
    );
    assert_eq!(condition(&status, "Progressing").reason, "Settled");
    assert_eq!(condition(&status, "Degraded").status, "False");
}

#[test]
fn times_are_kept_where_nothing_changed() {
    let mut world = World::settled(valid("{}"));
    let first = report(&world, &PoolStatus::default(), at(10));
    assert_eq!(report(&world, &first, at(20)), first);
    world.seen.instances[1].phase = Phase::Unready;
    world.run(at(30));
    let second = report(&world, &first, at(30));
    assert_eq!(second.members[0], first.members[0]);
    assert_eq!(
        (second.members[1].state, second.members[1].since.clone()),
        (SeatState::Vacant, Some(Time(at(30))))
    );
    assert_eq!(condition(&second, "Ready").last_transition_time, Time(at(30)));
    assert_eq!(condition(&second, "Degraded").last_transition_time, Time(at(10)));
    assert_eq!(
        (second.ready.as_str(), condition(&second, "Ready").reason.as_str()),
        ("2/3", "Replacing")
    );
}

#[test]
fn a_seat_that_joins_and_one_that_leaves_are_shown() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid("{members: [{name: S1}]}");
    world.run(at(20));
    let status = report(&world, &PoolStatus::default(), at(20));
    let shown: Vec<_> = status
        .members
        .iter()
        .map(|member| (member.name.as_str(), member.state))
        .collect();
    assert_eq!(
        shown,
        [
            ("S1", SeatState::Joining),
            ("web-0", SeatState::Serving),
            ("web-1", SeatState::Serving),
            ("web-2", SeatState::Draining)
        ]
    );
    assert_eq!(condition(&status, "Ready").reason, "Scaling");
    assert!(condition(&status, "Progressing").message.contains("S1"));
}

#[test]
fn a_member_that_does_not_start_degrades_the_pool_and_says_why() {
    let mut world = World::settled(valid("{}"));
    world.pool = valid("{template: {spec: {containers: [{name: main, image: bad}]}}}");
    world.run(at(20));
    let young = world.seen.instances.last_mut().unwrap();
    young.trouble = Some("exit status 1".into());
    young.phase = Phase::Failed;
    let status = report(&world, &PoolStatus::default(), at(21));
    assert_eq!(
        (
            condition(&status, "Degraded").status.as_str(),
            condition(&status, "Degraded").reason.as_str()
        ),
        ("True", "MembersFailing")
    );
    assert!(condition(&status, "Degraded").message.contains("exit status 1"));
    assert_eq!(
        condition(&status, "Ready").reason,
        "Updating",
        "the old members still serve"
    );
}

#[test]
fn a_member_that_is_late_degrades_the_pool() {
    let mut world = World::settled(valid("{}"));
    world.pool =
        valid("{template: {spec: {containers: [{name: main, image: slow}]}}, update: {progressDeadline: 60s}}");
    world.run(at(20));
    assert_eq!(
        condition(&report(&world, &PoolStatus::default(), at(79)), "Degraded").status,
        "False"
    );
    let late = report(&world, &PoolStatus::default(), at(80));
    assert_eq!(condition(&late, "Degraded").reason, "ProgressDeadlineExceeded");
    assert!(
        condition(&late, "Degraded").message.contains("not ready after 1m"),
        "{late:?}"
    );
    assert_eq!(condition(&late, "Progressing").status, "False");
    assert_eq!(plan(&world.pool, &world.seen, at(30)).wake, Some(at(80)));
}

#[test]
fn a_refused_spec_changes_nothing_but_degraded() {
    let world = World::settled(valid("{}"));
    let before = report(&world, &PoolStatus::default(), at(10));
    let invalid = crate::validate(&crate::testing::pool("{replicas: -1}")).unwrap_err();
    let status = refused(&invalid, 5, &before, at(20));
    assert_eq!((status.observed_generation, status.ready.as_str()), (Some(5), "3/3"));
    assert_eq!(condition(&status, "Degraded").reason, "InvalidSpec");
    assert!(condition(&status, "Degraded").message.contains("spec.replicas"));
    assert_eq!(
        condition(&report(&world, &status, at(30)), "Degraded").status,
        "False",
        "until the spec is mended"
    );
}

/// A balancer that was made at 20.
fn unready(name: &str, unmounted: bool, trouble: Option<&str>) -> UnreadyBalancer {
    UnreadyBalancer {
        name: name.to_owned(),
        created: at(20),
        unmounted,
        trouble: trouble.map(str::to_owned),
    }
}

#[test]
fn a_balancer_that_waits_for_its_secret_is_told_of_with_what_to_do() {
    let mut world = World::settled(valid("{balancer: {tls: {secretName: web-tls}}}"));
    world.seen.balancing.unready = vec![unready("web-balancer-a", true, None)];
    let early = report(&world, &PoolStatus::default(), at(34));
    assert_eq!(condition(&early, "Degraded").status, "False", "it may be on its way");
    assert_eq!(
        plan(&world.pool, &world.seen, at(34)).wake,
        Some(at(35)),
        "nothing is seen to change until then"
    );
    let status = report(&world, &early, at(35));
    let (degraded, ready) = (condition(&status, "Degraded"), condition(&status, "Ready"));
    assert_eq!(
        (degraded.status.as_str(), degraded.reason.as_str()),
        ("True", "BalancersFailing")
    );
    let message = &degraded.message;
    for part in [
        "web-balancer-a",
        "Secret web-tls in namespace default",
        "tls.crt and tls.key",
        "kubectl describe pod web-balancer-a",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "Degraded"));
    assert!(ready.message.contains("no balancer is"), "{}", ready.message);

    world.seen.balancing.ready = 1;
    let status = report(&world, &status, at(36));
    assert_eq!(condition(&status, "Ready").status, "True", "another one serves");
    assert_eq!(condition(&status, "Degraded").status, "True");
    world.seen.balancing = Balancing::default();
    assert_eq!(condition(&report(&world, &status, at(37)), "Degraded").status, "False");
}

#[test]
fn a_balancer_that_does_not_start_is_quoted_and_one_that_is_late_is_told_of() {
    let mut world = World::settled(valid("{update: {progressDeadline: 60s}}"));
    for (balancer, now, expected) in [
        (
            unready("b", false, Some("CrashLoopBackOff: exit code 1")),
            20,
            Some("balancer b: CrashLoopBackOff: exit code 1"),
        ),
        (unready("b", false, None), 79, None),
        (unready("b", false, None), 80, Some("balancer b is not ready after 1m")),
        (
            unready("b", true, None),
            35,
            Some("balancer b waits for its volumes or its network"),
        ),
    ] {
        world.seen.balancing = Balancing {
            ready: 1,
            unready: vec![balancer],
        };
        let status = report(&world, &PoolStatus::default(), at(now));
        let degraded = condition(&status, "Degraded");
        assert_eq!(degraded.status == "True", expected.is_some(), "{degraded:?}");
        assert!(
            degraded.message.starts_with(expected.unwrap_or_default()),
            "{degraded:?}"
        );
    }
}
