//! One member at a time: start, readiness, failure, back-off, end, output.

use std::{fs, time::Duration};

use lbpool_core::Phase;
use lbpool_operator::{
    Created, Fleet,
    fleet::{Error, process::ProcessFleet},
};
use rustix::process::Signal;
use tokio::{sync::mpsc, time::Instant};

use crate::support::{Bare, PATIENCE, config, ended, get, members, number_in, pids, runs, shell, signal, spec, within};

const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_member_starts_and_is_ready_when_it_answers() {
    let bare = Bare::new(&members(1));
    assert_eq!(bare.create("quiz-0-aaaaa").await.unwrap(), Created::New);
    let ready = bare.phase(Phase::Ready).await;
    assert_eq!(ready.name, "quiz-0-aaaaa");
    assert_eq!(get(ready.address.unwrap()).await.unwrap(), "Quiz-0");
}

#[tokio::test]
async fn a_name_that_exists_makes_no_second_member() {
    let bare = Bare::new(&members(1));
    assert_eq!(bare.create("quiz-0-aaaaa").await.unwrap(), Created::New);
    assert_eq!(bare.create("quiz-0-aaaaa").await.unwrap(), Created::Exists);
    assert_eq!(pids(bare.dir.path()).len(), 1);
}

#[tokio::test]
async fn a_member_that_stops_answering_is_unready_and_comes_back() {
    let bare = Bare::new(&members(1));
    bare.create("quiz-0-aaaaa").await.unwrap();
    bare.phase(Phase::Ready).await;
    let pid = pids(bare.dir.path())[0];
    signal(pid, Signal::STOP);
    let unready = bare.phase(Phase::Unready).await;
    assert!(
        unready.trouble.as_ref().unwrap().contains("no answer within 500ms"),
        "{unready:?}"
    );
    signal(pid, Signal::CONT);
    let ready = bare.phase(Phase::Ready).await;
    assert_eq!((ready.id, ready.trouble), (unready.id, None));
}

#[tokio::test]
async fn a_member_that_ends_says_how_and_what_its_last_words_were() {
    let bare = Bare::new(&shell(1, "echo first; echo 'no such table' >&2; exit 7"));
    bare.create("quiz-0-aaaaa").await.unwrap();
    let failed = bare.phase(Phase::Failed).await;
    assert_eq!(failed.trouble.unwrap(), "exit status 7: no such table");
    assert_eq!(
        pids(bare.dir.path()),
        [0; 0],
        "nothing is written down of a member that was reaped"
    );
}

#[tokio::test]
async fn the_first_replacement_is_immediate_and_the_next_one_waits() {
    let bare = Bare::new(&shell(1, "exit 1"));
    for name in ["quiz-0-aaaaa", "quiz-0-bbbbb"] {
        assert_eq!(bare.create(name).await.unwrap(), Created::New, "{name}");
        let failed = bare.phase(Phase::Failed).await;
        bare.delete(&failed, GRACE).await;
    }
    let before = jiff::Timestamp::now();
    let Created::NotBefore { at, why } = bare.create("quiz-0-ccccc").await.unwrap() else {
        panic!("the second replacement came at once");
    };
    assert!(
        at > before && at <= before + Duration::from_millis(500),
        "{at} after {before}"
    );
    assert_eq!(why, "failed 2 times in a row (exit status 1)");
}

#[tokio::test]
async fn sigterm_ends_a_member_within_its_grace() {
    let folder = tempfile::tempdir().unwrap();
    let may = folder.path().join("may-end");
    let end = format!(
        "while [ ! -e {} ]; do sleep 0.01; done; echo bye; exit 0",
        may.display()
    );
    let bare = Bare::new(&shell(1, &format!("trap '{end}' TERM; $MEMBER & wait")));
    bare.create("quiz-0-aaaaa").await.unwrap();
    let ready = bare.phase(Phase::Ready).await;
    let began = Instant::now();
    bare.delete(&ready, GRACE).await;
    assert_eq!(bare.fleet.observe().await.unwrap()[0].phase, Phase::Ending);
    fs::write(may, "").unwrap();
    bare.until(<[_]>::is_empty).await;
    assert!(began.elapsed() < GRACE);
    assert!(bare.log().contains("\nbye\n"), "{}", bare.log());
}

#[tokio::test]
async fn a_member_that_ignores_sigterm_is_killed_after_its_grace() {
    let bare = Bare::new(&shell(1, "trap '' TERM; exec $MEMBER"));
    bare.create("quiz-0-aaaaa").await.unwrap();
    let ready = bare.phase(Phase::Ready).await;
    let (began, grace) = (Instant::now(), Duration::from_millis(300));
    bare.delete(&ready, grace).await;
    bare.until(<[_]>::is_empty).await;
    assert!(began.elapsed() >= grace);
    assert!(bare.log().contains("killed (signal 9)"), "{}", bare.log());
}

#[tokio::test]
async fn what_a_member_started_ends_with_it() {
    let pid_file = tempfile::NamedTempFile::new().unwrap();
    let script = format!("sleep 1000 & echo $! > {}; exec $MEMBER", pid_file.path().display());
    let bare = Bare::new(&shell(1, &script));
    bare.create("quiz-0-aaaaa").await.unwrap();
    bare.phase(Phase::Ready).await;
    let grandchild = number_in(pid_file.path()).await;
    assert!(runs(grandchild));
    signal(pids(bare.dir.path())[0], Signal::KILL);
    bare.phase(Phase::Failed).await;
    ended(grandchild).await;
}

