//! What holds for any message, however it is cut.

use lbpool_http1::{
    Body, Error, Framing, Limits, Method, Request, Response,
    rewrite::{self, Answer, Forward, Trust},
};
use proptest::prelude::*;

/// Bytes that are nearly a head: parts that mean something, in any order.
fn nearly_a_head() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 304 X\r\n",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: ",
        "close",
        "x, y\r\n",
        "X: ",
        "y",
        ":",
        " ",
        "\t",
        "\r",
        "\n",
        "\r\n",
        "\r\n\r\n",
        "\0",
        "\u{e4}",
        "5\r\nhello\r\n",
        "0\r\n",
    ]);
    prop::collection::vec(part, 0..16).prop_map(|parts| parts.concat().into_bytes())
}

fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "Connection",
        "Keep-Alive",
        "X-Forwarded-For",
        "x-forwarded-host",
        "Forwarded",
        "Via",
        "Cookie",
        "X-Request-Id",
        "Max-Forwards",
        "TE",
        "Upgrade",
        "Accept",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "[A-Za-z][A-Za-z0-9_-]{0,20}"]
        .prop_filter("framing and Host come from the test itself", |name| {
            !["host", "content-length", "transfer-encoding"].contains(&name.to_ascii_lowercase().as_str())
        })
}

fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((name(), "[ -~]{0,30}"), 0..12)
}

fn framing() -> impl Strategy<Value = (Framing, String)> {
    prop_oneof![
        Just((Framing::None, String::new())),
        Just((Framing::Chunked, "Transfer-Encoding: chunked\r\n".to_owned())),
        any::<u32>().prop_map(|n| (Framing::Length(n.into()), format!("Content-Length: {n}\r\n"))),
    ]
}

fn chunked(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\nChecksum: x\r\n\r\n");
    out
}

