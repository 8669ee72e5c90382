//! How a balancer ends while it is used: nothing that was sent to it is lost.
//!
//! Clients are as HTTP clients are: they keep connections, end them where they are told to, and repeat nothing but a GET
//! on a connection that they had used before and that ended without one byte of an answer. Between them and two balancers
//! is what a Service does: new connections go to a balancer that was ready the last time somebody looked, a second ago.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{Fixture, LONG, file, get, until};

const CLIENTS: u64 = 64;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(1);

/// A member that reads whole requests and answers with the length of their bodies.
fn member() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut stream = stream;
                while let Some((_, length)) = head(&mut reader) {
                    let mut body = vec![0; length];
                    if reader.read_exact(&mut body).is_err() {
                        return;
                    }
                    let text = length.to_string();
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// The lines of a head, and the length of the body behind it.
fn head(reader: &mut impl std::io::BufRead) -> Option<(Vec<String>, usize)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|text| text.parse().ok()).unwrap_or(0);
    Some((lines, length))
}

/// What all clients count.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    repeated: AtomicU64,
    told_to_close: AtomicU64,
    failed: Mutex<Vec<String>>,
}

/// Where new connections go.
#[derive(Default)]
struct Service {
    ready: Mutex<Vec<SocketAddr>>,
    next: AtomicU64,
}

impl Service {
    fn connect(&self) -> Result<BufReader<TcpStream>, String> {
        let ready = self.ready.lock().unwrap().clone();
        let n = usize::try_from(self.next.fetch_add(1, SeqCst)).unwrap();
        let address = ready[n % ready.len()];
        let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
        stream.set_read_timeout(Some(LONG)).unwrap();
        Ok(BufReader::new(stream))
    }
}

/// How an attempt went wrong.
struct Lost {
    why: String,
    answered: bool,
}

