use super::*;
use crate::testing::{pool, valid};

fn problems(spec: &str) -> Vec<String> {
    match validate(&pool(spec)) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a_small_pool_gets_its_defaults() {
    let pool = valid("{}");
    assert_eq!(
        (pool.name.as_str(), pool.namespace.as_str(), pool.uid.as_str()),
        ("web", "default", "u-1")
    );
    assert_eq!((pool.seats.len(), pool.port, pool.generation), (3, 5000, 4));
    let mut file = super::tests::pool("{}");
    file.metadata.uid = None;
    file.metadata.generation = None;
    let file = validate(&file).unwrap();
    assert_eq!((file.uid.as_str(), file.generation), ("default/web", 1));
}

/// (spec, path of what is wrong, what its message says)
const WRONG: &[(&str, &str, &str)] = &[
    ("{replicas: -1}", "spec.replicas", "0 to 1024"),
    ("{replicas: 1025}", "spec.replicas", "0 to 1024"),
    (
        "{replicas: 1, members: [{name: a}, {name: b}]}",
        "spec.members",
        "replicas is 1",
    ),
    (
        "{members: [{name: S1}, {name: s1}]}",
        "spec.members[1].name",
        "members[0]",
    ),
    (
        "{members: [{name: S1, weight: 0}]}",
        "spec.members[0].weight",
        "1 to 1000",
    ),
    (
        "{members: [{name: S1, weight: 1001}]}",
        "spec.members[0].weight",
        "1 to 1000",
    ),
    (
        "{members: [{name: S1}], retired: [s1]}",
        "spec.retired[0]",
        "can not be both",
    ),
    ("{retired: [x, X]}", "spec.retired[1]", "retired[0]"),
    ("{template: {}}", "spec.template.spec.containers", "container"),
    ("{port: 0}", "spec.port", "1 to 65535"),
    ("{port: 65536}", "spec.port", "1 to 65535"),
    ("{port: http}", "spec.port", "no container of the template"),
    ("{routing: {key: [{}]}}", "spec.routing.key[0]", "sets 0 of"),
    (
        "{routing: {key: [{header: a, cookie: b}]}}",
        "spec.routing.key[0]",
        "exactly one",
    ),
    (
        "{routing: {key: [{header: 'a b'}]}}",
        "spec.routing.key[0].header",
        "no header name",
    ),
    (
        "{routing: {key: [{cookie: ''}]}}",
        "spec.routing.key[0].cookie",
        "1 to 128",
    ),
    ("{routing: {key: [{path: false}]}}", "spec.routing.key[0].path", "true"),
    (
        "{routing: {key: [{sourceIP: false}]}}",
        "spec.routing.key[0].sourceIP",
        "true",
    ),
    (
        "{routing: {key: [{pathPrefix: 33}]}}",
        "spec.routing.key[0].pathPrefix",
        "1 to 32",
    ),
    (
        "{routing: {key: [{jsonBody: user}]}}",
        "spec.routing.key[0].jsonBody",
        "no JSON pointer",
    ),
    (
        "{routing: {key: [{join: [{path: true}]}]}}",
        "spec.routing.key[0].join",
        "2 to 8",
    ),
    (
        "{routing: {key: [{join: [{path: true}, {}]}]}}",
        "spec.routing.key[0].join[1]",
        "exactly one",
    ),
    (
        "{routing: {key: [{join: [{path: true}, {jsonBody: /a~2}]}]}}",
        "spec.routing.key[0].join[1].jsonBody",
        "no JSON pointer",
    ),
    ("{routing: {loadBound: 100}}", "spec.routing.loadBound", "101 to 10000"),
    (
        "{routing: {retries: {attempts: 11}}}",
        "spec.routing.retries.attempts",
        "0 to 10",
    ),
    (
        "{routing: {retries: {budget: 101}}}",
        "spec.routing.retries.budget",
        "0 to 100",
    ),
    (
        "{replicas: 57, routing: {algorithm: Classroom}}",
        "spec.routing.algorithm",
        "56 seats",
    ),
    ("{health: {path: heartbeat}}", "spec.health.path", "start with /"),
    (
        "{health: {path: '/a b'}}",
        "spec.health.path",
        "as it stands in a request",
    ),
    ("{health: {failures: 0}}", "spec.health.failures", "1 to 100"),
    ("{update: {maxSurge: 0}}", "spec.update", "both 0"),
    ("{update: {maxSurge: 1025}}", "spec.update.maxSurge", "0 to 1024"),
    ("{balancer: {replicas: 101}}", "spec.balancer.replicas", "0 to 100"),
    (
        "{balancer: {service: {port: 0}}}",
        "spec.balancer.service.port",
        "1 to 65535",
    ),
    (
        "{balancer: {tls: {secretName: web_tls}}}",
        "spec.balancer.tls.secretName",
        "no name of a Secret",
    ),
    (
        "{balancer: {tls: {secretName: ''}}}",
        "spec.balancer.tls.secretName",
        "inner hyphens",
    ),
];

#[test]
fn each_wrong_field_is_named_with_what_was_expected() {
    for (spec, path, expected) in WRONG {
        let found = problems(spec);
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert!(
            found[0].starts_with(&format!("{path}: ")) && found[0].contains(expected),
            "{spec}: {found:?}"
        );
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let found = problems("{replicas: 2000, port: 0, template: {}, update: {maxSurge: 0}}");
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn what_is_at_its_limit_is_good() {
    for spec in [
        "{replicas: 1024}",
        "{replicas: 0}",
        "{replicas: 56, routing: {algorithm: Classroom}}",
        "{members: [{name: S1, weight: 1000}, {name: S10}, {name: s11}]}",
        "{routing: {loadBound: 101, key: []}}",
        "{routing: {key: [{header: \"!#$%&'*+-.^_`|~aZ9\"}, {join: [{path: true}, {sourceIP: true}]}]}}",
        "{update: {maxSurge: 0, maxUnavailable: 1}}",
        "{port: 65535}",
    ] {
        assert_eq!(problems(spec), Vec::<String>::new(), "{spec}");
    }
}

#[test]
fn a_named_port_is_looked_up_in_the_template() {
    let template = "{spec: {containers: [{name: a}, {name: b, ports: [{name: http, containerPort: 8080}]}]}}";
    assert_eq!(valid(&format!("{{port: http, template: {template}}}")).port, 8080);
}

#[test]
fn a_pool_without_a_usable_name_is_refused() {
    for name in ["", "Web", "1web", "web-", "a.b", &"x".repeat(53)] {
        let mut pool = pool("{}");
        pool.metadata.name = Some(name.to_owned());
        let invalid = validate(&pool).unwrap_err();
        assert_eq!(invalid.problems[0].path, "metadata.name", "{name:?}");
    }
}

#[test]
fn the_hash_follows_template_and_port_alone() {
    let hash = valid("{}").template_hash;
    assert_eq!(hash.len(), 10);
    assert_eq!(
        hash,
        valid("{replicas: 5, members: [{name: S1}], health: {path: /up}}").template_hash
    );
    assert_ne!(hash, valid("{port: 5001}").template_hash);
    assert_ne!(
        hash,
        valid("{template: {spec: {containers: [{name: main, image: v2}]}}}").template_hash
    );
}

#[test]
fn weights_that_a_ring_has_no_room_for_are_refused_with_a_way_out() {
    // 26 members of 1000 and ordinals of 1; the ring itself draws the line at the same sum.
    for (replicas, fits) in [(240, true), (241, false)] {
        let members: Vec<String> = (0..26).map(|i| format!("{{name: s{i}, weight: 1000}}")).collect();
        let members = members.join(", ");
        let spec = |algorithm: &str| {
            format!("{{replicas: {replicas}, members: [{members}], routing: {{algorithm: {algorithm}}}}}")
        };
        let found = problems(&spec("Ring"));
        assert_eq!(found.is_empty(), fits, "{found:?}");
        assert!(
            found
                .iter()
                .all(|it| it.starts_with("spec.routing.algorithm: ") && it.contains("choose Rendezvous")),
            "{found:?}"
        );
        assert_eq!(problems(&spec("Rendezvous")), Vec::<String>::new());
        let seats: Vec<_> = valid(&spec("Rendezvous"))
            .seats
            .into_iter()
            .map(|seat| lbpool_ring::Member::weighted(seat.name.as_str(), seat.weight))
            .collect();
        let table = lbpool_ring::Table::build_with(lbpool_ring::Algorithm::Ring, &seats);
        assert_eq!(table.is_ok(), fits, "{replicas}");
    }
}
