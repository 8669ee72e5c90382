//! The index fed by hand, as watches feed it.

use std::time::Duration;

use lbpool_core::Phase;
use serde_json::{Value, json};

use super::*;

fn key() -> PoolKey {
    PoolKey::new("ns", "web")
}

/// A Pod of the pool `web`; `more` is merged into it.
fn pod(name: &str, uid: &str, more: &Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "ns", "uid": uid,
            "labels": {"lbpool.dev/pool": "web", "lbpool.dev/member": "s5", "lbpool.dev/role": "member", "lbpool.dev/template-hash": "t"},
            "annotations": {"lbpool.dev/member": "S5"},
            "ownerReferences": [{"apiVersion": "lbpool.dev/v1alpha1", "kind": "LoadBalancerPool", "name": "web", "uid": "u-1", "controller": true}],
        },
        "spec": {"nodeName": "n1", "containers": []},
        "status": {"podIP": "10.0.0.1", "phase": "Running"},
    });
    merge(&mut pod, more);
    serde_json::from_value(pod).unwrap()
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (field, value) in more {
                merge(into.entry(field).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn ready() -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
}

fn phases(index: &Index) -> Vec<(String, Phase)> {
    let members = index.members(&key(), "u-1", 5000);
    members.instances.into_iter().map(|it| (it.name, it.phase)).collect()
}

#[test]
fn a_pod_is_starting_until_it_was_ready_once() {
    let index = Index::default();
    index.apply_pod(&pod("a", "1", &json!({})));
    assert_eq!(phases(&index), [("a".into(), Phase::Starting)]);
    index.apply_pod(&pod("a", "1", &ready()));
    index.apply_pod(&pod("a", "1", &json!({})));
    let seen = index.members(&key(), "u-1", 5000).instances.remove(0);
    assert_eq!(
        (seen.phase, seen.seat.as_str(), seen.template.as_str()),
        (Phase::Unready, "S5", "t")
    );
    assert_eq!(seen.address, Some(([10, 0, 0, 1], 5000).into()));
}

#[test]
fn an_event_that_was_on_its_way_brings_no_pod_back_that_was_told_to_end() {
    let index = Index::default();
    index.apply_pod(&pod("a", "1", &ready()));
    index.end_pod(&key(), "a", "1", false);
    index.apply_pod(&pod("a", "1", &json!({})));
    assert_eq!(phases(&index), [("a".into(), Phase::Ending)]);
    index.delete_pod(&pod("a", "1", &json!({})));
    assert!(phases(&index).is_empty());
    index.apply_pod(&pod("a", "2", &ready()));
    assert_eq!(phases(&index), [("a".into(), Phase::Ready)], "a namesake");
}

#[test]
fn the_end_of_a_namesake_removes_nobody() {
    let index = Index::default();
    index.apply_pod(&pod("a", "2", &ready()));
    index.delete_pod(&pod("a", "1", &json!({})));
    index.end_pod(&key(), "a", "1", true);
    assert_eq!(phases(&index), [("a".into(), Phase::Ready)]);
}

#[test]
fn strangers_with_our_labels_are_told_and_are_no_members() {
    let index = Index::default();
    index.apply_pod(&pod("a", "1", &json!({"metadata": {"ownerReferences": null}})));
    index.apply_pod(&pod("b", "2", &json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u-2", "controller": true}]}})));
    let members = index.members(&key(), "u-1", 5000);
    assert!(members.instances.is_empty());
    assert_eq!(members.strangers, ["a", "b"]);
}

#[test]
fn what_a_new_list_does_not_have_is_gone_and_other_namespaces_are_left_alone() {
    let index = Index::default();
    index.apply_pod(&pod("a", "1", &ready()));
    index.apply_pod(&pod("b", "2", &ready()));
    index.retain_pods(|namespace| namespace == "other", &HashSet::new());
    assert_eq!(phases(&index).len(), 2);
    index.retain_pods(|_| true, &HashSet::from(["2".to_owned()]));
    assert_eq!(phases(&index), [("b".into(), Phase::Ready)]);
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_lost_have_failed_and_those_of_a_node_that_is_late_have_not() {
    let node = |ready: &str| {
        let node = json!({"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        serde_json::from_value::<Node>(node).unwrap()
    };
    let other = json!({"metadata": {"name": "n2"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let index = Arc::new(Index::default());
    index.apply_node(&serde_json::from_value(other).unwrap());
    index.apply_node(&node("True"));
    index.retain_nodes(&["n1", "n2"].map(str::to_owned).into());
    index.apply_pod(&pod("a", "1", &ready()));
    let changes = index.changes(&key());
    changes.notified().await;
    index.apply_node(&node("Unknown"));
    changes.notified().await;
    assert_eq!(phases(&index), [("a".into(), Phase::Ready)]);
    tokio::select! {
        () = index.mind_nodes() => {}
        () = changes.notified() => {}
    }
    let seen = index.members(&key(), "u-1", 5000).instances.remove(0);
    assert_eq!(
        (seen.phase, seen.trouble.as_deref()),
        (Phase::Failed, Some("its node n1 is not ready"))
    );
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_lost_after_all_are_told_of() {
    let node = |name: &str, ready: &str| {
        let node = json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}});
        serde_json::from_value::<Node>(node).unwrap()
    };
    let names = ["n1", "n2", "n3", "n4"];
    let index = Arc::new(Index::default());
    for name in names {
        index.apply_node(&node(name, "True"));
    }
    index.retain_nodes(&names.map(str::to_owned).into());
    index.apply_pod(&pod("a", "1", &ready()));
    let changes = index.changes(&key());
    let told = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        for name in &names[..3] {
            index.apply_node(&node(name, "Unknown"));
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(phases(&index), [("a".into(), Phase::Ready)], "most look away");
        index.delete_node(&node("n3", "Unknown"));
        while phases(&index) != [("a".into(), Phase::Failed)] {
            changes.notified().await;
        }
    };
    tokio::select! {
        () = index.mind_nodes() => {}
        ended = tokio::time::timeout(Duration::from_hours(1), told) => ended.unwrap(),
    }
}

#[test]
fn a_pod_that_only_the_control_plane_doubts_stays_ready() {
    let doubted = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]}});
    let index = Index::default();
    index.apply_pod(&pod("a", "1", &doubted));
    assert_eq!(phases(&index), [("a".into(), Phase::Ready)]);
    let mut gated = doubted;
    merge(
        &mut gated,
        &json!({"spec": {"readinessGates": [{"conditionType": "example.com/gate"}]}}),
    );
    index.apply_pod(&pod("b", "2", &gated));
    assert_eq!(phases(&index)[1], ("b".into(), Phase::Starting));
}

#[test]
fn a_pod_that_does_not_start_says_why() {
    let cases = [
        (
            json!({"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "not here"}}}]}),
            Some("container main: ErrImageNeverPull: not here"),
        ),
        (
            json!({"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}, "lastState": {"terminated": {"exitCode": 3}}}]}),
            Some("container main: CrashLoopBackOff: exit code 3, restarted 4 times"),
        ),
        (
            json!({"containerStatuses": [{"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
            None,
        ),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}]}),
            Some("Unschedulable: no node"),
        ),
        (
            json!({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}),
            Some("Evicted: low on disk"),
        ),
    ];
    for (status, expected) in cases {
        let index = Index::default();
        index.apply_pod(&pod("a", "1", &json!({"status": status})));
        let seen = index.members(&key(), "u-1", 5000).instances.remove(0);
        assert_eq!(seen.trouble.as_deref(), expected, "{status}");
    }
}

#[test]
fn balancers_that_run_are_asked_and_others_are_not() {
    let index = Index::default();
    let labels = json!({"metadata": {"labels": {"lbpool.dev/role": "balancer"}}});
    let with = |name: &str, state: &Value| {
        let mut more = labels.clone();
        merge(
            &mut more,
            &json!({"status": {"podIP": "10.0.0.2", "containerStatuses": [{"name": "balancer", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}}),
        );
        index.apply_pod(&pod(name, name, &more));
    };
    with("a", &json!({"running": {}}));
    with("b", &json!({"waiting": {"reason": "ContainerCreating"}}));
    assert_eq!(index.balancers(&key()), [("a".to_owned(), [10, 0, 0, 2].into())]);
    assert!(phases(&index).is_empty());
}

#[test]
fn balancers_that_are_not_ready_tell_what_they_wait_for() {
    let index = Index::default();
    let with = |name: &str, status: &Value| {
        let mut more = json!({"metadata": {"labels": {"lbpool.dev/role": "balancer"}}});
        merge(&mut more, &json!({"status": status}));
        index.apply_pod(&pod(name, name, &more));
    };
    let mounts = |there: &str| json!({"conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "PodReadyToStartContainers", "status": there}]});
    with("a", &mounts("False"));
    with("b", &mounts("True"));
    with(
        "c",
        &json!({"containerStatuses": [{"name": "balancer", "image": "", "imageID": "", "ready": false, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "message": "starts\nbalancer: no certificate\n\n"}}}]}),
    );
    with("d", &ready()["status"]);
    with("e", &ready()["status"]);
    with("e", &json!({}));
    let seen = index.balancing(&key());
    let told: Vec<_> = seen
        .unready
        .iter()
        .map(|it| (it.name.as_str(), it.unmounted, it.trouble.as_deref()))
        .collect();
    let crashes = "container balancer: CrashLoopBackOff: exit code 1, restarted 2 times: balancer: no certificate";
    assert_eq!(
        told,
        [("a", true, None), ("b", false, None), ("c", false, Some(crashes))],
        "one that was ready may be so again at any moment"
    );
    assert_eq!(seen.ready, 1);
}

#[test]
fn a_pool_that_nobody_drives_and_that_has_nothing_is_not_kept() {
    let index = Index::default();
    index.apply_pod(&pod("a", "1", &json!({})));
    index.delete_pod(&pod("a", "1", &json!({})));
    index.set_object(&key(), "Service", "web", Some(1));
    index.set_object(&key(), "Service", "web", None);
    assert!(index.seen().pools.is_empty());
}
