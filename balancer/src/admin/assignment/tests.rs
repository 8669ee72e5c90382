use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use actix_web::{App, http::Method, test};
use kube::client::Body;

use super::*;
use crate::{Balancer, Config};

/// An API server with one pool.
struct Mock {
    pool: Value,
    /// Answers that come before what would be right: to reads, and to changes.
    read: VecDeque<(u16, &'static str)>,
    change: VecDeque<(u16, &'static str)>,
    /// Method, path with query, and credentials of each request.
    seen: Vec<(String, String, Option<String>)>,
    /// What was sent as changes.
    patches: Vec<Value>,
}

/// The assignment's API in front of it, and a balancer that routes by seats of that many ordinals.
struct Fixture {
    mock: Arc<Mutex<Mock>>,
    balancer: Balancer,
    extra: Extra,
}

impl Mock {
    fn answer(&mut self, method: &str, path: String, token: Option<String>, body: &[u8]) -> (u16, String) {
        self.seen.push((method.to_owned(), path, token));
        let script = if method == "GET" {
            &mut self.read
        } else {
            &mut self.change
        };
        if let Some((code, message)) = script.pop_front() {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
                "message": message, "reason": "Some"});
            return (code, status.to_string());
        }
        if method == "PATCH" {
            let change: Value = serde_json::from_slice(body).unwrap();
            for (field, value) in change["spec"].as_object().unwrap() {
                self.pool["spec"][field] = value.clone();
            }
            self.pool["metadata"]["generation"] = json!(self.pool["metadata"]["generation"].as_i64().unwrap() + 1);
            self.patches.push(change);
        }
        (200, self.pool.to_string())
    }
}

fn lock(mock: &Mutex<Mock>) -> std::sync::MutexGuard<'_, Mock> {
    mock.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn fixture(routed: usize) -> Fixture {
    impatient(routed, Duration::from_secs(20)).await
}

/// The same, where a change that is not routed in time is told so.
async fn impatient(routed: usize, within: Duration) -> Fixture {
    let pool = json!({
        "apiVersion": "lbpool.dev/v1alpha1", "kind": "LoadBalancerPool",
        "metadata": {"name": "shop", "namespace": "ns", "uid": "u", "generation": 4, "resourceVersion": "77"},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "main", "image": "v1"}]}}},
    });
    let mock = Arc::new(Mutex::new(Mock {
        pool,
        read: VecDeque::new(),
        change: VecDeque::new(),
        seen: Vec::new(),
        patches: Vec::new(),
    }));
    let server = Arc::clone(&mock);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let server = Arc::clone(&server);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let token = head
                .headers
                .get("authorization")
                .map(|it| it.to_str().unwrap().to_owned());
            let (code, text) = lock(&server).answer(head.method.as_str(), head.uri.to_string(), token, &body);
            let answer = http::Response::builder()
                .status(code)
                .body(Body::from(text.into_bytes()));
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    let balancer = Balancer::start(Config {
        workers: 1,
        ..Config::default()
    })
    .unwrap();
    let seats: Vec<_> = (0..routed).map(|i| json!({"name": format!("shop-{i}")})).collect();
    let document = json!({"pool": "shop", "epoch": 1, "members": seats});
    balancer
        .publish(serde_json::from_value(document).unwrap())
        .await
        .unwrap();
    let settings = Settings {
        pool: "shop".to_owned(),
        namespace: "ns".to_owned(),
        snapshot: None,
    };
    let mut api = Assignment::new(Client::new(service, "ns"), &settings, balancer.shared());
    api.within = within;
    Fixture {
        mock,
        balancer,
        extra: api.routes(),
    }
}

impl Fixture {
    /// Status, body, and `WWW-Authenticate`.
    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, Value, Option<String>) {
        let routes = Arc::clone(&self.extra.routes);
        let app = test::init_service(App::new().configure(move |app| routes(app))).await;
        let mut request = test::TestRequest::with_uri(path)
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .set_payload(body.to_owned());
        if let Some(token) = token {
            request = request.insert_header(("Authorization", token));
        }
        let answer = test::call_service(&app, request.to_request()).await;
        let status = answer.status().as_u16();
        let challenge = answer.headers().get("www-authenticate");
        let challenge = challenge.map(|it| it.to_str().unwrap().to_owned());
        (status, test::read_body_json(answer).await, challenge)
    }

    async fn add(&self) -> (u16, Value) {
        let (status, body, _) = self.ask("POST", "/add", Some(TOM), r#"{"n":1}"#).await;
        (status, body)
    }

    fn seen(&self) -> Vec<(String, String, Option<String>)> {
        lock(&self.mock).seen.clone()
    }
}

const TOM: &str = "Bearer tom";
const POOL: &str = "/apis/lbpool.dev/v1alpha1/namespaces/ns/loadbalancerpools/shop";

