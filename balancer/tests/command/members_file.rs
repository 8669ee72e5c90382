//! A members file on a plain machine, and what is the same wherever members are told of.

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use crate::support::{Fixture, file, get, member, refused, serve, until};

#[test]
fn a_file_that_is_replaced_is_routed_by_and_no_request_fails() {
    let (a, b) = (member("a", 0), member("b", 0));
    let fixture = Fixture::start(&file(&[("a", a)]), &[]);
    let stop = AtomicBool::new(false);
    let (sent, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for client in 0..4 {
            let (fixture, stop, sent, failures) = (&fixture, &stop, &sent, &failures);
            scope.spawn(move || {
                while !stop.load(SeqCst) {
                    let key = format!("X-Request-Id: {client}-{}\r\n", sent.fetch_add(1, SeqCst));
                    match get(fixture.listen, "/", &key) {
                        Some((200, name)) if ["a", "b"].contains(&name.as_str()) => {}
                        other => failures.lock().unwrap().push(other),
                    }
                }
            });
        }
        for (epoch, members) in [
            (2, vec![("a", a), ("b", b)]),
            (3, vec![("b", b)]),
            (4, vec![("a", a), ("b", b)]),
        ] {
            fixture.replace(&file(&members));
            until("the new file is routed by", || fixture.table()["epoch"] == epoch);
            let before = sent.load(SeqCst);
            until("requests went by it", || sent.load(SeqCst) > before + 50);
        }
        stop.store(true, SeqCst);
    });
    assert_eq!(*failures.lock().unwrap(), [], "of {}", sent.load(SeqCst));
    let table = fixture.table();
    assert_eq!(table["members"].as_array().unwrap().len(), 2);
    assert_eq!(table["digest"].as_str().unwrap().len(), 16);
    assert!((table["moved"].as_f64().unwrap() - 0.5).abs() < 0.05, "{table}");
    assert_eq!(
        fixture.metric("lbpool_members_file_reads_total{outcome=\"routed\"}"),
        Some(4.0)
    );
}

#[test]
fn a_wrong_file_keeps_the_old_routing_and_says_why_once() {
    let a = member("a", 0);
    let fixture = Fixture::start(&file(&[("a", a)]), &[]);
    fixture.replace("pool: web\nmembers: [{name: a, adress: 10.0.0.1:80}]\n");
    until("refused", || fixture.metric("lbpool_members_file_refused") == Some(1.0));
    assert_eq!(get(fixture.listen, "/", "").unwrap(), (200, "a".to_owned()));
    assert_eq!(fixture.table()["epoch"], 1);
    let log = fixture.logged();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(told.len(), 1, "{log}");
    for part in ["members.yaml", "members[0].adress", "routing stays"] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    fixture.replace(&file(&[("a", a)]));
    until("right again", || {
        fixture.metric("lbpool_members_file_refused") == Some(0.0)
    });
}

#[test]
fn a_table_that_can_not_be_built_keeps_the_old_routing() {
    let a = member("a", 0);
    let fixture = Fixture::start(&file(&[("a", a)]), &[]);
    let many: Vec<String> = (0..57).map(|i| format!("{{name: m-{i}, address: '{a}'}}")).collect();
    fixture.replace(&format!(
        "pool: web\nrouting: {{algorithm: Classroom}}\nmembers: [{}]",
        many.join(", ")
    ));
    until("refused", || fixture.metric("lbpool_members_file_refused") == Some(1.0));
    assert_eq!(fixture.table()["epoch"], 1);
    assert_eq!(get(fixture.listen, "/", "").unwrap(), (200, "a".to_owned()));
}

#[test]
fn sighup_reads_the_file_at_once() {
    let (a, b) = (member("a", 0), member("b", 0));
    let fixture = Fixture::start(&file(&[("a", a)]), &[]);
    fixture.replace(&file(&[("a", a), ("b", b)]));
    fixture.signal("-HUP");
    until("the new file is routed by", || fixture.table()["epoch"] == 2);
}

