use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// What a scripted server does with a request for a key; `None` ends the connection.
type Script = fn(key: usize, count: usize, stream: &mut TcpStream) -> Option<()>;

/// A server whose threads end with the connections of its client.
fn serve(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), count.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while let Some(key) = read_request(&mut reader) {
                    if script(key, count.fetch_add(1, Ordering::Relaxed), &mut stream).is_none() {
                        break;
                    }
                }
            });
        }
    });
    address
}

/// The key of a request without a body. `None`: the connection has ended.
fn read_request(reader: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut key = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(number) = line.strip_prefix("X-Request-Id: key-") {
            key = number.trim().parse().ok();
        }
        if line == "\r\n" {
            return key;
        }
    }
}

fn hello(server: &str, stream: &mut TcpStream) -> Option<()> {
    let body = format!(r#"{{"message":"Hello from Server: {server}","status":"successful"}}"#);
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Server-Id: {server}\r\n\r\n{body}",
        body.len()
    )
    .ok()
}

fn load(address: SocketAddr) -> Load {
    Load::start(Plan {
        connections: 4,
        keys: 20,
        ..Plan::new(address)
    })
    .unwrap()
}

/// The only kind of failure that a server with this script causes.
fn failure_of(script: Script) -> Kind {
    let load = load(serve(script));
    load.round(LIMIT).unwrap();
    let figures = load.stop();
    assert_eq!(figures.failures.len(), 1, "{figures}");
    figures.failures.into_keys().next().unwrap()
}

#[test]
fn right_answers_are_counted_and_their_servers_remembered() {
    let load = load(serve(|key, _, stream| hello(if key < 5 { "a" } else { "b" }, stream)));
    let homes = load.round(LIMIT).unwrap();
    assert_eq!(
        homes.per_server().into_iter().collect::<Vec<_>>(),
        [("a".into(), 5), ("b".into(), 15)]
    );
    assert_eq!(load.round(LIMIT).unwrap().moved_from(&homes), 0);
    let figures = load.stop();
    assert!(
        figures.answered >= 40 && figures.failed_in_all() == 0 && figures.changes == 0,
        "{figures}"
    );
    assert_eq!(figures.latency.total(), figures.answered);
}

#[test]
fn a_key_that_changes_its_server_has_moved() {
    static MOVED: AtomicUsize = AtomicUsize::new(0);
    let address = serve(|key, _, stream| hello(if key < MOVED.load(Ordering::Relaxed) { "a" } else { "b" }, stream));
    let load = load(address);
    let before = load.round(LIMIT).unwrap();
    MOVED.store(3, Ordering::Relaxed);
    assert_eq!(load.round(LIMIT).unwrap().moved_from(&before), 3);
    assert_eq!(load.stop().changes, 3);
}

