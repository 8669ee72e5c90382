use super::*;
use crate::RoutingDocument;

const POOL: &str = "\
apiVersion: lbpool.dev/v1alpha1
kind: LoadBalancerPool
metadata:
  name: demo
spec:
  replicas: 3
  template:
    spec:
      containers:
        - name: web
          command: [web]
          resources: {limits: {cpu: 1, memory: 64Mi}}
";

fn wrong(text: &str) -> String {
    pool_from_yaml("pool.yaml", text).unwrap_err().to_string()
}

#[test]
fn a_good_file_is_read() {
    let file = pool_from_yaml("pool.yaml", POOL).unwrap();
    assert_eq!(file.pool.metadata.name.as_deref(), Some("demo"));
    assert_eq!(file.pool.spec.replicas, 3);
    let container = &file.pool.spec.template.spec.as_ref().unwrap().containers[0];
    let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
    assert_eq!(limits["cpu"].0, "1", "a quantity may be written as a number");
}

#[test]
fn json_is_read_as_well() {
    let json = serde_json::to_string(&pool_from_yaml("pool.yaml", POOL).unwrap().pool).unwrap();
    assert_eq!(
        pool_from_yaml("pool.json", &json).unwrap().pool,
        pool_from_yaml("pool.yaml", POOL).unwrap().pool
    );
}

