use actix_web::{
    App,
    body::MessageBody,
    dev::ServiceResponse,
    http::Method,
    test::{TestRequest, call_service, init_service, read_body},
};
use serde_json::{Value, json};

use super::*;
use crate::docs::Docs;

async fn send(trial: Trial, request: TestRequest) -> ServiceResponse<impl MessageBody> {
    let identity = Data::new(Identity::new("m-0".to_owned()));
    let app = App::new()
        .app_data(identity.clone())
        .app_data(Data::new(Docs::new(trial.routes).unwrap()))
        .wrap(server_header(&identity))
        .configure(|config| configure(config, &trial));
    let app = init_service(app.app_data(Data::new(trial))).await;
    call_service(&app, request.to_request()).await
}

/// Status and body of the answer to one request.
async fn ask(trial: Trial, method: Method, path: &str, body: &'static str) -> (u16, String) {
    let answer = send(trial, TestRequest::default().method(method).uri(path).set_payload(body)).await;
    let status = answer.status().as_u16();
    (status, String::from_utf8_lossy(&read_body(answer).await).into_owned())
}

async fn get_path(path: &str) -> (u16, String) {
    ask(Trial::default(), Method::GET, path, "").await
}

#[actix_web::test]
async fn home_says_who_the_server_is() {
    let expected = r#"{"message":"Hello from Server: m-0","status":"successful"}"#;
    assert_eq!(get_path("/home").await, (200, expected.to_owned()));
}

#[actix_web::test]
async fn heartbeat_is_empty() {
    assert_eq!(get_path("/heartbeat").await, (200, String::new()));
}

#[actix_web::test]
async fn anything_else_is_not_found_and_says_what_there_is() {
    let elsewhere = [
        (Method::GET, "/"),
        (Method::GET, "/home/"),
        (Method::POST, "/home"),
        (Method::DELETE, "/heartbeat"),
        (Method::PUT, "/docs"),
        (Method::POST, "/echo"),
        (Method::GET, "/stream"),
        (Method::GET, "/docs/../Cargo.toml"),
    ];
    for (method, path) in elsewhere {
        let (status, body) = ask(Trial::default(), method.clone(), path, "").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["status"]), (404, &json!("failure")), "{method} {path}");
    }
}

#[actix_web::test]
async fn every_answer_carries_the_servers_id() {
    for path in ["/home", "/heartbeat", "/nowhere"] {
        let answer = send(Trial::default(), TestRequest::get().uri(path)).await;
        assert_eq!(answer.headers().get(SERVER_ID).unwrap(), "m-0", "{path}");
    }
}

#[actix_web::test]
async fn the_document_lists_what_the_server_answers() {
    let paths = async |trial| {
        let (status, body) = ask(trial, Method::GET, "/openapi.json", "").await;
        assert_eq!(status, 200);
        let document: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(Trial::default()).await, ["/heartbeat", "/home"]);
    let on_trial = Trial {
        routes: true,
        ..Trial::default()
    };
    assert_eq!(paths(on_trial).await, ["/echo", "/heartbeat", "/home", "/stream"]);
}

#[actix_web::test]
async fn every_file_that_the_docs_name_comes_from_the_binary() {
    let (status, page) = get_path("/docs").await;
    assert_eq!(status, 200);
    assert!(
        !page.contains("://"),
        "the page must not load anything from elsewhere: {page}"
    );
    let named: Vec<_> = page.split('"').filter(|text| text.starts_with("docs/")).collect();
    assert_eq!(named.len(), 7, "{page}");
    for file in named {
        let (status, body) = get_path(&format!("/{file}")).await;
        assert!(status == 200 && !body.is_empty(), "{file}: {status}");
    }
    let (_, start) = get_path("/docs/swagger-initializer.js").await;
    assert!(start.contains("openapi.json") && !start.contains("petstore"), "{start}");
}

#[actix_web::test]
async fn a_failure_on_trial_is_told_as_one() {
    let (status, body) = ask(
        Trial {
            fail_rate: 1.0,
            ..Trial::default()
        },
        Method::GET,
        "/home",
        "",
    )
    .await;
    assert!(status == 500 && body.contains(r#""status":"failure""#), "{body}");
}

#[actix_web::test]
async fn echo_gives_the_body_back() {
    let on_trial = Trial {
        routes: true,
        ..Trial::default()
    };
    assert_eq!(
        ask(on_trial, Method::POST, "/echo", "a body").await,
        (200, "a body".to_owned())
    );
}

#[actix_web::test]
async fn a_stream_has_the_chunks_that_were_asked_for() {
    let on_trial = || Trial {
        routes: true,
        ..Trial::default()
    };
    let (status, body) = ask(on_trial(), Method::GET, "/stream?chunks=3&interval=1", "").await;
    assert_eq!(
        (status, body.as_str()),
        (200, "1/3 from m-0\n2/3 from m-0\n3/3 from m-0\n")
    );
    for wrong in ["chunks=100001", "interval=60001", "interval=1s", "chunk=3"] {
        let (status, body) = ask(on_trial(), Method::GET, &format!("/stream?{wrong}"), "").await;
        assert!(status == 400 && body.contains("failure"), "{wrong}: {status} {body}");
    }
}