#[tokio::test]
async fn a_dropped_fleet_leaves_no_process_and_no_record() {
    let bare = Bare::new(&shell(1, "trap '' TERM; exec $MEMBER"));
    bare.create("quiz-0-aaaaa").await.unwrap();
    bare.phase(Phase::Ready).await;
    let pid = pids(bare.dir.path())[0];
    drop(bare.fleet);
    assert!(!runs(pid));
    assert_eq!(pids(bare.dir.path()), [0; 0]);
}

#[tokio::test]
async fn what_an_earlier_run_left_behind_is_ended_at_the_next_start() {
    let bare = Bare::new(&members(1));
    bare.create("quiz-0-aaaaa").await.unwrap();
    bare.phase(Phase::Ready).await;
    let pid = pids(bare.dir.path())[0];
    // To the second fleet it looks as though the first had been killed.
    let _second = ProcessFleet::new(config(bare.dir.path())).unwrap();
    bare.phase(Phase::Failed).await;
    assert!(!runs(pid));
}

#[tokio::test]
async fn output_goes_to_the_log_and_with_a_prefix_to_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let (terminal, mut lines) = mpsc::channel(64);
    let mut config = config(dir.path());
    config.terminal = Some(terminal);
    let bare = Bare::new(&shell(1, "echo out; echo err >&2; exec $MEMBER"));
    let fleet = ProcessFleet::new(config).unwrap();
    fleet.create(&bare.pool, &Bare::order("quiz-0-aaaaa")).await.unwrap();
    let mut seen = Vec::new();
    within("the lines", async {
        while seen.len() < 3 {
            seen.push(lines.recv().await.unwrap());
        }
    })
    .await;
    assert!(
        seen.contains(&"Quiz-0 | out".to_owned()) && seen.contains(&"Quiz-0 | err".to_owned()),
        "{seen:?}"
    );
    let log = fs::read_to_string(dir.path().join("logs/Quiz-0.log")).unwrap();
    assert!(
        log.contains("quiz-0-aaaaa starts: process") && log.contains("\nout\n") && log.contains("\nerr\n"),
        "{log}"
    );
}

#[tokio::test]
async fn environment_arguments_and_directory_come_from_the_template() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec(1, &["sh", "-c"]);
    let container = &mut spec["template"]["spec"]["containers"][0];
    container["workingDir"] = dir.path().to_str().unwrap().into();
    container["args"] = serde_json::json!(["echo $(GREETING) $$PORT \"$0\" > said; exec sleep 1000", "$(NOT_SET)"]);
    container["env"] = serde_json::json!([{"name": "GREETING", "value": "hello from $(SERVER_ID) at $(HOSTNAME)"}]);
    let bare = Bare::new(&spec);
    bare.create("quiz-0-aaaaa").await.unwrap();
    let instance = bare.phase(Phase::Starting).await;
    let said = within("the file", async {
        loop {
            match fs::read_to_string(dir.path().join("said")) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    let port = instance.address.unwrap().port();
    assert_eq!(said, format!("hello from Quiz-0 at quiz-0 {port} $(NOT_SET)\n"));
}

#[tokio::test]
async fn what_can_not_run_here_is_refused_with_what_to_do() {
    for (change, wanted) in [
        (
            serde_json::json!({"command": ["no-such-program"]}),
            "program \"no-such-program\" not found in PATH; build or",
        ),
        (
            serde_json::json!({"command": ["./no/such"]}),
            "program \"./no/such\" not found as an executable file",
        ),
        (
            serde_json::json!({"command": null}),
            "spec.template.spec.containers[0].command: must name the program",
        ),
        (
            serde_json::json!({"workingDir": "/no/such/dir"}),
            "workingDir: \"/no/such/dir\" is no directory",
        ),
        (
            serde_json::json!({"envFrom": [{"secretRef": {"name": "s"}}]}),
            "containers[0].envFrom: there are no",
        ),
    ] {
        let mut spec = members(1);
        let container = &mut spec["template"]["spec"]["containers"][0];
        container
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let bare = Bare::new(&spec);
        let error = bare.fleet.check(&bare.pool).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
        assert_eq!(
            bare.create("quiz-0-aaaaa").await.unwrap_err().to_string(),
            error.to_string()
        );
        assert_eq!(bare.fleet.observe().await.unwrap(), []);
    }
}

#[tokio::test]
async fn shutdown_ends_all_at_the_same_time_and_starts_nothing_more() {
    let bare = Bare::new(&shell(1, "trap '' TERM; exec $MEMBER"));
    for name in ["quiz-0-aaaaa", "quiz-0-bbbbb", "quiz-0-ccccc"] {
        bare.create(name).await.unwrap();
    }
    bare.until(|seen| seen.len() == 3 && seen.iter().all(|it| it.phase == Phase::Ready))
        .await;
    let (began, grace) = (Instant::now(), Duration::from_millis(500));
    within("the shutdown", bare.fleet.shutdown(grace)).await;
    assert!(
        began.elapsed() < grace * 3 && began.elapsed() < PATIENCE,
        "{:?}",
        began.elapsed()
    );
    assert_eq!(pids(bare.dir.path()), [0; 0]);
    assert!(matches!(bare.create("quiz-0-ddddd").await, Err(Error::Ended)));
}