#[test]
fn unknown_fields_are_reported_all_at_once_with_line_and_nearest_name() {
    let text = POOL
        .replace(
            "  replicas: 3\n",
            "  replcas: 3\n  colour: red\n  update: {maxsurge: 2}\n",
        )
        .replace("          command:", "          comand:");
    assert_eq!(
        wrong(&text),
        "\
pool.yaml:6: spec.replcas: unknown field, did you mean `replicas`?
pool.yaml:7: spec.colour: unknown field, expected the fields replicas, members, retired, template, port, appProtocol, routing, health, update, balancer
pool.yaml:8: spec.update.maxsurge: unknown field, did you mean `maxSurge`?
pool.yaml:13: spec.template.spec.containers[0].comand: unknown field, did you mean `command`?"
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_was_expected() {
    for (good, bad, message) in [
        (
            "replicas: 3",
            "replicas: many",
            "pool.yaml:6: spec.replicas: is the text \"many\", must be a whole number",
        ),
        (
            "replicas: 3",
            "replicas: \"3\"",
            "pool.yaml:6: spec.replicas: is the text \"3\", must be a whole number without quotes",
        ),
        (
            "replicas: 3",
            "replicas: 3.5",
            "pool.yaml:6: spec.replicas: is 3.5, must be a whole number from -2147483648 to 2147483647",
        ),
        (
            "replicas: 3",
            "port: [1]",
            "pool.yaml:6: spec.port: is a list, must be a whole number or a text",
        ),
        (
            "replicas: 3",
            "routing: {algorithm: Maglv}",
            "pool.yaml:6: spec.routing.algorithm: is \"Maglv\", must be one of Rendezvous, Ring, Maglev, Classroom; did you mean Maglev?",
        ),
        (
            "replicas: 3",
            "members: [{name: a, weight: 1}, {name: -b}]",
            "pool.yaml:6: spec.members[1].name: \"-b\" is no member name: use 1 to 63 letters, digits and hyphens, the first and last no hyphen",
        ),
        (
            "replicas: 3",
            "update:\n    paused: yes please\n    drainTimeout: 30s",
            "pool.yaml:7: spec.update.paused: is the text \"yes please\", must be true or false",
        ),
        (
            "replicas: 3",
            "update: {drainTimeout: 30}",
            "pool.yaml:6: spec.update.drainTimeout: is the number 30, must be a text: write it in quotes",
        ),
        (
            "replicas: 3",
            "health: {period: 1 second}",
            "pool.yaml:6: spec.health.period: \"1 second\" is no duration: write a whole number and a unit, such as 500ms, 2s, 10m or 1h",
        ),
        (
            "replicas: 3",
            "health: fine",
            "pool.yaml:6: spec.health: is the text \"fine\", must be an object with the fields path, period, timeout, failures, successes",
        ),
        (
            "  template:",
            "  retired: {}\n  template:",
            "pool.yaml:7: spec.retired: is a map, must be a list",
        ),
        (
            "command: [web]",
            "env: [{name: A, value: 5}]",
            "pool.yaml:11: spec.template.spec.containers[0].env[0].value: is the number 5, must be a text: write it in quotes",
        ),
    ] {
        assert_eq!(wrong(&POOL.replace(good, bad)), message);
    }
}

#[test]
fn a_missing_field_is_named_where_it_should_stand() {
    let text = &POOL[..POOL.find("  template:").unwrap()];
    assert_eq!(wrong(text), "pool.yaml:5: spec: the field `template` is missing");
}

#[test]
fn a_field_that_is_present_and_empty_counts_as_absent() {
    let text = POOL.replace("replicas: 3", "replicas:\n  routing:\n  members: null");
    let spec = pool_from_yaml("pool.yaml", &text).unwrap().pool.spec;
    assert_eq!((spec.replicas, spec.members.len()), (1, 0));
}

#[test]
fn a_key_that_stands_twice_is_refused_wherever_it_is() {
    let text = POOL.replace("  replicas: 3\n", "  replicas: 3\n  replicas: 4\n");
    assert_eq!(wrong(&text), "pool.yaml:6: spec.replicas: this key stands here twice");
    let text = POOL.replace(
        "          command: [web]\n",
        "          command: [web]\n          command: [web]\n",
    );
    assert_eq!(
        wrong(&text),
        "pool.yaml:11: spec.template.spec.containers[0].command: this key stands here twice"
    );
    assert_eq!(
        wrong(&format!("{POOL}kind: Pod\n")),
        "pool.yaml:2: kind: this key stands here twice"
    );
}

#[test]
fn text_that_is_no_yaml_is_refused_with_its_line() {
    let message = wrong("apiVersion: v1\nkind: [\n");
    assert!(message.starts_with("pool.yaml:3: this is no YAML: "), "{message}");
    assert_eq!(wrong(""), "pool.yaml: the file is empty, expected a LoadBalancerPool");
    assert!(
        wrong("just words").starts_with("pool.yaml: the field `kind` is missing"),
        "{}",
        wrong("just words")
    );
}

#[test]
fn exactly_one_pool_is_taken_and_other_kinds_are_named() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
    let file = pool_from_yaml("pool.yaml", &format!("{service}---\n{POOL}---\n")).unwrap();
    assert_eq!(file.skipped, ["Service web"]);
    assert_eq!(
        wrong(service),
        "pool.yaml: the file holds no LoadBalancerPool, only: Service web"
    );
    assert_eq!(
        wrong(&format!("{POOL}---\n{POOL}")),
        "pool.yaml: the file holds 2 pools (LoadBalancerPool demo, LoadBalancerPool demo): write one per file"
    );
}

#[test]
fn lines_are_those_of_the_pools_own_document() {
    let text = format!(
        "kind: Service\nspec:\n  replicas: x\n---\n{}",
        POOL.replace("replicas: 3", "replicas: x")
    );
    assert!(
        wrong(&text).starts_with("pool.yaml:10: spec.replicas: "),
        "{}",
        wrong(&text)
    );
}

#[test]
fn another_version_is_refused_by_name() {
    assert_eq!(
        wrong(&POOL.replace("v1alpha1", "v1")),
        "pool.yaml:1: apiVersion: is \"lbpool.dev/v1\", must be lbpool.dev/v1alpha1"
    );
}

#[test]
fn what_a_cluster_printed_is_a_good_file() {
    let mut pool = pool_from_yaml("pool.yaml", POOL).unwrap().pool;
    pool.metadata.uid = Some("u".to_owned());
    pool.status = Some(crate::PoolStatus {
        ready: "3/3".to_owned(),
        ..Default::default()
    });
    let text = serde_yaml::to_string(&pool).unwrap();
    assert_eq!(pool_from_yaml("pool.yaml", &text).unwrap().pool, pool);
}

#[test]
fn keys_of_maps_are_free_and_shown_in_quotes_where_needed() {
    let text = POOL.replace("replicas: 3", "balancer: {service: {annotations: {a.b/c: 1}}}");
    assert_eq!(
        wrong(&text),
        "pool.yaml:6: spec.balancer.service.annotations[\"a.b/c\"]: is the number 1, must be a text: write it in quotes"
    );
}

#[test]
fn merge_keys_and_anchors_work_as_in_kubectl() {
    let text = POOL.replace(
        "replicas: 3",
        "members:\n    - &first {name: a, weight: 2}\n    - {<<: *first, name: b}\n  replicas: 3",
    );
    let members = pool_from_yaml("pool.yaml", &text).unwrap().pool.spec.members;
    assert_eq!((members[1].name.as_str(), members[1].weight), ("b", 2));
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    use std::fmt::Write;
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let before = format!("*a{}, ", i - 1).repeat(9);
        writeln!(text, "a{i}: &a{i} [{before}]").unwrap();
    }
    assert!(from_yaml::<RoutingDocument>("bomb.yaml", &text).is_err());
}

#[test]
fn a_line_is_found_in_any_style() {
    let text = "a:\n  b:\n    - c: 1\n    -\n      \"d\": {e: 2,\n        f: 3}\n";
    for (path, line) in [
        ("a", 1),
        ("a.b", 2),
        ("a.b[0].c", 3),
        ("a.b[1].d", 5),
        ("a.b[1].d.f", 6),
        ("a.b[1].d.x", 5),
    ] {
        assert_eq!(line_of(text, path), Some(line), "{path}");
    }
    assert_eq!(line_of(text, "x.y"), None);
}
