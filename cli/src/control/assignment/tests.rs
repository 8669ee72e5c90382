use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::control::testing::{self, Paper};

struct Api {
    requests: mpsc::Sender<Request>,
    fleet: Arc<Paper>,
    _tasks: JoinSet<()>,
}

impl Api {
    async fn over(replicas: i32) -> Self {
        let (handle, fleet, mut tasks) = testing::pool(replicas).await;
        let (requests, queue) = mpsc::channel(QUEUE);
        tasks.spawn(Assignment::new(handle, "127.0.0.1:5000".parse().unwrap()).run(queue));
        Self {
            requests,
            fleet,
            _tasks: tasks,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.ask_from(method, path, body, Some("localhost:5000"), None).await
    }

    async fn ask_from(
        &self,
        method: &str,
        path: &str,
        body: &str,
        host: Option<&str>,
        origin: Option<&str>,
    ) -> (u16, String) {
        let (reply, answer) = oneshot::channel();
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            host: host.map(str::to_owned),
            origin: origin.map(str::to_owned),
            body: Bytes::copy_from_slice(body.as_bytes()),
            reply,
        };
        self.requests.send(request).await.unwrap();
        let Reply { status, body } = answer.await.unwrap();
        (status, body)
    }
}

fn replicas(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "{{\"message\":{{\"N\":{},\"replicas\":[{}]}},\"status\":\"successful\"}}",
        names.len(),
        names.join(",")
    )
}

#[tokio::test(start_paused = true)]
async fn members_are_listed_added_and_removed_in_the_assignments_own_words() {
    let api = Api::over(3).await;
    assert_eq!(
        api.ask("GET", "/rep", "").await,
        (200, replicas(&["demo-0", "demo-1", "demo-2"]))
    );
    let added = api.ask("POST", "/add", r#"{"n":2,"hostnames":["S5"]}"#).await;
    assert_eq!(added, (200, replicas(&["S5", "demo-0", "demo-1", "demo-2", "demo-3"])));
    let removed = api.ask("DELETE", "/rm", r#"{"n":2,"hostnames":["S5"]}"#).await;
    assert_eq!(removed, (200, replicas(&["demo-0", "demo-1", "demo-2"])));
    assert_eq!(api.ask("GET", "/rep", "").await, removed);
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let api = Api::over(3).await;
    let before = api.ask("GET", "/rep", "").await;
    for (method, path, body, status, message) in [
        (
            "POST",
            "/add",
            r#"{"n":1,"hostnames":["a","b"]}"#,
            400,
            "<Error> Length of hostname list is more than newly added instances",
        ),
        (
            "DELETE",
            "/rm",
            r#"{"n":1,"hostnames":["a","b"]}"#,
            400,
            "<Error> Length of hostname list is more than removable instances",
        ),
        ("POST", "/add", r#"{"n":0}"#, 400, "<Error> n is 0, must be 1 or more"),
        ("POST", "/add", r#"{"n":-4}"#, 400, "<Error> n is -4, must be 1 or more"),
        (
            "POST",
            "/add",
            r#"{"n":2,"hostnames":["a","A"]}"#,
            400,
            "<Error> 'A' is listed twice",
        ),
        (
            "POST",
            "/add",
            r#"{"n":1,"hostnames":["demo-1"]}"#,
            400,
            "<Error> 'demo-1' is a replica already",
        ),
        (
            "DELETE",
            "/rm",
            r#"{"n":1,"hostnames":["nobody"]}"#,
            400,
            "<Error> 'nobody' is not a replica",
        ),
        (
            "DELETE",
            "/rm",
            r#"{"n":9}"#,
            400,
            "<Error> n is 9, but there are only 3 instances to remove",
        ),
        ("GET", "/add", "", 405, "<Error> /add takes POST, not GET"),
        ("POST", "/rm", r#"{"n":1}"#, 405, "<Error> /rm takes DELETE, not POST"),
        ("DELETE", "/rep", "", 405, "<Error> /rep takes GET, not DELETE"),
    ] {
        let wanted = serde_json::json!({"message": message, "status": "failure"});
        let (got, answer) = api.ask(method, path, body).await;
        assert_eq!(
            (got, serde_json::from_str::<serde_json::Value>(&answer).unwrap()),
            (status, wanted),
            "{method} {path} {body}"
        );
    }
    for body in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"n":"4"}"#,
        r#"{"n":1.5}"#,
        r#"{"n":1,"hostname":["a"]}"#,
        r#"{"n":1,"hostnames":[1]}"#,
    ] {
        let (status, answer) = api.ask("POST", "/add", body).await;
        assert!(
            status == 400 && answer.contains("<Error> expected JSON such as"),
            "{body}: {status} {answer}"
        );
    }
    assert_eq!(api.ask("GET", "/rep", "").await, before);
}

#[tokio::test(start_paused = true)]
async fn changes_at_the_same_time_all_count() {
    let api = Api::over(1).await;
    let add = || api.ask("POST", "/add", r#"{"n":1}"#);
    let answers = tokio::join!(add(), add(), add(), add());
    assert_eq!(
        (answers.0.0, answers.1.0, answers.2.0, answers.3.0),
        (200, 200, 200, 200)
    );
    let (_, list) = api.ask("GET", "/rep", "").await;
    assert!(list.contains("\"N\":5"), "{list}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_not_routed_in_time_is_accepted_with_the_reason() {
    let api = Api::over(1).await;
    api.fleet.stuck.store(true, Ordering::Relaxed);
    let (status, answer) = api.ask("POST", "/add", r#"{"n":1}"#).await;
    assert!(
        status == 202 && answer.contains("not routed yet after 10s"),
        "{status} {answer}"
    );
    let (_, list) = api.ask("GET", "/rep", "").await;
    assert!(list.contains("\"N\":2"), "{list}");
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_sites_and_foreign_names_are_refused() {
    let api = Api::over(1).await;
    for (host, origin, status) in [
        (Some("localhost:5000"), Some("http://localhost:5000"), 200),
        (Some("127.0.0.1:5000"), None, 200),
        (Some("localhost:5000"), Some("http://localhost:3000"), 403),
        (Some("localhost:5000"), Some("https://evil.example"), 403),
        (Some("localhost:5000"), Some("null"), 403),
        (Some("evil.example:5000"), Some("http://evil.example:5000"), 403),
        (None, None, 403),
    ] {
        let (got, answer) = api.ask_from("GET", "/rep", "", host, origin).await;
        assert_eq!(got, status, "{host:?} {origin:?}: {answer}");
    }
}

#[test]
fn hosts_of_this_machine_are_ours() {
    let listen = "192.168.1.7".parse().unwrap();
    for host in [
        "localhost",
        "LOCALHOST:5000",
        "127.0.0.1:5000",
        "127.0.0.1",
        "[::1]:5000",
        "[::1]",
        "192.168.1.7:5000",
    ] {
        assert!(is_ours(host, listen), "{host}");
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "192.168.1.8",
        "127.0.0.1.evil.example:5000",
        "localhost:x",
        "0.0.0.0",
    ] {
        assert!(!is_ours(host, listen), "{host}");
    }
    assert!(!is_ours("0.0.0.0:5000", "0.0.0.0".parse().unwrap()));
}