/// Sends a request and reads its answer. Whether the connection stays.
fn ask(stream: &mut BufReader<TcpStream>, post: bool) -> Result<bool, Lost> {
    let body = vec![b'x'; if post { 10_000 } else { 0 }];
    let method = if post { "POST" } else { "GET" };
    let request = format!(
        "{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let lost = |why: String, answered| Lost { why, answered };
    let bytes = [request.as_bytes(), &body].concat();
    // What could not be sent may have been answered all the same.
    let written = stream.get_mut().write_all(&bytes);
    let first = stream.fill_buf().map(<[u8]>::len);
    match first {
        Ok(0) | Err(_) => return Err(lost(format!("{method}: write {written:?}, read {first:?}"), false)),
        Ok(_) => {}
    }
    let (lines, length) = head(stream).ok_or_else(|| lost(format!("{method}: half a head"), true))?;
    let mut answer = vec![0; length];
    let read = stream.read_exact(&mut answer);
    read.map_err(|error| lost(format!("{method}: half a body: {error}"), true))?;
    let wanted = body.len().to_string();
    if !lines[0].contains(" 200 ") || answer != wanted.as_bytes() {
        return Err(lost(
            format!("{method}: {lines:?} {}", String::from_utf8_lossy(&answer)),
            true,
        ));
    }
    Ok(lines.iter().all(|line| line != "connection: close"))
}

fn client(n: u64, service: &Service, counts: &Counts, stop: &AtomicBool) {
    let mut kept: Option<BufReader<TcpStream>> = None;
    let mut post = n.is_multiple_of(2);
    // Not all at the same instant.
    thread::sleep(PAUSE * u32::try_from(n).unwrap() / u32::try_from(CLIENTS).unwrap());
    while !stop.load(SeqCst) {
        counts.sent.fetch_add(1, SeqCst);
        let reused = kept.is_some();
        let outcome = match kept.take().map_or_else(|| service.connect(), Ok) {
            Ok(mut stream) => match ask(&mut stream, post) {
                Ok(stays) => {
                    if stays {
                        kept = Some(stream);
                    } else {
                        counts.told_to_close.fetch_add(1, SeqCst);
                    }
                    Ok(())
                }
                Err(lost) if reused && !lost.answered && !post => {
                    counts.repeated.fetch_add(1, SeqCst);
                    service
                        .connect()
                        .and_then(|mut stream| ask(&mut stream, post).map_err(|lost| lost.why))
                        .map(|_| ())
                }
                Err(lost) => Err(format!("{}, reused {reused}", lost.why)),
            },
            Err(why) => Err(why),
        };
        if let Err(why) = outcome {
            counts.failed.lock().unwrap().push(why);
        }
        post = !post;
        thread::sleep(PAUSE);
    }
}

#[test]
fn a_restart_under_load_loses_no_request() {
    let members = file(&[("a", member()), ("b", member())]).replace("health: {", "health: {path: /, ");
    let flags = ["--drain-delay", "3s"];
    let start = || Mutex::new(Some(Fixture::start(&members, &flags)));
    let balancers = [start(), start()];
    let address = |balancer: &Mutex<Option<Fixture>>| {
        let balancer = balancer.lock().unwrap();
        balancer.as_ref().map(|it| (it.listen, it.admin))
    };
    let (service, counts, stop) = (Arc::<Service>::default(), Counts::default(), AtomicBool::new(false));
    service
        .ready
        .lock()
        .unwrap()
        .extend(balancers.iter().filter_map(address).map(|it| it.0));
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(SeqCst) {
                let ready = balancers.iter().filter_map(address);
                let ready = ready.filter(|(_, admin)| get(*admin, "/readyz", "").is_some_and(|it| it.0 == 200));
                let ready: Vec<_> = ready.map(|(listen, _)| listen).collect();
                assert!(!ready.is_empty());
                *service.ready.lock().unwrap() = ready;
                thread::sleep(LOOK);
            }
        });
        for n in 0..CLIENTS {
            let (service, counts, stop) = (&service, &counts, &stop);
            scope.spawn(move || client(n, service, counts, stop));
        }
        for balancer in &balancers {
            let before = counts.sent.load(SeqCst);
            until("both are used", || counts.sent.load(SeqCst) > before + 5 * CLIENTS);
            let old = address(balancer).unwrap().0;
            balancer.lock().unwrap().as_ref().unwrap().signal("-TERM");
            until("nobody connects to it", || {
                !service.ready.lock().unwrap().contains(&old)
            });
            // Taken out before the wait: others look at it meanwhile.
            let mut ending = balancer.lock().unwrap().take().unwrap();
            assert_eq!(ending.ended().code(), Some(0), "{}", ending.logged());
            let new = Fixture::start(&members, &flags);
            let listen = new.listen;
            *balancer.lock().unwrap() = Some(new);
            until("the new one is used", || {
                service.ready.lock().unwrap().contains(&listen)
            });
        }
        stop.store(true, SeqCst);
    });
    let (sent, failed) = (counts.sent.load(SeqCst), counts.failed.lock().unwrap());
    println!(
        "{sent} requests in {:?}, {} repeated, {} failed, {} connections told to close",
        begun.elapsed(),
        counts.repeated.load(SeqCst),
        failed.len(),
        counts.told_to_close.load(SeqCst),
    );
    assert_eq!(*failed, Vec::<String>::new(), "of {sent}");
    assert!(counts.told_to_close.load(SeqCst) >= CLIENTS / 2);
}

#[test]
fn while_it_leaves_it_accepts_and_answers_and_tells_to_close() {
    let members = file(&[("a", member())]).replace("health: {", "health: {path: /, ");
    let mut balancer = Fixture::start(&members, &["--drain-delay", "1s"]);
    let connect = || BufReader::new(TcpStream::connect(balancer.listen).unwrap());
    let (mut used, mut idle) = (connect(), connect());
    assert!(ask(&mut used, false).is_ok_and(|stays| stays));
    assert!(ask(&mut idle, false).is_ok_and(|stays| stays));
    balancer.signal("-TERM");
    until("not ready", || balancer.admin("/readyz").0 == 503);
    assert!(ask(&mut used, true).is_ok_and(|stays| !stays), "on a kept connection");
    assert!(ask(&mut connect(), true).is_ok_and(|stays| !stays), "on a new one");
    // Nothing is sent on this one: it ends in good order, behind the delay.
    assert_eq!(idle.fill_buf().unwrap(), b"", "no reset");
    drop(idle);
    assert_eq!(balancer.ended().code(), Some(0), "{}", balancer.logged());
}
