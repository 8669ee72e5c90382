use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::util::intstr::IntOrString};
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

#[test]
fn a_secret_gives_the_balancers_their_certificate_and_the_service_its_port() {
    let pool = valid("{balancer: {tls: {secretName: web-tls}}}");
    let all = surroundings(&pool, &settings());
    let pod = all.balancers.spec.unwrap().template.spec.unwrap();
    let volumes = pod.volumes.unwrap();
    let volume = volumes.iter().find(|volume| volume.name == "tls").unwrap();
    let secret = volume.secret.as_ref().unwrap();
    let keys: Vec<_> = secret.items.iter().flatten().map(|item| item.key.as_str()).collect();
    assert_eq!(
        (secret.secret_name.as_deref(), keys.as_slice(), secret.optional),
        (Some("web-tls"), &["tls.crt", "tls.key"][..], None),
        "one that is missing keeps a balancer from starting"
    );
    let container = &pod.containers[0];
    let mounts = container.volume_mounts.as_ref().unwrap();
    let mount = mounts.iter().find(|mount| mount.name == "tls").unwrap();
    assert_eq!(
        (mount.mount_path.as_str(), mount.read_only, mount.sub_path.as_deref()),
        ("/etc/lbpool/tls", Some(true), None),
        "with a subPath it would not follow the Secret"
    );
    let args = container.args.as_ref().unwrap();
    for arg in [
        "--tls-cert=/etc/lbpool/tls/tls.crt",
        "--tls-key=/etc/lbpool/tls/tls.key",
    ] {
        assert!(args.contains(&arg.to_owned()), "{args:?}");
    }
    let port = &all.users.spec.unwrap().ports.unwrap()[0];
    assert_eq!(
        (port.name.as_deref(), port.port, port.app_protocol.as_deref()),
        (Some("https"), 443, Some("https"))
    );
    // By name: Pods that still speak plain HTTP are not behind it.
    assert_eq!(port.target_port, Some(IntOrString::String("https".to_owned())));
    let names: Vec<_> = container
        .ports
        .iter()
        .flatten()
        .map(|port| port.name.as_deref())
        .collect();
    assert_eq!(names, [Some("https"), Some("admin")]);
    assert!(all.role.rules.unwrap().iter().all(|rule| {
        let mut resources = rule.resources.iter().flatten();
        resources.all(|resource| resource != "secrets")
    }));
    let pool = valid("{balancer: {tls: {secretName: web-tls}, service: {port: 8443}}}");
    let users = surroundings(&pool, &settings()).users.spec.unwrap();
    assert_eq!(users.ports.unwrap()[0].port, 8443);
}

#[test]
fn without_a_secret_a_pool_is_reached_in_plain_http() {
    let all = surroundings(&valid("{update: {drainTimeout: 90s}}"), &settings());
    let pod = all.balancers.spec.unwrap().template.spec.unwrap();
    let args = pod.containers[0].args.clone().unwrap();
    assert!(args.contains(&"--tunnel-drain=1m30s".to_owned()), "{args:?}");
    assert!(!args.iter().any(|arg| arg.starts_with("--tls")), "{args:?}");
    assert_eq!(pod.volumes.unwrap().len(), 1);
    let port = &all.users.spec.unwrap().ports.unwrap()[0];
    assert_eq!(
        (port.name.as_deref(), port.port, port.app_protocol.as_deref()),
        (Some("http"), 80, None)
    );
}

#[test]
fn members_that_speak_http_2_are_tried_by_connecting_and_their_service_says_nothing_of_it() {
    let h2c = "{appProtocol: kubernetes.io/h2c, health: {period: 3s}}";
    let spec = made(h2c).spec.unwrap();
    let probe = spec.containers[0].readiness_probe.as_ref().unwrap();
    assert!(probe.http_get.is_none(), "a kubelet asks in HTTP/1.1");
    assert_eq!(
        (probe.tcp_socket.as_ref().unwrap().port.clone(), probe.period_seconds),
        (IntOrString::Int(5000), Some(3))
    );
    let members = surroundings(&valid(h2c), &settings()).members.spec.unwrap();
    assert_eq!(
        members.ports.unwrap()[0].app_protocol,
        None,
        "it would hold for all members at once"
    );
}
