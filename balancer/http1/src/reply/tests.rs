use super::*;
use crate::{Body, Framing, Limits, Response};

const REPLY: Reply<'_> = Reply {
    status: 503,
    reason: "no-member",
    message: "no \"member\"\n",
    retry_after: Some(2),
};

/// Reads the answer back with our own parser, and returns its head and body.
fn read(out: &[u8], to: Method) -> (String, Framing, bool, String) {
    let mut response = Response::new();
    let length = response.parse(out, &Limits::default(), to).unwrap().unwrap();
    let mut body = Body::new(response.framing());
    assert_eq!(body.feed(&out[length..]), Ok(out.len() - length));
    assert!(body.is_done());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        text(&out[..length]),
        response.framing(),
        response.keep_alive(),
        text(&out[length..]),
    )
}

#[test]
fn answers_name_reason_and_request() {
    let mut out = Vec::new();
    REPLY.write(
        &To {
            request_id: "id-1",
            ..To::default()
        },
        &mut out,
    );
    let (head, framing, keep_alive, body) = read(&out, Method::Get);
    assert_eq!(
        body,
        r#"{"message":"no \"member\"\u000a","status":"failure","reason":"no-member","requestId":"id-1"}"#
    );
    assert_eq!((framing, keep_alive), (Framing::Length(body.len() as u64), true));
    for line in [
        "HTTP/1.1 503 Service Unavailable\r\n",
        "\r\nContent-Type: application/json\r\n",
        "\r\nX-Lbpool-Reason: no-member\r\n",
        "\r\nX-Request-Id: id-1\r\n",
        "\r\nRetry-After: 2\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
}

#[test]
fn answer_to_head_has_the_same_head_and_no_body() {
    let (mut get, mut head) = (Vec::new(), Vec::new());
    REPLY.write(&To::default(), &mut get);
    REPLY.write(
        &To {
            method: Method::Head,
            ..To::default()
        },
        &mut head,
    );
    assert!(get.starts_with(&head) && get.len() > head.len());
    assert_eq!(read(&head, Method::Head).1, Framing::None);
}

#[test]
fn answers_say_whether_the_connection_goes_on() {
    for (version, close, want) in [
        (Version::Http11, false, None),
        (Version::Http11, true, Some("close")),
        (Version::Http10, false, Some("keep-alive")),
        (Version::Http10, true, Some("close")),
    ] {
        let mut out = Vec::new();
        REPLY.write(
            &To {
                version,
                close,
                ..To::default()
            },
            &mut out,
        );
        let (head, ..) = read(&out, Method::Get);
        let seen = head.split("\r\n").find_map(|line| line.strip_prefix("Connection: "));
        assert_eq!(seen, want, "{version:?} {close}");
    }
}

#[test]
fn request_id_cannot_begin_another_header() {
    let mut out = Vec::new();
    REPLY.write(
        &To {
            request_id: "a\r\nSet-Cookie: b",
            ..To::default()
        },
        &mut out,
    );
    let (head, _, _, body) = read(&out, Method::Get);
    assert!(
        !head.contains("Set-Cookie") && body.contains(r#""requestId":"a\u000d\u000aSet-Cookie: b""#),
        "{head}{body}"
    );
}

#[test]
fn sender_of_a_request_gets_the_answer_its_way() {
    let mut request = Request::new();
    request.parse(b"HEAD / HTTP/1.0\r\n\r\n", &Limits::default()).unwrap();
    let to = To::sender(&request, "id-1");
    assert_eq!(
        (to.method, to.version, to.close, to.request_id),
        (Method::Head, Version::Http10, true, "id-1")
    );
}

#[test]
fn bodies_made_elsewhere_are_sent_as_they_are() {
    let mut out = Vec::new();
    json(200, r#"{"N":3}"#, &To::default(), &mut out);
    let (head, _, _, body) = read(&out, Method::Get);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("X-Lbpool-Reason"));
    assert_eq!(body, r#"{"N":3}"#);
}

#[test]
fn every_fault_of_a_request_has_a_status_with_words() {
    for status in [400, 408, 413, 414, 431, 501, 502, 503, 504, 505] {
        assert!(!phrase(status).is_empty(), "{status}");
    }
}