#[test]
fn chunked_answers_with_trailers_are_read() {
    let address = serve(|_, _, stream| {
        let parts = "1a\r\n{\"message\":\"Hello from Ser\r\n1e;x=y\r\nver: c\",\"status\":\"successful\"}";
        write!(
            stream,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        .ok()?;
        write!(stream, "{parts}\r\n0\r\nX-Sum: 1\r\n\r\n").ok()
    });
    let load = load(address);
    let homes = load.round(LIMIT).unwrap();
    assert_eq!(homes.per_server().into_iter().collect::<Vec<_>>(), [("c".into(), 20)]);
    assert_eq!(load.stop().failed_in_all(), 0);
}

#[test]
fn a_connection_that_a_server_ends_between_answers_fails_nothing() {
    let load = load(serve(|_, _, stream| {
        let body = r#"{"message":"Hello from Server: a","status":"successful"}"#;
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .ok()?;
        None
    }));
    load.round(LIMIT).unwrap();
    assert_eq!(load.stop().failed_in_all(), 0);
}

#[test]
fn a_get_on_a_connection_that_ends_unanswered_is_sent_again_where_that_is_wanted() {
    // Every third request ends its connection, which was used before.
    let plan = Plan {
        connections: 1,
        keys: 20,
        resend: true,
        ..Plan::new(serve(|_, n, stream| (n % 3 != 1).then(|| hello("a", stream)).flatten()))
    };
    let load = Load::start(plan).unwrap();
    load.round(LIMIT).unwrap();
    let figures = load.stop();
    assert!(figures.resent > 0 && figures.failed_in_all() == 0, "{figures}");
}

#[test]
fn a_request_that_waits_for_its_connection_waits_since_it_was_due() {
    let plan = Plan {
        connections: 1,
        keys: 1,
        rate: Some(100),
        ..Plan::new(serve(|_, n, stream| {
            if n == 0 {
                thread::sleep(Duration::from_millis(200));
            }
            hello("a", stream)
        }))
    };
    let load = Load::start(plan).unwrap();
    for _ in 0..10 {
        load.round(LIMIT).unwrap();
    }
    let figures = load.stop();
    assert!(
        figures.latency.permille(500) > Duration::from_millis(50),
        "those behind the slow one waited too: {figures}"
    );
}

#[test]
fn a_stream_without_a_part_is_wrong() {
    let stream = |address, chunks| {
        let plan = Plan {
            connections: 1,
            keys: 1,
            stream: Some(Stream { chunks, interval: 1 }),
            ..Plan::new(address)
        };
        Load::start(plan).unwrap()
    };
    let address = serve(|_, _, stream| {
        let body = "1/2 from a\n2/2 from a\n";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Server-Id: a\r\n\r\n{body}",
            body.len()
        )
        .ok()
    });
    let load = stream(address, 2);
    load.round(LIMIT).unwrap();
    assert_eq!(load.stop().failed_in_all(), 0);
    for chunks in [1, 3] {
        let load = stream(address, chunks);
        let _ = load.round(Duration::from_millis(50));
        let figures = load.stop();
        assert_eq!(
            (figures.answered, figures.failures.contains_key(&Kind::Body)),
            (0, true),
            "{figures}"
        );
    }
}

#[test]
fn every_way_to_fail_has_its_name() {
    assert_eq!(
        failure_of(|_, n, stream| (n % 3 != 1).then(|| hello("a", stream)).flatten()),
        Kind::Closed
    );
    assert_eq!(
        failure_of(|_, n, stream| hello(if n % 3 == 1 { "a\",\"b\":\"" } else { "a" }, stream)),
        Kind::Body
    );
    let cut: Script = |_, n, stream| match n % 3 {
        1 => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
            .ok()
            .and(None),
        _ => hello("a", stream),
    };
    assert_eq!(failure_of(cut), Kind::Cut);
    let refused: Script = |_, n, stream| match n % 3 {
        1 => write!(stream, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").ok(),
        _ => hello("a", stream),
    };
    assert_eq!(failure_of(refused), Kind::Status(503));
    let two_servers: Script = |_, n, stream| match n % 3 {
        1 => {
            let body = r#"{"message":"Hello from Server: a","status":"successful"}"#;
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nX-Server-Id: b\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .ok()
        }
        _ => hello("a", stream),
    };
    assert_eq!(failure_of(two_servers), Kind::Server);
    let other: Script = |_, n, stream| match n % 3 {
        1 => write!(stream, "SSH-2.0-x\r\n").ok().and(None),
        _ => hello("a", stream),
    };
    assert_eq!(failure_of(other), Kind::Malformed);
}

#[test]
fn a_round_without_answers_says_what_failed() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let load = load(nobody);
    let error = load.round(Duration::from_millis(100)).unwrap_err();
    assert!(
        error.starts_with("20 of 20 keys") && error.contains("no connection"),
        "{error}"
    );
    assert_eq!(load.stop().failures.into_keys().collect::<Vec<_>>(), [Kind::Connect]);
}

#[test]
fn a_large_body_comes_back_while_it_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let length = 4 << 20;
    let echo = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 0 {
            if line == "\r\n" {
                let head = format!("HTTP/1.1 200 OK\r\nX-Server-Id: e\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                std::io::copy(&mut reader.by_ref().take(length), &mut stream).unwrap();
            }
            line.clear();
        }
    });
    let plan = Plan {
        connections: 1,
        keys: 1,
        posts: 100,
        body: 4 << 20,
        ..Plan::new(address)
    };
    let load = Load::start(plan).unwrap();
    assert_eq!(load.round(LIMIT).unwrap().seen(), 1);
    drop(load);
    echo.join().unwrap();
}
