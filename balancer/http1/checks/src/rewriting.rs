//! What goes out, read again.

use lbpool_http1::{
    Error, Framing, Limits, Request, Response, Version,
    rewrite::{self, Answer, Forward, Trust},
};

use crate::{Knobs, plain::Head};

/// Fields of one hop (RFC 9110, section 7.6.1), which never go on.
const HOP: &[&str] = &[
    "keep-alive",
    "proxy-connection",
    "te",
    "http2-settings",
    "proxy-authorization",
];
/// Fields that a Connection field names in vain: in a request those that a proxy answers for, in an answer the framing.
const IN_VAIN: [&[&str]; 2] = [
    &["content-length", "host", "transfer-encoding", "via", "x-request-id"],
    &["content-length", "transfer-encoding"],
];

/// A head that is passed on is one head, says what the received one said, and holds nothing of the hop.
///
/// # Panics
/// Where that does not hold.
pub fn rewriting(data: &[u8]) {
    let Some((knobs, bytes)) = Knobs::split(data) else {
        return;
    };
    if knobs.bit(7) {
        response(knobs, bytes);
    } else {
        request(knobs, bytes);
    }
}

fn request(knobs: Knobs, bytes: &[u8]) {
    let limits = Limits::default();
    let mut before = Request::new();
    if !matches!(before.parse(bytes, &limits), Ok(Some(_))) {
        return;
    }
    let trust = if knobs.bit(0) { Trust::Append } else { Trust::Replace };
    let forward = Forward {
        client: "192.0.2.7",
        request_id: "id-1",
        trust,
        ..Forward::default()
    };
    let mut out = Vec::new();
    rewrite::request(before.head(bytes), &forward, &mut out);

    let roomy = Limits {
        head: lbpool_http1::head::MAX_HEAD,
        target: usize::MAX - 64,
        headers: lbpool_http1::head::MAX_HEADERS,
    };
    let mut after = Request::new();
    match after.parse(&out, &roomy) {
        // One of our kind is the last that may take it, or one too many: a member is neither.
        Err(Error::MaxForwards) => return assert!(read(&out).values("max-forwards").any(|left| left == b"0")),
        Err(Error::Loop) => return assert!(read(bytes).tokens("via").count() >= 9),
        parsed => assert_eq!(parsed, Ok(Some(out.len())), "{:?}", String::from_utf8_lossy(&out)),
    }
    let (sent, got) = (before.head(bytes), after.head(&out));
    assert_eq!(
        (got.method_name(), got.path(), got.query()),
        (sent.method_name(), sent.path(), sent.query())
    );
    assert_eq!((got.authority(), got.is_absolute()), (sent.authority(), false));
    assert_eq!((got.framing(), got.version()), (sent.framing(), Version::Http11));
    assert!(got.keep_alive() && (!got.is_upgrade() || sent.is_upgrade()));
    assert!(!got.expects_continue() || sent.expects_continue());
    let (sent, got) = (read(bytes), read(&out));
    // What is left of these two is an offer to switch, and not to a protocol that we would have to read; or the word that the
    // client takes trailers.
    let trailers = before.head(bytes).takes_trailers() && !after.is_upgrade();
    assert_eq!(
        got.values("connection").count(),
        usize::from(after.is_upgrade() || trailers)
    );
    let te: &[&[u8]] = if trailers { &[b"trailers"] } else { &[] };
    assert!(got.values("te").eq(te.iter().copied()));
    assert!(!trailers || sent.tokens("te").any(|token| token.eq_ignore_ascii_case(b"trailers")));
    assert_eq!(got.values("upgrade").count(), usize::from(after.is_upgrade()));
    assert!(!got.tokens("upgrade").any(is_http));
    assert_eq!(got.values("x-forwarded-for").count(), 1);
    assert_eq!(
        got.values("via").last(),
        Some(if before.version() == Version::Http11 {
            &b"1.1 lbpool"[..]
        } else {
            b"1.0 lbpool"
        })
    );
    if trust == Trust::Replace {
        assert_eq!(got.values("x-forwarded-for").next(), Some(&b"192.0.2.7"[..]));
        assert_eq!(got.values("forwarded").count() + got.values("x-real-ip").count(), 0);
    }
    of_the_hop(&sent, &got, IN_VAIN[0], trailers);
    kept(&sent, &got, IN_VAIN[0], |name| {
        matches!(
            name,
            "host" | "via" | "expect" | "forwarded" | "max-forwards" | "x-real-ip" | "x-request-id"
        ) || name.starts_with("x-forwarded-")
    });
}

