//! The smallest member: answers each GET with its `SERVER_ID`. Tests run it in every way a member can behave.
//!
//! `member [--not-ready-for MS] [--never-ready] [--exit-after MS]`; run as `member __guard PID -- PROGRAM ..` it
//! guards another program, as the command `lbpool` does.

#![expect(
    clippy::disallowed_methods,
    reason = "reads its environment as any member does, and has no runtime whose clock could be paused"
)]

use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use lbpool_operator::fleet::process::guard;

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == guard::COMMAND).is_some() {
        eprintln!("guard: {}", guard::exec(args));
        return ExitCode::from(127);
    }
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("member: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mut args: impl Iterator<Item = OsString>) -> io::Result<()> {
    let variable = |name| env::var(name).map_err(|_| io::Error::other(format!("{name} is not set")));
    let (id, port) = (variable("SERVER_ID")?, variable("PORT")?);
    let mut not_ready_for = Duration::ZERO;
    while let Some(arg) = args.next() {
        let mut ms = || {
            args.next()
                .and_then(|ms| Some(Duration::from_millis(ms.to_str()?.parse().ok()?)))
        };
        match arg.to_str() {
            Some("--not-ready-for") => not_ready_for = ms().unwrap_or_default(),
            Some("--never-ready") => not_ready_for = Duration::MAX,
            Some("--exit-after") => {
                let after = ms().unwrap_or_default();
                thread::spawn(move || {
                    thread::sleep(after);
                    eprintln!("member: exits as told");
                    std::process::exit(3);
                });
            }
            _ => return Err(io::Error::other(format!("unknown argument {}", arg.display()))),
        }
    }
    let port = port.parse().map_err(|_| io::Error::other("PORT is no port"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("{id} listens on {port}");
    let started = Instant::now();
    for stream in listener.incoming() {
        let (id, ready) = (id.clone(), started.elapsed() >= not_ready_for);
        thread::spawn(move || answer(stream?, &id, ready));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, id: &str, ready: bool) -> io::Result<()> {
    let mut head = [0; 4096];
    if stream.read(&mut head)? == 0 {
        return Ok(());
    }
    let status = if head.starts_with(b"GET /wrong ") {
        "404 Not Found"
    } else if ready {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{id}",
        id.len()
    )
}
