use lbpool_balancer::{Balancer, Config};
use lbpool_daemon::Shutdown;

use super::*;
use crate::{
    client::{self, Client},
    control::testing::{self, Paper},
    runtime::Record,
};

const WAIT: lbpool_api::Duration = lbpool_api::Duration::from_secs(30);

struct Served {
    client: Client,
    pool: Arc<Pool>,
    fleet: Arc<Paper>,
    _balancer: Balancer,
    _tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

async fn serve(replicas: i32) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let (handle, fleet, mut tasks) = testing::pool(replicas).await;
    let balancer = Balancer::start(Config {
        workers: 1,
        ..Config::default()
    })
    .unwrap();
    let record = Record {
        pool: "demo".to_owned(),
        pid: std::process::id(),
        url: "http://127.0.0.1:5000".to_owned(),
        admin: None,
        started: jiff::Timestamp::now(),
    };
    let pool = Arc::new(Pool {
        handle,
        balancer: balancer.shared(),
        shutdown: Shutdown::default(),
        record,
        members: dir.path().join("members"),
    });
    let socket = dir.path().join("control.sock");
    tasks.spawn(run(bind(&socket).unwrap(), Arc::clone(&pool)));
    Served {
        client: Client::new(&socket),
        pool,
        fleet,
        _balancer: balancer,
        _tasks: tasks,
        _dir: dir,
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, client::Error>) -> String {
    match result {
        Err(client::Error::Refused { message }) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pool_is_scaled_and_the_change_waited_for() {
    let served = serve(1).await;
    let changed = served.client.scale(3, Some(WAIT)).await.unwrap();
    assert_eq!((changed.generation, changed.changed, changed.pending), (2, true, None));
    let status = served.client.pool().await.unwrap().status.unwrap();
    assert_eq!((status.ready.as_str(), status.updated_replicas), ("3/3", 3));
    let again = served.client.scale(3, Some(WAIT)).await.unwrap();
    assert_eq!((again.generation, again.changed), (2, false));
}

#[tokio::test]
async fn another_template_is_complete_when_every_member_runs_it() {
    let served = serve(2).await;
    let mut pool = served.client.pool().await.unwrap();
    pool.spec.template.spec.as_mut().unwrap().containers[0].args = Some(vec!["--new".to_owned()]);
    let changed = served.client.apply(&pool, Some(WAIT)).await.unwrap();
    assert_eq!((changed.changed, changed.pending), (true, None));
    let status = served.client.pool().await.unwrap().status.unwrap();
    assert_eq!((status.ready_replicas, status.updated_replicas), (2, 2));
}

#[tokio::test]
async fn a_change_that_does_not_complete_says_how_far_it_came() {
    let served = serve(1).await;
    served.fleet.stuck.store(true, std::sync::atomic::Ordering::Relaxed);
    let wait = Some(lbpool_api::Duration::from_millis(100));
    let late = served.client.scale(2, wait).await.unwrap().pending.unwrap();
    assert!(late.contains("generation 2 is not routed yet after 100ms"), "{late}");
    let mut pool = served.client.pool().await.unwrap();
    pool.spec.replicas = 1;
    served.client.apply(&pool, Some(WAIT)).await.unwrap();
    pool.spec.template.spec.as_mut().unwrap().containers[0].args = Some(vec!["--new".to_owned()]);
    let late = served.client.apply(&pool, wait).await.unwrap().pending.unwrap();
    assert_eq!(
        late,
        "after 100ms only 1/1 members are ready and 0 have the newest template"
    );
}

#[tokio::test]
async fn a_plan_promises_what_the_change_then_does_and_changes_nothing() {
    let served = serve(2).await;
    let before = served.client.pool().await.unwrap();
    let plan = served.client.plan_scale(3).await.unwrap();
    assert_eq!(served.client.pool().await.unwrap(), before);
    assert_eq!((plan.steps.len(), plan.after.seats), (2, 3));
    served.client.scale(3, Some(WAIT)).await.unwrap();
    let status = served.client.pool().await.unwrap().status.unwrap();
    assert_eq!(status.digest, plan.after.digest);
    let pods: Vec<_> = status.members.iter().filter_map(|member| member.pod.clone()).collect();
    let lbpool_operator::outlook::Step::Start { pod, .. } = &plan.steps[0] else {
        panic!("{plan:?}")
    };
    assert!(pods.contains(pod), "{pods:?}");
    // What is there already is not planned again, whatever was under way a moment ago.
    let again = served.client.plan(&served.client.pool().await.unwrap()).await.unwrap();
    assert_eq!((again.steps, again.changes, again.before), (vec![], vec![], plan.after));
    assert_eq!(
        refused(served.client.plan_scale(-1).await),
        refused(served.client.scale(-1, None).await)
    );
}

#[tokio::test]
async fn a_key_is_explained_by_what_is_routed() {
    let served = serve(2).await;
    // The controller of this test publishes to nobody: the balancer routes by nothing yet.
    let told = served.client.explain("cart/42 \u{fc}").await.unwrap();
    assert_eq!((told.key.as_str(), told.owner), ("cart/42 \u{fc}", None));
    assert_eq!(told.why, "the pool has no members");
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_words_and_changes_nothing() {
    let served = serve(1).await;
    let before = served.client.pool().await.unwrap();
    assert!(refused(served.client.scale(-1, None).await).contains("a pool has 0 to 1024"));
    let mut pool = before.clone();
    pool.spec.update.max_surge = 0;
    let message = refused(served.client.apply(&pool, None).await);
    assert!(
        message.contains("spec.update: maxSurge and maxUnavailable are both 0"),
        "{message}"
    );
    let mut other = before.clone();
    other.metadata.name = Some("web".to_owned());
    assert_eq!(
        refused(served.client.apply(&other, None).await),
        "this is the pool demo, not web"
    );
    assert_eq!(served.client.pool().await.unwrap(), before);
}

#[tokio::test]
async fn each_change_is_told_to_who_watches() {
    let served = serve(1).await;
    let mut watch = served.client.watch().await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().spec.replicas, 1);
    served.client.scale(2, None).await.unwrap();
    loop {
        let pool = watch.next().await.unwrap().unwrap();
        if pool.status.is_some_and(|status| status.ready == "2/2") {
            break;
        }
    }
}

#[tokio::test]
async fn the_end_is_asked_for_and_the_socket_is_its_owners_alone() {
    let served = serve(1).await;
    let mode = served.client.socket().metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    served.client.down().await.unwrap();
    assert_eq!(served.pool.shutdown.requested().await, Cause::Command);
}

#[tokio::test]
async fn a_pool_that_is_gone_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let error = Client::new(&dir.path().join("control.sock")).pool().await.unwrap_err();
    assert!(error.to_string().starts_with("the pool does not answer at "), "{error}");
}

#[test]
fn only_a_duration_can_be_waited_for() {
    let wait = |query: &str| wait_of(query).map_err(|refusal| refusal.status);
    assert_eq!(wait(""), Ok(None));
    assert_eq!(wait("wait=2s"), Ok(Some(Duration::from_secs(2))));
    assert_eq!(wait("wait=soon"), Err(StatusCode::BAD_REQUEST));
}
