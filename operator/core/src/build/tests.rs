use k8s_openapi::api::core::v1::Pod;
use lbpool_api::names::LABEL_MEMBER;

use super::*;
use crate::{
    plan::{Create, Reason},
    testing::valid,
};

fn settings() -> Settings {
    Settings {
        balancer_image: "balancer:1".into(),
    }
}

fn made(spec: &str) -> Pod {
    let pool = valid(spec);
    pod(
        &pool,
        &Create {
            name: "s5-abcde".into(),
            seat: "S5".parse().unwrap(),
            template: pool.template_hash.clone(),
            replaces: None,
            reason: Reason::SeatEmpty,
        },
    )
}

#[test]
fn a_pod_has_its_seat_as_host_and_keeps_its_case_where_people_see_it() {
    let pod = made("{}");
    let spec = pod.spec.unwrap();
    assert_eq!(
        (spec.hostname.as_deref(), spec.subdomain.as_deref()),
        (Some("s5"), Some("web-members"))
    );
    let env = spec.containers[0].env.clone().unwrap();
    let value = |name: &str| env.iter().find(|it| it.name == name).and_then(|it| it.value.clone());
    assert_eq!(
        (value("SERVER_ID").as_deref(), value("PORT").as_deref()),
        (Some("S5"), Some("5000"))
    );
    assert_eq!(pod.metadata.labels.unwrap()[LABEL_MEMBER], "s5");
    assert_eq!(pod.metadata.owner_references.unwrap()[0].uid, "u-1");
}

#[test]
fn a_template_s_own_variables_labels_and_probe_are_kept_and_ours_win_where_they_must() {
    let pod = made(
        "{template: {metadata: {labels: {team: a, lbpool.dev/pool: other}}, spec: {containers: [{name: main, image: v1, \
         env: [{name: SERVER_ID, value: mine}], readinessProbe: {tcpSocket: {port: 1}}}]}}}",
    );
    let labels = pod.metadata.labels.unwrap();
    assert_eq!((labels["team"].as_str(), labels[LABEL_POOL].as_str()), ("a", "web"));
    let container = &pod.spec.unwrap().containers[0];
    let ids: Vec<_> = container
        .env
        .iter()
        .flatten()
        .filter(|it| it.name == "SERVER_ID")
        .collect();
    assert_eq!((ids.len(), ids[0].value.as_deref()), (1, Some("mine")));
    assert!(container.readiness_probe.as_ref().unwrap().tcp_socket.is_some());
}

#[test]
fn the_container_that_listens_is_probed_in_whole_seconds() {
    let pod = made(
        "{port: 81, health: {path: /up, period: 1500ms, timeout: 200ms}, template: {spec: {containers: [{name: a}, \
         {name: b, ports: [{containerPort: 81}]}]}}}",
    );
    let spec = pod.spec.unwrap();
    assert!(spec.containers[0].readiness_probe.is_none());
    let probe = spec.containers[1].readiness_probe.as_ref().unwrap();
    assert_eq!(
        (probe.period_seconds, probe.timeout_seconds, probe.failure_threshold),
        (Some(2), Some(1), Some(2))
    );
    assert_eq!(probe.http_get.as_ref().unwrap().path.as_deref(), Some("/up"));
}

#[test]
fn a_balancer_may_read_one_config_map() {
    let role = surroundings(&valid("{}"), &settings()).role;
    let rules = role.rules.unwrap();
    assert_eq!(
        rules[0].resource_names.as_deref(),
        Some(&["web-routing".to_owned()][..])
    );
    assert!(rules.iter().all(|rule| rule.verbs == ["get", "list", "watch"]));
}

#[test]
fn members_and_balancers_are_never_found_by_the_same_selector() {
    let all = surroundings(&valid("{}"), &settings());
    let of = |service: &Service| service.spec.clone().unwrap().selector.unwrap();
    let balancers = all.balancers.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    let members = made("{}").metadata.labels.unwrap();
    let finds = |selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>| {
        selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    };
    assert!(finds(&of(&all.users), &balancers) && !finds(&of(&all.users), &members));
    assert!(finds(&of(&all.members), &members) && !finds(&of(&all.members), &balancers));
}

#[test]
fn a_balancer_outlives_its_last_request_and_the_one_behind_it() {
    let pool = valid("{update: {drainTimeout: 90s}}");
    let spec = surroundings(&pool, &settings())
        .balancers
        .spec
        .unwrap()
        .template
        .spec
        .unwrap();
    assert_eq!(spec.termination_grace_period_seconds, Some(190));
    let args = spec.containers[0].args.clone().unwrap();
    assert!(args.contains(&"--grace=180s".to_owned()), "{args:?}");
}

#[test]
fn what_users_say_of_balancers_reaches_their_pods() {
    let pool = valid(
        "{balancer: {replicas: 3, image: mine, podTemplate: {metadata: {labels: {team: a, lbpool.dev/role: x}}, spec: \
         {nodeSelector: {disk: ssd}, priorityClassName: high}}, service: {type: NodePort, port: 8080}}}",
    );
    let all = surroundings(&pool, &settings());
    let spec = all.balancers.spec.unwrap();
    assert_eq!(spec.replicas, Some(3));
    let template = spec.template;
    let labels = template.metadata.unwrap().labels.unwrap();
    assert_eq!(
        (labels["team"].as_str(), labels[LABEL_ROLE].as_str()),
        ("a", "balancer")
    );
    let pod = template.spec.unwrap();
    assert_eq!(pod.containers[0].image.as_deref(), Some("mine"));
    assert_eq!(pod.priority_class_name.as_deref(), Some("high"));
    let users = all.users.spec.unwrap();
    assert_eq!(
        (users.type_.as_deref(), users.ports.unwrap()[0].port),
        (Some("NodePort"), 8080)
    );
}
