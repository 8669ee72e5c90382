//! What is passed on, in both directions: to the byte.

use serde_json::json;
use tokio::task::JoinSet;

use super::exchange;
use crate::support::{Act, Member, send, serving};

struct Row {
    name: &'static str,
    section: &'static str,
    /// What the client sends.
    request: &'static str,
    /// What the member answers, and whether it ends the connection then.
    answer: (&'static str, bool),
    /// Lines of the head that the member sees, or none of it where they begin with an exclamation mark; and the body.
    seen: (&'static [&'static str], &'static str),
    /// What the client gets.
    client: &'static str,
    /// Its connection goes on: a further request is answered.
    goes_on: bool,
}

const PLAIN: Row = Row {
    name: "",
    section: "",
    request: "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: k\r\n\r\n",
    answer: ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
    seen: (
        &[
            "GET / HTTP/1.1",
            "Host: h",
            "X-Request-Id: k",
            "Via: 1.1 lbpool",
            "X-Forwarded-For: 127.0.0.1",
        ],
        "",
    ),
    client: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 lbpool\r\n\r\nok",
    goes_on: true,
};

const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\n";

const ROWS: &[Row] = &[
    Row {
        name: "a GET",
        section: "9112 3",
        ..PLAIN
    },
    Row {
        name: "an empty line first",
        section: "9112 2.2",
        request: "\r\nGET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: k\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "absolute form",
        section: "9112 3.2.2",
        request: "GET http://inner:1/a?b HTTP/1.1\r\nHost: outer\r\n\r\n",
        seen: (&["GET /a?b HTTP/1.1", "Host: inner:1", "!Host: outer"], ""),
        ..PLAIN
    },
    Row {
        name: "asterisk form",
        section: "9112 3.2.4",
        request: "OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 3\r\n\r\n",
        seen: (&["OPTIONS * HTTP/1.1", "Max-Forwards: 2"], ""),
        ..PLAIN
    },
    Row {
        name: "HEAD",
        section: "9110 9.3.2",
        request: "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        answer: ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false),
        seen: (&["HEAD / HTTP/1.1"], ""),
        client: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nVia: 1.1 lbpool\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "204",
        section: "9110 15.3.5",
        answer: ("HTTP/1.1 204 No Content\r\n\r\n", false),
        client: "HTTP/1.1 204 No Content\r\nVia: 1.1 lbpool\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "205",
        section: "9110 15.3.6",
        answer: ("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", false),
        client: "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nVia: 1.1 lbpool\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "304 with the length of what is not there",
        section: "9110 15.4.5",
        answer: ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false),
        client: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nVia: 1.1 lbpool\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "chunks, extension and trailer",
        section: "9112 7.1",
        answer: (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nSum: 1\r\n\r\n",
            false,
        ),
        client: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.1 lbpool\r\n\r\n2;a=b\r\nok\r\n0\r\nSum: 1\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "chunks to an HTTP/1.0 client",
        section: "9112 6.1",
        request: "GET / HTTP/1.0\r\nHost: h\r\n\r\n",
        answer: (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSum: 1\r\n\r\n",
            false,
        ),
        seen: (&["GET / HTTP/1.1", "Via: 1.0 lbpool"], ""),
        client: "HTTP/1.1 200 OK\r\nVia: 1.1 lbpool\r\nConnection: close\r\n\r\nok",
        goes_on: false,
    },
    Row {
        name: "an HTTP/1.0 client that goes on",
        section: "9112 9.3",
        request: "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
        seen: (&["GET / HTTP/1.1", "!Connection: keep-alive"], ""),
        client: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 lbpool\r\nConnection: keep-alive\r\n\r\nok",
        ..PLAIN
    },
    Row {
        name: "an answer up to the connection's end",
        section: "9112 6.3",
        answer: ("HTTP/1.1 200 OK\r\n\r\nok", true),
        client: "HTTP/1.1 200 OK\r\nVia: 1.1 lbpool\r\nConnection: close\r\n\r\nok",
        goes_on: false,
        ..PLAIN
    },
    Row {
        name: "a member that closes",
        section: "9112 9.6",
        answer: (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            true,
        ),
        ..PLAIN
    },
    Row {
        name: "a client that closes",
        section: "9112 9.6",
        request: "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        seen: (&["!Connection: close"], ""),
        client: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 lbpool\r\nConnection: close\r\n\r\nok",
        goes_on: false,
        ..PLAIN
    },
    Row {
        name: "a counted body",
        section: "9112 6.2",
        request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        seen: (&["POST / HTTP/1.1", "Content-Length: 5"], "hello"),
        ..PLAIN
    },
    Row {
        name: "a chunked body",
        section: "9112 7.1",
        request: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        seen: (&["Transfer-Encoding: chunked"], "2;a\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ..PLAIN
    },
    Row {
        name: "a body that did not wait for leave",
        section: "9110 10.1.1",
        request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        answer: (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            false,
        ),
        seen: (&["Expect: 100-continue"], "hello"),
        client: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 lbpool\r\n\r\nok",
        ..PLAIN
    },
    Row {
        name: "interim answers",
        section: "9110 15.2",
        answer: (
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            false,
        ),
        client: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 lbpool\r\n\r\nok",
        ..PLAIN
    },
    Row {
        name: "interim answers to HTTP/1.0",
        section: "9110 15.2",
        request: "GET / HTTP/1.0\r\n\r\n",
        answer: (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            false,
        ),
        seen: (&["Host: "], ""),
        client: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 lbpool\r\nConnection: close\r\n\r\nok",
        goes_on: false,
    },
    Row {
        name: "a client that takes trailers",
        section: "9110 10.1.4",
        request: "GET / HTTP/1.1\r\nHost: h\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n",
        seen: (&["Connection: TE", "TE: trailers", "!TE: gzip, trailers"], ""),
        ..PLAIN
    },
    Row {
        name: "TE that somebody in front may have passed on",
        section: "9110 10.1.4",
        request: "GET / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n",
        seen: (&["GET / HTTP/1.1", "!TE: trailers"], ""),
        ..PLAIN
    },
    Row {
        name: "bytes behind an answer",
        section: "9112 9.2",
        answer: (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
            false,
        ),
        ..PLAIN
    },
    Row {
        name: "bytes behind an answer that has no body",
        section: "9112 6.3",
        answer: ("HTTP/1.1 204 No Content\r\n\r\nbody", false),
        client: "HTTP/1.1 204 No Content\r\nVia: 1.1 lbpool\r\n\r\n",
        ..PLAIN
    },
    Row {
        name: "an answer that breaks off",
        section: "9112 8",
        answer: ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", true),
        client: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 lbpool\r\n\r\nhe",
        goes_on: false,
        ..PLAIN
    },
    Row {
        name: "chunks that break off",
        section: "9112 8",
        answer: ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", true),
        client: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVia: 1.1 lbpool\r\n\r\n2\r\nhe\r\n",
        goes_on: false,
        ..PLAIN
    },
    Row {
        name: "nonsense",
        section: "9112 4",
        answer: ("<html>\r\n\r\n", false),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "a status of two digits",
        section: "9112 4",
        answer: ("HTTP/1.1 20 OK\r\n\r\n", false),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "bare LF from a member",
        section: "9112 2.2",
        answer: ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", false),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "a folded line from a member",
        section: "9112 5.2",
        answer: ("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", false),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "both lengths from a member",
        section: "9112 6.3",
        answer: (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            false,
        ),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "two lengths from a member",
        section: "9112 6.3",
        answer: (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            false,
        ),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "a malformed chunk at once",
        section: "9112 7.1",
        answer: ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", false),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "a switch that nobody asked for",
        section: "9110 15.2.2",
        answer: ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false),
        client: BAD,
        ..PLAIN
    },
    Row {
        name: "no answer to what may not be sent twice",
        section: "9110 9.2.2",
        request: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        answer: ("", true),
        seen: (&["POST / HTTP/1.1"], ""),
        client: BAD,
        ..PLAIN
    },
];

