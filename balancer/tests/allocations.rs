//! A request on a connection that is kept costs no allocation: buffers are the worker's, and go back to it.
//!
//! Counted over the whole process, so this binary holds one test, and its client and its member allocate nothing either.

// For clippy: helpers are tests too, and may panic.
#![cfg(test)]

use std::{
    alloc::System,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Barrier,
    thread,
};

use lbpool_balancer::{Balancer, Config, Limits};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Requests before the count: connections are made, buffers grow.
const WARM: u64 = 200;
/// Requests that are counted.
const REQUESTS: u64 = 2000;
const LARGE: usize = 100 * 1024;
/// Requests that wait for their answers at the same time, on a worker.
const TOGETHER: usize = 600;
/// How often they do before the count, and while it runs.
const ROUNDS: usize = 3;

/// Holds their answers back until all of them are with the members.
static TOGETHER_THERE: Barrier = Barrier::new(TOGETHER);

/// One kind of request.
struct Case {
    name: &'static str,
    request: Vec<u8>,
    answer: usize,
}

/// Where the head ends, once it is there.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// The value of `Content-Length`, 0 without.
fn length(head: &[u8]) -> usize {
    let name = b"content-length: ";
    let Some(at) = head
        .windows(name.len())
        .position(|window| window.eq_ignore_ascii_case(name))
    else {
        return 0;
    };
    let digits = head[at + name.len()..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |value, digit| value * 10 + usize::from(digit - b'0'))
}

/// Reads one message, head and body. `None`: the connection ended.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    let mut filled = 0;
    loop {
        let n = stream.read(&mut buffer[filled..]).ok().filter(|n| *n > 0)?;
        filled += n;
        if let Some(end) = head_end(&buffer[..filled])
            && filled >= end + length(&buffer[..end])
        {
            return Some(filled);
        }
    }
}

fn serve(mut stream: TcpStream) {
    let mut buffer = vec![0; 2 * LARGE];
    let answer = |n: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n{}", "x".repeat(n)).into_bytes();
    let (small, large) = (answer(70), answer(LARGE));
    while read(&mut stream, &mut buffer).is_some() {
        if buffer.starts_with(b"GET /together") {
            TOGETHER_THERE.wait();
        }
        let answer = if buffer.starts_with(b"GET /large") {
            &large
        } else {
            &small
        };
        stream.write_all(answer).unwrap();
    }
}

/// A member: a thread for each connection.
fn member() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    // All connect at the same time: the standard library's queue is shorter.
    socket.listen(2 * i32::try_from(TOGETHER).unwrap()).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(|| serve(stream));
        }
    });
    address
}

fn balancer() -> Balancer {
    let config = Config {
        workers: 1,
        limits: Limits {
            // Each member may get all of them.
            idle_per_member: TOGETHER,
            ..Limits::default()
        },
        ..Config::default()
    };
    let balancer = Balancer::start(config).unwrap();
    let document = json!({
        "pool": "web", "epoch": 1,
        "members": [{"name": "a", "address": member()}, {"name": "b", "address": member()}],
        "routing": {"key": [{"header": "X-Key"}, {"query": "user"}, {"path": true}]},
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let document = serde_json::from_value(document).unwrap();
    runtime.block_on(balancer.publish(document)).unwrap();
    balancer
}

/// How often memory was taken or grown while so many requests were answered.
fn allocations(stream: &mut TcpStream, case: &Case, buffer: &mut [u8], requests: u64) -> usize {
    let region = Region::new(ALLOCATOR);
    for _ in 0..requests {
        stream.write_all(&case.request).unwrap();
        let n = read(stream, buffer).unwrap();
        assert!(
            buffer.starts_with(b"HTTP/1.1 200 OK\r\n") && n > case.answer,
            "{}",
            case.name
        );
    }
    let change = region.change();
    change.allocations + change.reallocations
}

/// As [`allocations`], of a request on each connection at the same time.
fn together(streams: &mut [TcpStream], buffer: &mut [u8]) -> usize {
    let region = Region::new(ALLOCATOR);
    for _ in 0..ROUNDS {
        for stream in &mut *streams {
            stream.write_all(b"GET /together HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        }
        for stream in &mut *streams {
            read(stream, buffer).unwrap();
            assert!(
                buffer.starts_with(b"HTTP/1.1 200 OK\r\n"),
                "{}",
                buffer[..400].escape_ascii()
            );
        }
    }
    let change = region.change();
    change.allocations + change.reallocations
}

#[test]
fn a_request_on_a_kept_connection_allocates_nothing() {
    let balancer = balancer();
    let body = "y".repeat(64 * 1024);
    let cases = [
        ("GET, key from the path, new id", "GET /cart/7 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 70),
        (
            "GET, key from a header, id and forwarding of the client",
            "GET /cart/7?user=3 HTTP/1.1\r\nHost: h\r\nX-Key: 42\r\nX-Request-Id: cart-42\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n".to_owned(),
            70,
        ),
        ("GET, key from the query", "GET /cart/7?user=3 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 70),
        ("GET of 100 KB", "GET /large HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), LARGE),
        (
            "POST of 64 KB",
            format!("POST /cart HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
            70,
        ),
    ];
    let region = Region::new(ALLOCATOR);
    let mut buffer = vec![0; 2 * LARGE];
    assert_eq!(region.change().allocations, 1, "allocations are counted");
    for (name, request, answer) in cases {
        let case = Case {
            name,
            request: request.into_bytes(),
            answer,
        };
        let mut stream = TcpStream::connect(balancer.local_addr()).unwrap();
        stream.set_nodelay(true).unwrap();
        allocations(&mut stream, &case, &mut buffer, WARM);
        let count = allocations(&mut stream, &case, &mut buffer, REQUESTS);
        println!("{name}: {count} allocations in {REQUESTS} requests");
        assert_eq!(count, 0, "{name}: {REQUESTS} requests");
    }
    let mut streams: Vec<_> = (0..TOGETHER)
        .map(|_| TcpStream::connect(balancer.local_addr()).unwrap())
        .collect();
    together(&mut streams, &mut buffer);
    let count = together(&mut streams, &mut buffer);
    println!("{TOGETHER} GETs at the same time: {count} allocations in {ROUNDS} times as many");
    assert_eq!(count, 0, "{TOGETHER} at the same time");
}
