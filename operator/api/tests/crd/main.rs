//! The definition as an API server would use it, without one: its rules, its structure, its defaults, its size.

#![expect(clippy::unwrap_used, reason = "a helper that panics is a test that fails")]

use std::collections::BTreeSet;

use lbpool_api::{LoadBalancerPool, PoolSpec, crd};
use serde_json::{Value, json};

mod server;

use server::Server;

/// What an API server allows in the annotation that `kubectl apply` writes.
const ANNOTATION_MAX: usize = 262_144;

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

/// The smallest pool, with a change to its spec.
fn pool(change: &str) -> Value {
    let mut pool = yaml(
        "{apiVersion: lbpool.dev/v1alpha1, kind: LoadBalancerPool, metadata: {name: demo},
          spec: {replicas: 3, template: {spec: {containers: [{name: web}]}}}}",
    );
    merge(&mut pool["spec"], yaml(change));
    pool
}

/// RFC 7386, without the removal by null.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

const GOOD: &[&str] = &[
    "{}",
    "{replicas: 0}",
    "{replicas: 1024}",
    "{members: [{name: S5, weight: 1000}, {name: a}], retired: [demo-1]}",
    "{port: 1}",
    "{port: 65535}",
    "{port: http, template: {spec: {containers: [{name: web, ports: [{name: http, containerPort: 80}]}]}}}",
    "{routing: {key: []}}",
    "{routing: {key: [{header: X-User}, {cookie: sid}, {query: q}, {path: true}, {pathPrefix: 2}, {sourceIP: true}]}}",
    "{routing: {key: [{join: [{header: a}, {cookie: b}]}]}}",
    "{routing: {key: [{header: a, cookie: null}]}}",
    "{routing: {loadBound: 0}}",
    "{routing: {loadBound: 101}}",
    "{routing: {algorithm: Classroom}, replicas: 56}",
    "{routing: {whenAway: {policy: Hold, holdTimeout: 1h30m}}}",
    "{routing: {timeouts: {connect: 500ms}}}",
    "{health: {path: /}}",
    "{health: {path: '/healthz?full=1'}}",
    "{update: {maxSurge: 0, maxUnavailable: 1}}",
    "{balancer: {replicas: 0, service: {type: LoadBalancer, annotations: {a: b}}}}",
    "{balancer: {podTemplate: {spec: {tolerations: [{operator: Exists}]}}}}",
    "{balancer: {tls: {secretName: web-tls.v2}}}",
    "{appProtocol: http}",
    "{appProtocol: kubernetes.io/h2c}",
];

