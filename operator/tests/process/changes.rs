//! A pool follows its spec: scale, update, drain, edits.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::EnvVar;
use lbpool_api::status::SeatState;
use lbpool_core::Phase;
use lbpool_operator::Error;

use crate::support::{Running, members, within};

const SOON: Duration = Duration::from_secs(20);

fn seats(running: &Running) -> Vec<String> {
    running.routed().iter().map(|member| member.name.to_string()).collect()
}

#[tokio::test]
async fn scaling_up_and_down_adds_and_takes_the_last_seats() {
    let running = Running::start(&members(2));
    running.settled().await;
    let generation = running.edit(|spec| spec.replicas = 4);
    running.handle.routed(generation, SOON).await.unwrap();
    assert_eq!(seats(&running), ["quiz-0", "quiz-1", "quiz-2", "quiz-3"]);
    let generation = running.edit(|spec| spec.replicas = 1);
    running.handle.routed(generation, SOON).await.unwrap();
    assert_eq!(seats(&running), ["quiz-0"]);
    running.settled().await;
    assert_eq!(running.pids().len(), 1);
}

#[tokio::test]
async fn a_member_ends_only_when_the_balancers_have_no_request_of_it() {
    let running = Running::start(&members(2));
    running.settled().await;
    let leaver = running.routed()[1].pod.clone().unwrap();
    *running.notes.in_flight.lock().unwrap() = vec![(leaver.clone(), 1)];
    let generation = running.edit(|spec| spec.replicas = 1);
    running.handle.routed(generation, SOON).await.unwrap();
    let passes = running.metrics.passes();
    within("some looks at the balancers", async {
        while running.metrics.passes() < passes + 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let still = running.seen().await.into_iter().find(|it| it.name == leaver).unwrap();
    assert_eq!(still.phase, Phase::Ready, "it finishes its request");
    let status = running.handle.get().status.clone().unwrap();
    assert!(
        status.members.iter().any(|it| it.state == SeatState::Draining),
        "{:?}",
        status.members
    );
    running.notes.in_flight.lock().unwrap().clear();
    running.settled().await;
}

#[tokio::test]
async fn a_new_template_rolls_through_the_seats_and_no_seat_is_ever_empty() {
    let running = Running::start(&members(3));
    running.settled().await;
    let old: BTreeSet<_> = running.seen().await.into_iter().map(|it| it.id).collect();
    let before = running.documents().len();
    running.edit(|spec| {
        let container = &mut spec.template.spec.as_mut().unwrap().containers[0];
        container.env = Some(vec![EnvVar {
            name: "VERSION".into(),
            value: Some("2".into()),
            ..EnvVar::default()
        }]);
    });
    running.settled().await;
    let new = running.seen().await;
    assert!(new.iter().all(|it| !old.contains(&it.id)), "{new:?}");
    let documents = running.documents();
    assert!(documents.len() >= before + 3);
    for document in &documents[before..] {
        assert_eq!(document.members.len(), 3);
        assert!(
            document.members.iter().all(|it| it.state == SeatState::Serving),
            "{document:?}"
        );
        assert_eq!(
            document.digest,
            documents[before - 1].digest,
            "no key moves in an update"
        );
    }
}

#[tokio::test]
async fn a_template_that_never_gets_ready_leaves_the_old_members_serving() {
    let running = Running::start(&members(2));
    running.settled().await;
    let serving = running.routed();
    running.edit(|spec| {
        let container = &mut spec.template.spec.as_mut().unwrap().containers[0];
        container.args = Some(vec!["--never-ready".into()]);
    });
    within("the one surge", async {
        while running.seen().await.len() != 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(running.routed(), serving);
    running.edit(|spec| spec.template.spec.as_mut().unwrap().containers[0].args = None);
    running.settled().await;
    assert_eq!(running.routed(), serving, "rolled back: nothing was lost");
}

#[tokio::test]
async fn a_spec_that_is_wrong_or_can_not_run_here_changes_nothing() {
    let running = Running::start(&members(1));
    let before = running.settled().await;
    let mut wrong = before.spec.clone();
    wrong.replicas = -1;
    assert!(matches!(running.handle.apply(wrong), Err(Error::Invalid(_))));
    let mut unfit = before.spec.clone();
    unfit.template.spec.as_mut().unwrap().containers[0].command = Some(vec!["no-such-program".into()]);
    assert!(matches!(running.handle.apply(unfit), Err(Error::Unfit(_))));
    assert_eq!(
        running.handle.apply(before.spec.clone()).unwrap(),
        1,
        "the same spec is the same generation"
    );
    assert_eq!(*running.handle.get(), before);
}

#[tokio::test]
async fn of_two_edits_at_once_both_count() {
    let running = Arc::new(Running::start(&members(1)));
    let edits: Vec<_> = (0..4)
        .map(|_| {
            let handle = running.handle.clone();
            std::thread::spawn(move || {
                handle.edit::<Error>(|pool| {
                    let mut spec = pool.spec.clone();
                    spec.replicas += 1;
                    std::thread::yield_now();
                    Ok(spec)
                })
            })
        })
        .collect();
    let generations: BTreeSet<i64> = edits.into_iter().map(|edit| edit.join().unwrap().unwrap()).collect();
    assert_eq!(generations, BTreeSet::from([2, 3, 4, 5]));
    running.handle.routed(5, SOON).await.unwrap();
    assert_eq!(seats(&running).len(), 5);
}

#[tokio::test]
async fn who_waits_too_long_for_a_change_hears_what_it_waits_for() {
    let mut spec = members(1);
    spec["template"]["spec"]["containers"][0]["args"] = serde_json::json!(["--never-ready"]);
    let running = Running::start(&spec);
    let error = running.handle.routed(1, Duration::from_millis(200)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("generation 1 is not routed yet after 200ms: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_health_path_that_is_mended_reaches_members_that_run_already() {
    let mut wrong = members(1);
    wrong["health"] = serde_json::json!({"path": "/wrong", "period": "10m", "timeout": "500ms"});
    let running = Running::start(&wrong);
    let seen = within("a member to start", async {
        loop {
            if let Some(member) = running.seen().await.pop() {
                return member;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let before = seen.await.id;
    let health = &mut wrong["health"];
    health["path"] = "/".into();
    let mended = serde_json::from_value(health.clone()).unwrap();
    running.edit(|spec| spec.health = mended);
    running.settled().await;
    assert_eq!(running.seen().await.pop().unwrap().id, before, "nothing was made anew");
    running.shutdown().await;
}
