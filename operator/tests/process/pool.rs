//! A pool settles, and holds what its spec says.

use std::time::Duration;

use lbpool_api::status::SeatState;
use lbpool_core::Phase;
use lbpool_operator::{Error, controller, fleet::process::ProcessFleet};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::{Notes, Running, config, members, pool, shell, signal, spec, within};

#[tokio::test]
async fn a_pool_settles_and_is_left_alone() {
    let running = Running::start(&members(3));
    let pool = running.settled().await;
    let status = pool.status.unwrap();
    let names: Vec<&str> = status.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["quiz-0", "quiz-1", "quiz-2"]);
    assert!(status.members.iter().all(|member| member.state == SeatState::Serving));
    assert_eq!(status.digest.len(), 16);
    for seat in names {
        assert_eq!(running.ask(seat).await, seat);
    }
    let (passes, documents) = (running.metrics.passes(), running.documents().len());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        running.metrics.passes() <= passes + 1,
        "a settled pool is not looked at over and over"
    );
    assert_eq!(running.documents().len(), documents);
    let dir = running.shutdown().await;
    assert_eq!(crate::support::pids(dir.path()), [0; 0]);
}

#[tokio::test]
async fn epochs_grow_by_one_and_every_document_has_the_digest_of_its_members() {
    let running = Running::start(&members(2));
    running.settled().await;
    let documents = running.documents();
    let epochs: Vec<u64> = documents.iter().map(|document| document.epoch).collect();
    let wanted: Vec<u64> = (1..=epochs.len() as u64).collect();
    assert_eq!(epochs, wanted);
    for document in &documents {
        let members: Vec<_> = document
            .members
            .iter()
            .map(|member| lbpool_ring::Member::new(member.name.as_str()))
            .collect();
        let table = lbpool_ring::Table::build(&members).unwrap();
        assert_eq!(document.digest, format!("{:016x}", table.digest()));
    }
}

#[tokio::test]
async fn a_killed_member_is_replaced_in_its_seat_within_a_second() {
    let running = Running::start(&members(3));
    running.settled().await;
    let before = running.routed();
    let victim = running.seen().await.remove(0);
    let pid = running.pids().into_iter().find(|&pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        String::from_utf8_lossy(&environ)
            .split('\0')
            .any(|it| it == format!("SERVER_ID={}", victim.seat))
    });
    let began = Instant::now();
    signal(pid.unwrap(), Signal::KILL);
    running
        .until(|pool| {
            let members = &pool.status.as_ref().unwrap().members;
            let seat = members.iter().find(|member| member.name == victim.seat).unwrap();
            seat.pod.as_ref().is_some_and(|pod| *pod != victim.name) && seat.state == SeatState::Serving
        })
        .await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(running.ask(victim.seat.as_str()).await, victim.seat.as_str());
    let after = running.routed();
    assert_eq!(before.len(), after.len());
    for (before, after) in before
        .iter()
        .zip(&after)
        .filter(|(before, _)| before.name != victim.seat)
    {
        assert_eq!(before, after, "the others are not touched");
    }
    let digests: Vec<_> = running
        .documents()
        .into_iter()
        .rev()
        .take(2)
        .map(|document| document.digest)
        .collect();
    assert_eq!(digests[0], digests[1], "no key moved");
}

#[tokio::test]
async fn a_crash_loop_backs_off_and_the_status_says_why() {
    let running = Running::start(&shell(1, "echo 'can not open the database' >&2; exit 1"));
    let pool = running.until(|pool| {
        let conditions = pool.status.iter().flat_map(|status| &status.conditions);
        conditions
            .into_iter()
            .any(|it| it.type_ == "Degraded" && it.status == "True" && it.reason == "BackOff")
    });
    let status = pool.await.status.unwrap();
    let degraded = status.conditions.iter().find(|it| it.type_ == "Degraded").unwrap();
    assert!(
        degraded.message.contains("quiz-0 failed") && degraded.message.contains("can not open the database"),
        "{}",
        degraded.message
    );
    let log = std::fs::read_to_string(running.dir.path().join("logs/quiz-0.log")).unwrap();
    assert!(log.matches("starts:").count() <= 4, "{log}");
}

#[tokio::test]
async fn a_pool_recovers_by_itself_when_the_cause_of_a_crash_loop_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let cure = dir.path().join("cure");
    let running = Running::start(&shell(1, &format!("test -e {} && exec $MEMBER", cure.display())));
    let degraded = |pool: &lbpool_api::LoadBalancerPool| {
        let conditions = pool.status.iter().flat_map(|status| &status.conditions);
        conditions
            .into_iter()
            .any(|it| it.type_ == "Degraded" && it.status == "True")
    };
    running.until(degraded).await;
    std::fs::write(cure, "").unwrap();
    assert!(!degraded(&running.settled().await));
}

#[tokio::test]
async fn a_refused_document_is_published_again() {
    let running = Running::start(&members(1));
    *running.notes.refuse.lock().unwrap() = 2;
    running.settled().await;
    assert_eq!(*running.notes.refuse.lock().unwrap(), 0);
    assert!(running.documents().last().unwrap().members.len() == 1);
}

#[tokio::test]
async fn a_pool_that_can_not_run_here_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let fleet = std::sync::Arc::new(ProcessFleet::new(config(dir.path())).unwrap());
    let error = controller(
        pool(&spec(1, &["no-such-program"])),
        fleet,
        std::sync::Arc::new(Notes::default()),
    )
    .err();
    assert!(matches!(error, Some(Error::Unfit(_))), "{error:?}");
}

#[tokio::test]
async fn shutdown_ends_every_member_and_answers_who_waits() {
    let running = Running::start(&spec(1, &["sleep", "1000"]));
    running.until(|pool| pool.status.is_some()).await;
    let handle = running.handle.clone();
    within("the member", async {
        while running.seen().await.iter().all(|it| it.phase != Phase::Starting) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let waits = handle.routed(1, Duration::from_mins(1));
    let (waited, dir) = tokio::join!(waits, running.shutdown());
    assert!(matches!(waited, Err(Error::Ended)), "{waited:?}");
    assert_eq!(crate::support::pids(dir.path()), [0; 0]);
}