/// A change, and the one error that it causes: where, and what of the message.
const BAD: &[(&str, &str, &str)] = &[
    // Structure.
    ("{replicas: -1}", "spec.replicas", "minimum"),
    ("{replicas: 1025}", "spec.replicas", "maximum"),
    ("{replicas: many}", "spec.replicas", "type"),
    ("{replicas: null, members: 5}", "spec.members", "type"),
    ("{members: [{weight: 2}]}", "spec.members[0]", "name"),
    ("{members: [{name: a, weight: 0}]}", "spec.members[0].weight", "minimum"),
    (
        "{members: [{name: a, weight: 1001}]}",
        "spec.members[0].weight",
        "maximum",
    ),
    ("{members: [{name: -a}]}", "spec.members[0].name", "match"),
    ("{members: [{name: a.b}]}", "spec.members[0].name", "match"),
    ("{members: [{name: 'a b'}]}", "spec.members[0].name", "match"),
    (
        "{members: [{name: a}, {name: a, weight: 2}]}",
        "spec.members[1]",
        "Duplicate",
    ),
    ("{retired: [a, b, a]}", "spec.retired[2]", "Duplicate"),
    ("{routing: {algorithm: Random}}", "spec.routing.algorithm", "one of"),
    (
        "{routing: {whenAway: {policy: Wait}}}",
        "spec.routing.whenAway.policy",
        "one of",
    ),
    (
        "{routing: {key: [{header: 'a b'}]}}",
        "spec.routing.key[0].header",
        "match",
    ),
    (
        "{routing: {key: [{cookie: 'a;b'}]}}",
        "spec.routing.key[0].cookie",
        "match",
    ),
    (
        "{routing: {key: [{query: ''}]}}",
        "spec.routing.key[0].query",
        "shorter",
    ),
    (
        "{routing: {key: [{pathPrefix: 0}]}}",
        "spec.routing.key[0].pathPrefix",
        "minimum",
    ),
    (
        "{routing: {key: [{join: [{path: true}]}]}}",
        "spec.routing.key[0].join",
        "less than 2",
    ),
    (
        "{routing: {retries: {attempts: 11}}}",
        "spec.routing.retries.attempts",
        "maximum",
    ),
    (
        "{routing: {retries: {budget: 101}}}",
        "spec.routing.retries.budget",
        "maximum",
    ),
    ("{health: {failures: 0}}", "spec.health.failures", "minimum"),
    ("{health: {path: heartbeat}}", "spec.health.path", "match"),
    ("{health: {path: '/a b'}}", "spec.health.path", "match"),
    ("{balancer: {replicas: 101}}", "spec.balancer.replicas", "maximum"),
    (
        "{balancer: {service: {type: ExternalName}}}",
        "spec.balancer.service.type",
        "one of",
    ),
    (
        "{balancer: {service: {port: 0}}}",
        "spec.balancer.service.port",
        "minimum",
    ),
    ("{balancer: {tls: {}}}", "spec.balancer.tls", "secretName"),
    (
        "{balancer: {tls: {secretName: web_tls}}}",
        "spec.balancer.tls.secretName",
        "match",
    ),
    ("{appProtocol: grpc}", "spec.appProtocol", "one of"),
    (
        "{template: {spec: {containers: [{name: web, command: web}]}}}",
        "spec.template.spec.containers[0].command",
        "type",
    ),
    // Rules.
    (
        "{replicas: 1, members: [{name: a}, {name: b}]}",
        "spec",
        "more named members than replicas",
    ),
    (
        "{members: [{name: a}], retired: [a]}",
        "spec",
        "both in members and in retired",
    ),
    (
        "{replicas: 57, routing: {algorithm: Classroom}}",
        "spec",
        "room for 56 seats",
    ),
    (
        "{template: {spec: {containers: []}}}",
        "spec.template",
        "needs spec.containers",
    ),
    ("{port: 0}", "spec.port", "minimum"),
    ("{port: 65536}", "spec.port", "maximum"),
    ("{port: HTTP}", "spec.port", "match"),
    ("{port: sixteen-letters-}", "spec.port", "match"),
    ("{routing: {key: [{}]}}", "spec.routing.key[0]", "exactly one"),
    (
        "{routing: {key: [{header: null}]}}",
        "spec.routing.key[0]",
        "exactly one",
    ),
    (
        "{routing: {key: [{path: true}, {header: a, cookie: b}]}}",
        "spec.routing.key[1]",
        "exactly one",
    ),
    (
        "{routing: {key: [{path: false}]}}",
        "spec.routing.key[0].path",
        "must be true",
    ),
    (
        "{routing: {key: [{sourceIP: false}]}}",
        "spec.routing.key[0].sourceIP",
        "must be true",
    ),
    (
        "{routing: {key: [{join: [{path: true}, {}]}]}}",
        "spec.routing.key[0].join[1]",
        "exactly one",
    ),
    (
        "{routing: {key: [{join: [{path: false}, {query: q}]}]}}",
        "spec.routing.key[0].join[0].path",
        "must be true",
    ),
    (
        "{routing: {key: [{join: [{sourceIP: false}, {query: q}]}]}}",
        "spec.routing.key[0].join[0].sourceIP",
        "must be true",
    ),
    (
        "{routing: {loadBound: 100}}",
        "spec.routing.loadBound",
        "0 (no bound) or above 100",
    ),
    (
        "{routing: {whenAway: {holdTimeout: 0s}}}",
        "spec.routing.whenAway.holdTimeout",
        "a duration above zero",
    ),
    (
        "{routing: {timeouts: {connect: 1d}}}",
        "spec.routing.timeouts.connect",
        "a duration above zero",
    ),
    (
        "{routing: {timeouts: {response: '30'}}}",
        "spec.routing.timeouts.response",
        "a duration above zero",
    ),
    (
        "{routing: {timeouts: {idle: -1s}}}",
        "spec.routing.timeouts.idle",
        "a duration above zero",
    ),
    (
        "{health: {period: 1.5s}}",
        "spec.health.period",
        "a duration above zero",
    ),
    (
        "{health: {timeout: ''}}",
        "spec.health.timeout",
        "a duration above zero",
    ),
    (
        "{update: {drainTimeout: soon}}",
        "spec.update.drainTimeout",
        "a duration above zero",
    ),
    (
        "{update: {progressDeadline: 1s 2s}}",
        "spec.update.progressDeadline",
        "a duration above zero",
    ),
    ("{update: {maxSurge: 0}}", "spec.update", "can not both be 0"),
];