/// Cuts the bytes at the given places.
fn pieces<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = cuts
        .iter()
        .map(|cut| cut.index(bytes.len() + 1))
        .chain([0, bytes.len()])
        .collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdict_on_a_head_does_not_depend_on_cuts(bytes in nearly_a_head(), small in any::<bool>()) {
        let limits = if small { Limits { head: 64, target: 4, headers: 2 } } else { Limits::default() };
        let want = Request::new().parse(&bytes, &limits);
        let mut request = Request::new();
        let seen = (0..=bytes.len()).find_map(|end| request.parse(&bytes[..end], &limits).transpose()).transpose();
        prop_assert_eq!(seen, want);
        let want = Response::new().parse(&bytes, &limits, Method::Get);
        let mut response = Response::new();
        let parse = |end| response.parse(&bytes[..end], &limits, Method::Get).transpose();
        prop_assert_eq!((0..=bytes.len()).find_map(parse).transpose(), want);
    }

    #[test]
    fn verdict_on_a_body_does_not_depend_on_cuts(
        bytes in prop::collection::vec(prop::sample::select(&b"05a;\r\nX: "[..]), 0..40),
    ) {
        let feed = |pieces: &[&[u8]]| {
            let mut body = Body::new(Framing::Chunked);
            let taken = pieces.iter().try_fold(0, |sum, piece| body.feed(piece).map(|taken| sum + taken));
            taken.map(|taken| (taken, body.is_done()))
        };
        let want = feed(&[&bytes]);
        prop_assert_eq!(feed(&bytes.chunks(1).collect::<Vec<_>>()), want);
    }

    #[test]
    fn forwarded_request_says_what_the_client_said(
        (framing, length) in framing(),
        fields in fields(),
        target in "/[a-z0-9/%._~-]{0,20}(\\?[a-z0-9=&%]{0,20})?",
        trusted in any::<bool>(),
    ) {
        let mut head = format!("POST {target} HTTP/1.1\r\nHost: a.example:80\r\n{length}");
        for (name, value) in &fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let mut request = Request::new();
        prop_assert_eq!(request.parse(head.as_bytes(), &Limits::default()), Ok(Some(head.len())));
        let trust = if trusted { Trust::Append } else { Trust::Replace };
        let forward = Forward { client: "192.0.2.7", request_id: "id-1", trust, ..Forward::default() };
        let mut out = b"before".to_vec();
        rewrite::request(request.head(head.as_bytes()), &forward, &mut out);
        let out = out.strip_prefix(b"before").unwrap();

        let mut again = Request::new();
        prop_assert_eq!(again.parse(out, &Limits::default()), Ok(Some(out.len())));
        let (before, after) = (request.head(head.as_bytes()), again.head(out));
        prop_assert_eq!((after.method(), after.target(), after.authority()), (before.method(), before.target(), before.authority()));
        prop_assert_eq!((after.framing(), before.framing()), (framing, framing));
        prop_assert!(after.keep_alive() && !after.is_upgrade());
        prop_assert_eq!(after.header("x-forwarded-for").count(), 1);
        prop_assert!(after.header("via").any(|value| value == b"1.1 lbpool"));
        prop_assert!(after.header("x-request-id").any(|value| !value.is_empty()));
        for (name, _) in &fields {
            let mut nominated = before.header("connection").flat_map(|value| value.split(|byte| *byte == b','));
            let ours = ["connection", "keep-alive", "te", "upgrade", "x-forwarded-for", "forwarded", "via", "x-request-id"];
            let lower = name.to_ascii_lowercase();
            if ours.contains(&lower.as_str()) || lower.starts_with("x-forwarded-")
                || nominated.any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_bytes())) {
                continue;
            }
            let (sent, got): (Vec<_>, Vec<_>) = (before.header(name).collect(), after.header(name).collect());
            prop_assert_eq!(sent, got, "{}", name);
        }
    }

    #[test]
    fn answer_reaches_the_client_in_its_version(
        (_, length) in framing(),
        fields in fields(),
        status in 200_u16..600,
        http10 in any::<bool>(),
        head_only in any::<bool>(),
    ) {
        let to = if head_only { Method::Head } else { Method::Get };
        let mut head = format!("HTTP/1.1 {status} Some words\r\n{length}");
        for (name, value) in &fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        let mut response = Response::new();
        prop_assert_eq!(response.parse(head.as_bytes(), &Limits::default(), to), Ok(Some(head.len())));
        let version = if http10 { lbpool_http1::Version::Http10 } else { lbpool_http1::Version::Http11 };
        let mut out = Vec::new();
        let answer = Answer { version, ..Answer::default() };
        let delivery = rewrite::response(response.head(head.as_bytes()), &answer, &mut out);
        let mut again = Response::new();
        prop_assert_eq!(again.parse(&out, &Limits::default(), to), Ok(Some(out.len())));
        prop_assert_eq!(again.status(), status);
        let want = if delivery.decode { Framing::Close } else { response.framing() };
        prop_assert_eq!(again.framing(), want);
        prop_assert_eq!(again.keep_alive(), !delivery.close);
        prop_assert!(!(http10 && again.framing() == Framing::Chunked));
    }

    #[test]
    fn chunked_data_comes_out_as_it_went_in(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        behind in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let body = chunked(&chunks);
        let stream = [&body[..], &behind].concat();
        let (mut decoder, mut data, mut taken) = (Body::new(Framing::Chunked), Vec::new(), 0);
        for piece in pieces(&stream, &cuts) {
            taken += decoder.decode(piece, usize::MAX, &mut data).map_err(|error| TestCaseError::fail(error.to_string()))?;
        }
        prop_assert_eq!((taken, decoder.is_done(), data), (body.len(), true, chunks.concat()));
    }

    #[test]
    fn body_that_is_cut_short_never_looks_complete(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = chunked(&chunks);
        let mut decoder = Body::new(Framing::Chunked);
        let cut = cut.index(body.len());
        prop_assert_eq!(decoder.feed(&body[..cut]), Ok(cut));
        prop_assert_eq!((decoder.is_done(), decoder.end()), (false, Err(Error::Truncated)));
    }
}