const PROBE: &str = "GET /probe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const PROBED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nVia: 1.1 lbpool\r\nConnection: close\r\n\r\nprobed";

async fn check(row: &'static Row) {
    let member = Member::scripted("member", |ask| {
        if ask.path() == "/probe" {
            return vec![send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nprobed")];
        }
        let (wanted, body) = row.seen;
        let lines: Vec<&str> = ask.head.split("\r\n").collect();
        let missing = wanted.iter().find(|line| match line.strip_prefix('!') {
            Some(absent) => lines.contains(&absent),
            None => !lines.contains(line),
        });
        let (answer, ends) = row.answer;
        let answer = match missing {
            Some(line) => send(&format!(
                "HTTP/1.1 500 X\r\nContent-Length: 0\r\nWanted: {line}\r\n\r\n"
            )),
            None if ask.body != body.as_bytes() => {
                send("HTTP/1.1 500 X\r\nContent-Length: 0\r\nWanted: its body\r\n\r\n")
            }
            None => send(answer),
        };
        if ends { vec![answer, Act::Close] } else { vec![answer] }
    })
    .await;
    let routing = json!({"retries": {"attempts": 0}, "loadBound": 0});
    let (balancer, _client) = serving(&[&member], routing).await;
    let bytes = [row.request, if row.goes_on { PROBE } else { "" }].concat();
    for cut in 0..bytes.len() {
        let seen = exchange(balancer.local_addr(), bytes.as_bytes(), cut).await;
        let told = format!("{} ({}), cut at {cut}", row.name, row.section);
        let (first, rest) = match seen.strip_suffix(PROBED) {
            Some(first) if row.goes_on => (first, PROBED),
            _ => (&*seen, ""),
        };
        assert_eq!(rest.is_empty(), !row.goes_on, "{told}: {seen}");
        if row.client == BAD {
            let ours = first.starts_with(BAD) && first.contains("\r\nX-Lbpool-Reason: ");
            assert!(ours, "{told}: {seen}");
        } else {
            assert_eq!(first, row.client, "{told}");
        }
    }
}

#[tokio::test]
async fn what_is_passed_on_is_the_same_at_every_cut() {
    let mut rows = JoinSet::new();
    for row in ROWS {
        rows.spawn(check(row));
    }
    while let Some(done) = rows.join_next().await {
        done.unwrap();
    }
}
