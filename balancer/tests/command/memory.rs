//! What a balancer needs of memory: bodies pass through it, and connections that are idle weigh little.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::support::{Fixture, LONG, file, member};

/// Megabytes that go each way: `LBPOOL_TEST_MB=1024` for the figure in the docs.
fn megabytes() -> usize {
    let given = std::env::var("LBPOOL_TEST_MB").ok();
    given.map_or(128, |text| text.parse().expect("LBPOOL_TEST_MB is a number"))
}

/// Megabytes that the whole process may take, of which the program itself is twice as much where it is not optimised.
const MOST: u64 = if cfg!(debug_assertions) { 32 } else { 25 };
/// Megabytes that the whole process may take with ten thousand idle connections: one that is not optimised starts with ten more.
const IDLE: u64 = if cfg!(debug_assertions) { 72 } else { 60 };
/// Megabytes that bodies under way may take: a page of 64 KiB for each direction of each, and what the allocator rounds up.
const UNDER_WAY: u64 = 4;

const PIECE: usize = 1 << 16;

/// The byte at a place of the body.
fn pattern(at: usize) -> u8 {
    (at % 251).to_le_bytes()[0]
}

fn fill(piece: &mut [u8], from: usize) {
    piece
        .iter_mut()
        .enumerate()
        .for_each(|(n, byte)| *byte = pattern(from + n));
}

/// Reads the head of a message.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A member that answers each body with the same bytes, while they come, framed as they came.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let head = head(&mut reader);
                if head.starts_with("GET /heartbeat") {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                        .unwrap();
                    return;
                }
                let framing = head
                    .lines()
                    .find(|line| line.starts_with("Content-Length") || line.starts_with("Transfer-Encoding"));
                // It echoes to the end of the connection: no other request may come on it.
                let framing = framing.unwrap();
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n{framing}\r\n\r\n").unwrap();
                let mut piece = vec![0; PIECE];
                loop {
                    match reader.read(&mut piece) {
                        Ok(n @ 1..) if stream.write_all(&piece[..n]).is_ok() => {}
                        _ => return,
                    }
                }
            });
        }
    });
    address
}

/// Sends so many bytes and reads them back at the same time.
fn there_and_back(address: SocketAddr, bytes: usize, chunked: bool) {
    let mut writer = TcpStream::connect(address).unwrap();
    writer.set_write_timeout(Some(LONG)).unwrap();
    let reader = writer.try_clone().unwrap();
    reader.set_read_timeout(Some(LONG)).unwrap();
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {bytes}")
    };
    write!(writer, "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n").unwrap();
    let sender = thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        for at in (0..bytes).step_by(PIECE) {
            let n = PIECE.min(bytes - at);
            fill(&mut piece[..n], at);
            if chunked {
                write!(writer, "{n:x}\r\n").unwrap();
            }
            writer.write_all(&piece[..n]).unwrap();
            if chunked {
                writer.write_all(b"\r\n").unwrap();
            }
        }
        if chunked {
            writer.write_all(b"0\r\n\r\n").unwrap();
        }
    });
    let mut reader = BufReader::with_capacity(PIECE, reader);
    assert!(head(&mut reader).starts_with("HTTP/1.1 200 "));
    let (mut piece, mut want) = (vec![0; PIECE], vec![0; PIECE]);
    for at in (0..bytes).step_by(PIECE) {
        let n = PIECE.min(bytes - at);
        if chunked {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert_eq!(line, format!("{n:x}\r\n"));
        }
        reader.read_exact(&mut piece[..n]).unwrap();
        fill(&mut want[..n], at);
        assert!(piece[..n] == want[..n], "other bytes came back, from {at} on");
        if chunked {
            reader.read_exact(&mut [0; 2]).unwrap();
        }
    }
    sender.join().unwrap();
}

#[test]
fn a_gigabyte_both_ways_passes_through_a_process_that_stays_small() {
    let fixture = Fixture::start(&file(&[("echo", echo())]), &["--probe", "none"]);
    let before = fixture.memory("VmHWM");
    let bytes = megabytes() << 20;
    for (chunked, clients) in [(false, 1), (true, 1), (false, 8)] {
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| there_and_back(fixture.listen, bytes / clients, chunked));
            }
        });
        let peak = fixture.memory("VmHWM");
        println!(
            "{} MB each way, {clients} clients, chunked {chunked}: {:?}, peak {peak} kB, {before} kB at the start",
            bytes >> 20,
            start.elapsed()
        );
        assert!(peak < MOST << 10, "{peak} kB at the peak, {before} kB at the start");
        assert!(
            peak < before + (UNDER_WAY << 10),
            "{peak} kB at the peak, {before} kB at the start"
        );
    }
}

/// Opens a connection from an address of its own: ten thousand are too many for the ports of one.
fn connect(n: usize, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = Ipv4Addr::new(127, 0, 1 + u8::try_from(n / 1000).unwrap(), 1);
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

#[test]
fn ten_thousand_idle_connections_weigh_little_whatever_they_have_sent() {
    const MANY: usize = 10_000;
    let need = MANY as u64 + 500;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|most| most < need) {
        println!(
            "skipped: the hard limit of open files is {:?}, {need} are needed",
            limit.maximum
        );
        return;
    }
    // The balancer inherits it.
    let mut raised = limit;
    raised.current = raised.current.map(|now| now.max(need));
    setrlimit(Resource::Nofile, raised).unwrap();
    let members = file(&[("a", member("a", 0))]) + "routing: {timeouts: {idle: 10m}}\n";
    let fixture = Fixture::start(&members, &["--probe", "none"]);
    let before = fixture.memory("VmRSS");
    // A head of 7 KB: what was needed for it must not stay.
    let mut large = String::from("GET / HTTP/1.1\r\nHost: h\r\n");
    for n in 0..70 {
        write!(large, "X-Filler-{n}: {}\r\n", "x".repeat(84)).unwrap();
    }
    large.push_str("\r\n");
    let mut connections: Vec<TcpStream> = Vec::with_capacity(MANY);
    let mut buffer = [0; 1024];
    for n in 0..MANY {
        let mut stream = connect(n, fixture.listen);
        stream.write_all(large.as_bytes()).unwrap();
        let answered = stream.read(&mut buffer).unwrap();
        assert!(buffer[..answered].starts_with(b"HTTP/1.1 200 "));
        connections.push(stream);
    }
    assert_eq!(fixture.metric("lbpool_connections"), Some(10_000.0));
    // A connection gives back what its requests needed once it has been idle for a moment, the allocator a little later.
    let end = Instant::now() + LONG;
    let mut with = fixture.memory("VmRSS");
    while with >= IDLE << 10 && Instant::now() < end {
        thread::sleep(Duration::from_millis(100));
        with = fixture.memory("VmRSS");
    }
    let each = with.saturating_sub(before) * 1024 / MANY as u64;
    let told = format!("{MANY} idle connections: {with} kB, {before} kB at the start, {each} bytes each");
    println!("{told}");
    assert!(with < IDLE << 10, "{told}");
    // They are no use if they do not work.
    for stream in connections.iter_mut().step_by(100) {
        stream.write_all(large.as_bytes()).unwrap();
        let answered = stream.read(&mut buffer).unwrap();
        assert!(buffer[..answered].starts_with(b"HTTP/1.1 200 "));
    }
}