#[actix_web::test]
async fn without_a_bearer_token_nobody_is_asked() {
    let api = fixture(3).await;
    for token in [None, Some("Basic dG9tOnRvbQ=="), Some("Bearer "), Some("Bearer")] {
        for (method, path) in [("GET", "/rep"), ("POST", "/add"), ("DELETE", "/rm")] {
            let (status, body, challenge) = api.ask(method, path, token, r#"{"n":1}"#).await;
            assert_eq!(
                (status, challenge.as_deref()),
                (401, Some(CHALLENGE)),
                "{token:?} {path}"
            );
            assert!(
                body["message"].as_str().unwrap().starts_with("<Error> a bearer token"),
                "{body}"
            );
        }
    }
    assert_eq!(api.seen(), []);
}

#[actix_web::test]
async fn the_list_is_the_pools_and_is_read_with_the_callers_token() {
    let api = fixture(3).await;
    let (status, body, _) = api.ask("GET", "/rep", Some("bearer tom"), "").await;
    let replicas = json!({"N": 3, "replicas": ["shop-0", "shop-1", "shop-2"]});
    assert_eq!(
        (status, body),
        (200, json!({"message": replicas, "status": "successful"}))
    );
    let seen = [("GET".to_owned(), POOL.to_owned(), Some("bearer tom".to_owned()))];
    assert_eq!(api.seen(), seen);
}

#[actix_web::test]
async fn a_change_patches_what_differs_of_the_pool_as_it_was_read() {
    let api = impatient(4, Duration::from_millis(50)).await;
    let (status, body) = api.add().await;
    assert_eq!((status, &body["message"]["N"]), (200, &json!(4)), "{body}");
    let patch = json!({"metadata": {"resourceVersion": "77"}, "spec": {"replicas": 4}});
    assert_eq!(lock(&api.mock).patches, [patch]);
    let (_, path, token) = api.seen().pop().unwrap();
    assert_eq!(
        (path, token),
        (format!("{POOL}?&fieldManager={MANAGER}"), Some(TOM.to_owned()))
    );
    let (status, body, _) = api
        .ask("DELETE", "/rm", Some(TOM), r#"{"n":2,"hostnames":["shop-1"]}"#)
        .await;
    assert_eq!(status, 202, "the table has four seats still: {body}");
    let patch = json!({"metadata": {"resourceVersion": "77"}, "spec": {"replicas": 2, "retired": ["shop-1"]}});
    assert_eq!(lock(&api.mock).patches.last(), Some(&patch));
    assert!(body["message"].as_str().unwrap().contains("not routed yet"), "{body}");
}

#[actix_web::test]
async fn a_change_that_makes_no_sense_reaches_nobody() {
    let api = fixture(3).await;
    for (method, path, body, status, message) in [
        ("POST", "/add", r#"{"n":0}"#, 400, "<Error> n is 0, must be 1 or more"),
        ("POST", "/add", "{", 400, "<Error> expected JSON such as"),
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
            r#"{"n":9}"#,
            400,
            "<Error> n is 9, but there are only 3",
        ),
        ("GET", "/add", "", 405, "<Error> /add takes POST, not GET"),
    ] {
        let (got, answer, _) = api.ask(method, path, Some(TOM), body).await;
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert!(answer["message"].as_str().unwrap().starts_with(message), "{answer}");
        assert_eq!(answer["status"], "failure");
    }
    assert_eq!(lock(&api.mock).patches, Vec::<Value>::new());
}

#[actix_web::test]
async fn what_the_api_server_refuses_is_passed_on_in_its_words() {
    for (code, words, status, message) in [
        (
            401,
            "Unauthorized",
            401,
            "<Error> the API server does not know the token: Unauthorized",
        ),
        (
            403,
            "pools \"shop\" is forbidden",
            403,
            "<Error> pools \"shop\" is forbidden",
        ),
        (404, "pools \"shop\" not found", 404, "<Error> pools \"shop\" not found"),
        (
            422,
            "spec.replicas: Invalid",
            422,
            "<Error> the API server finds the changed pool wrong: spec.replicas: Invalid",
        ),
        (429, "too many", 429, "<Error> too many"),
        (500, "etcd", 500, "<Error> etcd"),
    ] {
        let api = fixture(3).await;
        lock(&api.mock).change.push_back((code, words));
        let (got, body, challenge) = api.ask("POST", "/add", Some(TOM), r#"{"n":1}"#).await;
        assert_eq!(
            (got, body["message"].as_str(), challenge.is_some()),
            (status, Some(message), status == 401)
        );
        lock(&api.mock).read.push_back((code, words));
        assert_eq!(api.ask("GET", "/rep", Some(TOM), "").await.0, status);
        assert!(
            api.seen().iter().all(|(_, _, token)| *token == Some(TOM.to_owned())),
            "nobody else's"
        );
    }
}

#[actix_web::test]
async fn a_change_is_made_again_where_somebody_else_was_faster_and_given_up_at_last() {
    let api = fixture(4).await;
    lock(&api.mock).change.extend([(409, "changed"); 2]);
    assert_eq!(api.add().await.0, 200);
    assert_eq!(api.seen().len(), 6, "read and changed three times");
    lock(&api.mock).change.extend([(409, "changed"); TRIES as usize]);
    let (status, body) = api.add().await;
    assert_eq!(status, 409);
    assert!(
        body["message"].as_str().unwrap().contains("try again (changed)"),
        "{body}"
    );
    assert_eq!(lock(&api.mock).patches.len(), 1);
}

#[actix_web::test]
async fn a_change_is_answered_when_it_is_routed() {
    let api = fixture(3).await;
    let routed = async {
        while lock(&api.mock).patches.is_empty() {
            tokio::task::yield_now().await;
        }
        let seats: Vec<_> = (0..4).map(|i| json!({"name": format!("shop-{i}")})).collect();
        let document = json!({"pool": "shop", "epoch": 2, "members": seats});
        api.balancer
            .publish(serde_json::from_value(document).unwrap())
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(api.add(), routed);
    assert_eq!(answer.0, 200, "{}", answer.1);
}
