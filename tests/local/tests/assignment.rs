//! The classroom's interface on the pool's own port: formats, errors, and what published solutions get wrong.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::thread;

use lbpool_tests::{
    load::{Load, Plan},
    process::{Pool, Reply, Sandbox, Up, request},
};
use rustix::process::Signal;
use serde_json::Value;

/// Names of the members in an answer of the form of /rep, which is checked to the letter.
fn names(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let names: Vec<String> = serde_json::from_value(body["message"]["replicas"].clone()).unwrap();
    let list = serde_json::to_string(&names).unwrap();
    let expected = format!(
        r#"{{"message":{{"N":{},"replicas":{list}}},"status":"successful"}}"#,
        names.len()
    );
    assert_eq!(reply.body, expected);
    names
}

/// The reason of a refusal, which is checked to the letter.
fn reason(reply: &Reply) -> String {
    assert_eq!(reply.status, 400, "{}", reply.body);
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(body["status"], "failure");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    body["message"].as_str().unwrap().to_owned()
}

fn rep(up: &Up<'_>) -> Vec<String> {
    names(&up.ask("GET", "/rep", ""))
}

#[test]
fn servers_are_added_and_removed_by_name_and_number() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    assert_eq!(rep(&up), ["fish-0", "fish-1", "fish-2"]);

    let added = names(&up.ask("POST", "/add", r#"{"n":4,"hostnames":["S5","S4","S10","S11"]}"#));
    assert_eq!(added.len(), 7);
    for name in ["S5", "S4", "S10", "S11", "fish-0", "fish-1", "fish-2"] {
        assert!(added.contains(&name.to_owned()), "{name} is missing: {added:?}");
    }
    // Answered means routed: whoever asks now reaches all of them, as many as there are keys.
    let load = Load::start(Plan {
        connections: 8,
        keys: 500,
        ..Plan::new(up.address())
    })
    .unwrap();
    let homes = load.round(std::time::Duration::from_secs(20)).unwrap();
    assert_eq!(homes.per_server().len(), 7, "{:?}", homes.per_server());

    let left = names(&up.ask("DELETE", "/rm", r#"{"n":3,"hostnames":["S5","S4"]}"#));
    assert_eq!(left.len(), 4);
    assert!(
        !left.contains(&"S5".to_owned()) && !left.contains(&"S4".to_owned()),
        "{left:?}"
    );
    assert!(
        left.iter().all(|name| added.contains(name)),
        "nothing came in: {left:?}"
    );
    assert_eq!(rep(&up), left);
    let homes = load.round(std::time::Duration::from_secs(20)).unwrap();
    let mut serving: Vec<_> = homes.per_server().into_keys().collect();
    let mut expected = left;
    serving.sort();
    expected.sort();
    assert_eq!(serving, expected);
    let figures = load.stop();
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
    up.settled(4, 1);
}

#[test]
fn a_wrong_wish_is_refused_with_the_reason_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let up = sandbox.up(&Pool::default());
    let before = up.members();
    let add = |body: &str| reason(&up.ask("POST", "/add", body));
    let rm = |body: &str| reason(&up.ask("DELETE", "/rm", body));
    assert_eq!(
        add(r#"{"n":1,"hostnames":["a","b"]}"#),
        "<Error> Length of hostname list is more than newly added instances"
    );
    assert_eq!(
        rm(r#"{"n":1,"hostnames":["fish-0","fish-1"]}"#),
        "<Error> Length of hostname list is more than removable instances"
    );
    for body in [
        r#"{"n":0,"hostnames":[]}"#,
        r#"{"n":-1,"hostnames":[]}"#,
        r#"{"n":100000,"hostnames":[]}"#,
        r#"{"n":1.5,"hostnames":[]}"#,
        r#"{"n":"two","hostnames":[]}"#,
        r#"{"hostnames":["S1"]}"#,
        r#"{"n":2,"hostnames":["S1","S1"]}"#,
        r#"{"n":2,"hostnames":["s1","S1"]}"#,
        r#"{"n":1,"hostnames":["fish-0"]}"#,
        r#"{"n":1,"hostnames":["not_a_name"]}"#,
        r#"{"n":1,"hostnames":[""]}"#,
        r#"{"n":1,"#,
        "",
        "[]",
    ] {
        assert!(!add(body).is_empty(), "{body}");
    }
    for body in [
        r#"{"n":0,"hostnames":[]}"#,
        r#"{"n":4,"hostnames":[]}"#,
        r#"{"n":1,"hostnames":["fish-7"]}"#,
        r#"{"n":2,"hostnames":["fish-0","fish-0"]}"#,
        r#"{"n":1,"hostnames":["fish"]}"#,
        "nonsense",
    ] {
        assert!(!rm(body).is_empty(), "{body}");
    }
    assert_eq!(rep(&up), ["fish-0", "fish-1", "fish-2"]);
    assert_eq!(up.members(), before);
}

#[test]
fn a_name_that_is_part_of_another_is_a_name_of_its_own() {
    let sandbox = Sandbox::new();
    let up = sandbox.up(&Pool::default());
    let both = names(&up.ask("POST", "/add", r#"{"n":2,"hostnames":["S10","S1"]}"#));
    assert!(
        both.contains(&"S10".to_owned()) && both.contains(&"S1".to_owned()),
        "{both:?}"
    );
    let left = names(&up.ask("DELETE", "/rm", r#"{"n":1,"hostnames":["S1"]}"#));
    assert!(
        left.contains(&"S10".to_owned()) && !left.contains(&"S1".to_owned()),
        "{left:?}"
    );
}

#[test]
fn changes_that_are_asked_for_at_once_all_count() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let address = up.address();
    let asked: Vec<_> = (0..6)
        .map(|n| {
            let (method, path) = if n % 3 == 2 {
                ("DELETE", "/rm")
            } else {
                ("POST", "/add")
            };
            thread::spawn(move || request(address, method, path, "", r#"{"n":1,"hostnames":[]}"#).unwrap())
        })
        .collect();
    for answer in asked {
        let _ = names(&answer.join().unwrap());
    }
    assert_eq!(rep(&up).len(), 3 + 4 - 2);
    up.settled(5, 1);
}

#[test]
fn a_member_that_dies_while_one_is_removed_leaves_no_extra_one() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool {
        replicas: 4,
        ..Pool::default()
    });
    for left in [3, 2] {
        up.member("fish-0").unwrap().send(Signal::KILL);
        assert_eq!(names(&up.ask("DELETE", "/rm", r#"{"n":1,"hostnames":[]}"#)).len(), left);
        up.settled(u32::try_from(left).unwrap(), 1);
    }
}

#[test]
fn pages_of_other_sites_can_not_change_the_pool() {
    let sandbox = Sandbox::new();
    let up = sandbox.up(&Pool::default());
    let foreign = [
        "Host: example.org\r\n",
        "Origin: http://example.org\r\n",
        "Origin: null\r\n",
    ];
    for header in foreign {
        let answer = request(up.address(), "POST", "/add", header, r#"{"n":1,"hostnames":[]}"#).unwrap();
        assert_eq!(answer.status, 403, "{header}: {}", answer.body);
    }
    let own = format!("Origin: http://{}\r\n", up.address());
    let answer = request(up.address(), "POST", "/add", &own, r#"{"n":1,"hostnames":[]}"#).unwrap();
    assert_eq!(names(&answer).len(), 4);
}

#[test]
fn other_methods_are_refused_and_other_paths_are_the_members() {
    let sandbox = Sandbox::new();
    let up = sandbox.up(&Pool::default());
    for (method, path) in [
        ("POST", "/rep"),
        ("GET", "/add"),
        ("PUT", "/add"),
        ("POST", "/rm"),
        ("GET", "/rm"),
    ] {
        assert_eq!(up.ask(method, path, "").status, 405, "{method} {path}");
    }
    for path in ["/rep/", "/add/x", "/rmx"] {
        let answer = up.ask("GET", path, "");
        assert!(
            answer.status == 404 && answer.body.contains("there is no GET"),
            "{path}: {}",
            answer.body
        );
    }
    let home = up.get("/home").unwrap().body;
    assert!(home.starts_with(r#"{"message":"Hello from Server: fish-"#), "{home}");
    assert_eq!(
        up.get("/heartbeat").unwrap(),
        Reply {
            status: 200,
            body: String::new()
        }
    );
}