#[test]
fn the_admin_listener_answers() {
    let a = member("a", 0);
    let fixture = Fixture::start(&file(&[("a", a)]), &["--name", "edge-1"]);
    assert_eq!(fixture.admin("/healthz").0, 200);
    assert_eq!(fixture.admin("/readyz").0, 200);
    let table = fixture.table();
    assert_eq!(
        (&table["name"], &table["pool"], &table["algorithm"]),
        (&"edge-1".into(), &"web".into(), &"Rendezvous".into())
    );
    let member = &table["members"][0];
    assert_eq!(
        (&member["name"], &member["state"], &member["ready"]),
        (&"a".into(), &"Serving".into(), &true.into())
    );
    assert_eq!(member["address"], a.to_string());
    assert!((member["share"].as_f64().unwrap() - 1.0).abs() < 1e-9);
    assert_eq!(get(fixture.listen, "/", "").unwrap().0, 200);
    until("counted", || {
        fixture.metric("lbpool_requests_total{class=\"2xx\"}") == Some(1.0)
    });
    let (status, body) = fixture.admin("/v1/nothing");
    let body: BTreeMap<String, String> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["status"].as_str()), (404, "failure"));
}

#[test]
fn a_member_that_is_gone_gets_no_requests_until_it_is_back() {
    let a = member("a", 0);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fixture = Fixture::start(&file(&[("a", a), ("b", gone)]), &[]);
    until("found out", || fixture.table()["members"][1]["ready"] == false);
    for i in 0..20 {
        let key = format!("X-Request-Id: {i}\r\n");
        assert_eq!(get(fixture.listen, "/", &key).unwrap(), (200, "a".to_owned()));
    }
    let back = TcpListener::bind(gone).unwrap();
    thread::spawn(move || {
        for stream in back.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream, "b", 0));
        }
    });
    until("found out", || fixture.table()["members"][1]["ready"] == true);
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_ends_with_zero() {
    let slow = member("slow", 600);
    let mut fixture = Fixture::start(&file(&[("slow", slow)]), &["--drain-delay", "200ms"]);
    let listen = fixture.listen;
    let request = thread::spawn(move || get(listen, "/", ""));
    until("in flight", || fixture.table()["inFlight"]["slow"] == 1);
    fixture.signal("-TERM");
    until("not ready", || fixture.admin("/readyz").0 == 503);
    assert_eq!(request.join().unwrap().unwrap(), (200, "slow".to_owned()));
    assert_eq!(fixture.ended().code(), Some(0), "{}", fixture.logged());
    assert!(TcpStream::connect(listen).is_err(), "nobody listens any more");
}

#[test]
fn a_second_signal_ends_at_once() {
    let slow = member("slow", 60_000);
    let mut fixture = Fixture::start(&file(&[("slow", slow)]), &[]);
    let listen = fixture.listen;
    thread::spawn(move || get(listen, "/", ""));
    until("in flight", || fixture.table()["inFlight"]["slow"] == 1);
    fixture.signal("-INT");
    until("draining", || fixture.admin("/readyz").0 == 503);
    fixture.signal("-INT");
    assert_eq!(fixture.ended().code(), Some(130));
}

#[test]
fn what_is_wrong_at_the_start_is_said_and_the_exit_code_tells() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("members.yaml");
    let (code, said) = refused(&path, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("members.yaml: can not be read: No such file"), "{said}");

    fs::write(&path, "pool: web\nmembers: [{name: a, address: nowhere}]\n").unwrap();
    let (code, said) = refused(&path, &[]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("members[0].address") && said.contains("host:port"),
        "{said}"
    );

    fs::write(&path, "pool: web\nmembers: []\n").unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let (code, said) = refused(&path, &[flag, &address, other, "127.0.0.1:0"]);
        assert_eq!(code, Some(1));
        for part in [flag, "in use", &taken.local_addr().unwrap().port().to_string()] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let flags = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--tls-cert",
        "none.crt",
        "--tls-key",
        "none.key",
    ];
    let (code, said) = refused(&path, &flags);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("--tls-cert, --tls-key: none.crt: can not be read: No such file"),
        "{said}"
    );
    assert_eq!(refused(&path, &["--listen", "8080"]).0, Some(2));
    assert_eq!(
        Command::new(env!("CARGO_BIN_EXE_balancer"))
            .env_clear()
            .output()
            .unwrap()
            .status
            .code(),
        Some(2)
    );
}