#[test]
fn good_pools_are_taken() {
    let server = Server::new();
    for change in GOOD {
        assert_eq!(server.errors(&pool(change)), Vec::<(String, String)>::new(), "{change}");
    }
}

#[test]
fn bad_pools_are_refused_for_one_reason_at_the_right_place() {
    let server = Server::new();
    for (change, path, message) in BAD {
        let errors = server.errors(&pool(change));
        let fits = |(at, said): &(String, String)| at == path && said.contains(message);
        assert!(errors.len() == 1 && errors.iter().all(fits), "{change}: {errors:#?}");
    }
}

#[test]
fn pool_names_leave_room_for_ordinals() {
    let server = Server::new();
    let named = |name: &str| {
        let mut pool = pool("{}");
        pool["metadata"]["name"] = json!(name);
        server.errors(&pool)
    };
    assert_eq!(named(&"x".repeat(52)), []);
    for name in ["0demo", "de.mo", "demo-", &"x".repeat(53)] {
        let errors = named(name);
        assert!(
            errors.len() == 1 && errors[0].1.contains("the pool's name"),
            "{name}: {errors:?}"
        );
    }
}

#[test]
fn every_rule_has_an_object_that_breaks_it_alone() {
    let server = Server::new();
    let broken: BTreeSet<String> = BAD
        .iter()
        .flat_map(|(change, ..)| server.broken_rules(&pool(change)))
        .chain([String::new()])
        .collect();
    let missing: Vec<_> = server
        .rules()
        .into_iter()
        .filter(|place| !broken.contains(place))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_operator_takes_and_refuses_the_same() {
    let taken = |change: &str| {
        let pool: Result<LoadBalancerPool, _> = serde_json::from_value(pool(change));
        pool.map_err(|error| error.to_string())
            .and_then(|pool| lbpool_core::validate(&pool).map_err(|invalid| invalid.to_string()))
    };
    for change in GOOD {
        assert!(taken(change).is_ok(), "{change}: {:?}", taken(change));
    }
    for (change, ..) in BAD {
        assert!(taken(change).is_err(), "{change}");
    }
}

#[test]
fn defaults_of_the_schema_are_those_of_the_types() {
    let server = Server::new();
    for change in [
        "{replicas: 1}",
        "{replicas: 1, routing: {}, health: {}, update: {}, balancer: {service: {}}}",
    ] {
        let defaulted = server.defaulted(&pool(change));
        let template = defaulted["spec"]["template"].clone();
        let ours: PoolSpec = serde_json::from_value(json!({"template": template})).unwrap();
        let theirs: LoadBalancerPool = serde_json::from_value(defaulted.clone()).unwrap();
        assert_eq!(theirs.spec, ours, "{change}");
        // Nothing is left for the operator to fill in: what a user reads back is what is used.
        assert_eq!(serde_json::to_value(&ours).unwrap(), defaulted["spec"], "{change}");
    }
}

#[test]
fn a_null_is_as_good_as_nothing() {
    assert!(!crd::yaml().unwrap().contains("nullable"));
    let server = Server::new();
    let nulls = pool("{replicas: null, port: null, routing: {key: [{header: a, cookie: null}], timeouts: null}}");
    assert_eq!(server.errors(&nulls), []);
    assert_eq!(server.defaulted(&nulls)["spec"]["port"], 5000);
    assert_eq!(server.defaulted(&nulls)["spec"]["routing"]["timeouts"]["idle"], "1m");
}

#[test]
fn lists_that_rules_read_are_bounded() {
    let definition = crd::json().unwrap();
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    assert_eq!(spec["members"]["maxItems"], 1024);
    assert_eq!(spec["retired"]["maxItems"], 1024);
    assert_eq!(spec["routing"]["properties"]["key"]["maxItems"], 16);
}

#[test]
fn the_status_lists_can_be_applied() {
    let definition = crd::json().unwrap();
    let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"];
    assert_eq!(status["members"]["x-kubernetes-list-type"], "atomic");
    assert_eq!(status["conditions"]["x-kubernetes-list-type"], "map");
    assert_eq!(status["conditions"]["x-kubernetes-list-map-keys"], json!(["type"]));
}

#[test]
fn kubectl_apply_can_store_it() {
    let size = serde_json::to_string(&crd::json().unwrap()).unwrap().len();
    assert!(size < ANNOTATION_MAX / 2, "{size} bytes");
}

#[test]
fn the_committed_definition_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/00-crd.yaml");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == crd::yaml().unwrap(),
        "deploy/00-crd.yaml is out of date: run `make generate`"
    );
}