fn response(knobs: Knobs, bytes: &[u8]) {
    let (limits, to) = (Limits::default(), knobs.method());
    let mut before = Response::new();
    before.allow_switch(knobs.bit(4));
    if !matches!(before.parse(bytes, &limits, to), Ok(Some(_))) {
        return;
    }
    let version = if knobs.bit(2) { Version::Http10 } else { Version::Http11 };
    if version == Version::Http10 && (before.is_informational() || before.is_switch()) {
        return;
    }
    let mut answer = Answer::to(&Request::new());
    answer.version = version;
    answer.close = knobs.bit(3);
    answer.extra = &[("X-Extra", "1"), ("X-Split", "1\r\nX-Smuggled: 1")];
    let mut out = Vec::new();
    let delivery = rewrite::response(before.head(bytes), &answer, &mut out);

    let roomy = Limits {
        head: lbpool_http1::head::MAX_HEAD,
        headers: lbpool_http1::head::MAX_HEADERS,
        ..limits
    };
    let mut after = Response::new();
    after.allow_switch(before.is_switch());
    assert_eq!(
        after.parse(&out, &roomy, to),
        Ok(Some(out.len())),
        "{:?}",
        String::from_utf8_lossy(&out)
    );
    assert_eq!((after.status(), after.version()), (before.status(), Version::Http11));
    let framing = if delivery.decode {
        Framing::Close
    } else {
        before.framing()
    };
    assert_eq!(after.framing(), framing);
    let (sent, got) = (read(bytes), read(&out));
    if !before.is_informational() && !before.is_switch() {
        // What the head says about the connection is what happens to it.
        assert_eq!(got.tokens("connection").any(|token| token == b"close"), delivery.close);
        assert!(delivery.close || framing != Framing::Close);
    }
    assert!(got.values("connection").count() <= 1 + got.values("upgrade").count());
    assert!(got.values("upgrade").count() == 0 || matches!(before.status(), 101 | 426));
    assert!(!got.tokens("upgrade").any(is_http));
    assert!(version == Version::Http11 || got.values("transfer-encoding").count() == 0);
    assert_eq!(
        (got.values("x-smuggled").count(), got.values("x-split").count()),
        (sent.values("x-smuggled").count(), sent.values("x-split").count())
    );
    of_the_hop(&sent, &got, IN_VAIN[1], false);
    kept(&sent, &got, IN_VAIN[1], |name| {
        matches!(
            name,
            "content-length" | "date" | "transfer-encoding" | "via" | "x-extra" | "proxy-authenticate"
        )
    });
}

/// Whether a protocol is HTTP itself, with or without a version.
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
    [&b"http"[..], b"h2c", b"h2", b"h3"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
}

fn read(bytes: &[u8]) -> Head<'_> {
    match Head::read(bytes) {
        Some(head) => head,
        None => unreachable!("no head by its lines: {:?}", String::from_utf8_lossy(bytes)),
    }
}

/// Nothing of the hop survives, and no control byte. `trailers`: TE is said anew.
fn of_the_hop(sent: &Head<'_>, got: &Head<'_>, in_vain: &[&str], trailers: bool) {
    for name in HOP.iter().filter(|name| !(trailers && **name == "te")) {
        assert_eq!(got.values(name).count(), 0, "{name}");
    }
    for (name, value) in &got.fields {
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert!(value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()));
    }
    assert!(!got.first.iter().any(u8::is_ascii_control) || !got.first.contains(&b'\r'));
    for token in sent.tokens("connection") {
        let token = String::from_utf8_lossy(token).to_ascii_lowercase();
        let ours = in_vain.contains(&token.as_str()) || token.starts_with("x-forwarded-") || token.is_empty();
        // `extra` and the answer's own Connection are put in behind.
        let added = [
            "connection",
            "date",
            "forwarded",
            "max-forwards",
            "upgrade",
            "via",
            "x-extra",
            "x-real-ip",
        ]
        .contains(&token.as_str())
            || trailers && token == "te";
        assert!(ours || added || got.values(&token).count() == 0, "nominated: {token}");
    }
}

/// Every other field goes on as it came.
fn kept(sent: &Head<'_>, got: &Head<'_>, in_vain: &[&str], ours: impl Fn(&str) -> bool) {
    for (name, _) in &sent.fields {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let hop =
            HOP.contains(&name.as_str()) || matches!(name.as_str(), "connection" | "proxy-authenticate" | "upgrade");
        let nominated = sent
            .tokens("connection")
            .any(|token| token.eq_ignore_ascii_case(name.as_bytes()));
        if !(hop || ours(&name) || nominated && !in_vain.contains(&name.as_str())) {
            assert!(sent.values(&name).eq(got.values(&name)), "{name}");
        }
    }
}
