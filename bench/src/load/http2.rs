//! A connection of HTTP/2 with prior knowledge (RFC 9113): as much of it as it takes to send GETs and to check what comes.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
};

use super::Wrong;
use crate::workload::Requests;

/// The preface, then SETTINGS: no server push, and windows so large that no answer waits for one of ours.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \x00\x00\x0c\x04\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x04\x7f\xff\xff\xff\
    \x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\xfe\x00\x00";
const FRAME: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

pub struct Connection {
    stream: TcpStream,
    /// Length that an answer's body must have.
    expected: usize,
    out: Vec<u8>,
    inbox: Vec<u8>,
    last: u32,
    streams: Vec<Stream>,
}

struct Stream {
    id: u32,
    due: u64,
    /// It has its head, with status 200.
    answered: bool,
    body: usize,
}

impl Connection {
    pub fn new(stream: TcpStream, expected: usize) -> Self {
        Self {
            stream,
            expected,
            out: HELLO.to_vec(),
            inbox: Vec::new(),
            last: 0,
            streams: Vec::new(),
        }
    }

    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn busy(&self) -> usize {
        self.streams.len()
    }

    pub fn begin(&mut self, request: usize, due: u64, requests: &Requests) -> Result<(), Wrong> {
        let id = if self.last == 0 { 1 } else { self.last + 2 };
        self.last = id;
        frame(
            &mut self.out,
            HEADERS,
            END_HEADERS | END_STREAM,
            id,
            &requests.heads[request],
        );
        self.streams.push(Stream {
            id,
            due,
            answered: false,
            body: 0,
        });
        self.flush()
    }

    pub fn go_on(&mut self, scratch: &mut [u8], done: &mut Vec<u64>) -> Result<(), Wrong> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err("the connection ended".to_owned()),
                Ok(n) => {
                    self.inbox.extend_from_slice(&scratch[..n]);
                    self.take(done)?;
                    if n < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Wrong> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) => drop(self.out.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("writing: {error}")),
            }
        }
        Ok(())
    }

    fn take(&mut self, done: &mut Vec<u64>) -> Result<(), Wrong> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while let Some((head, behind)) = rest.split_at_checked(FRAME) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let Some((payload, behind)) = behind.split_at_checked(length) else {
                break;
            };
            let id = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            self.on_frame((head[3], head[4], id), payload, done)?;
            rest = behind;
        }
        self.inbox.extend_from_slice(rest);
        Ok(())
    }

    fn on_frame(&mut self, (kind, flags, id): (u8, u8, u32), payload: &[u8], done: &mut Vec<u64>) -> Result<(), Wrong> {
        match kind {
            SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
            HEADERS | DATA => self.on_answer((kind, flags, id), payload, done)?,
            RST_STREAM => return Err(format!("the stream was reset: {payload:?}")),
            GOAWAY => return Err(format!("the server leaves: {payload:?}")),
            _ => {}
        }
        Ok(())
    }

    fn on_answer(
        &mut self,
        (kind, flags, id): (u8, u8, u32),
        payload: &[u8],
        done: &mut Vec<u64>,
    ) -> Result<(), Wrong> {
        let Some(index) = self.streams.iter().position(|stream| stream.id == id) else {
            return Err(format!("a frame for stream {id}, which waits for none"));
        };
        let stream = &mut self.streams[index];
        let padding = if flags & PADDED == 0 {
            0
        } else {
            usize::from(payload.first().copied().unwrap_or(0)) + 1
        };
        match kind {
            DATA => stream.body += payload.len().saturating_sub(padding),
            _ if is_200(payload, flags) => stream.answered = true,
            _ => return Err(format!("an answer that does not begin with status 200: {payload:?}")),
        }
        if flags & END_STREAM != 0 {
            if !stream.answered || stream.body != self.expected {
                return Err(format!("a body of {} bytes, not of {}", stream.body, self.expected));
            }
            done.push(self.streams.swap_remove(index).due);
        }
        Ok(())
    }
}

/// Whether a block of fields begins with `:status: 200`, which has an index in the static table. Updates of the dynamic
/// table's size may come before it.
fn is_200(payload: &[u8], flags: u8) -> bool {
    let before = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    let mut block = payload.get(before..).unwrap_or_default();
    while let [first, rest @ ..] = block {
        if first & 0xe0 != 0x20 {
            return *first == 0x88;
        }
        // A size above 30 goes on as long as the high bit is set.
        let more = if first & 0x1f == 0x1f {
            rest.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1
        } else {
            0
        };
        block = rest.get(more..).unwrap_or_default();
    }
    false
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    // No frame of ours is longer than 64 KiB.
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[0, length[0], length[1], kind, flags]);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_found_behind_updates_of_the_table() {
        for (block, want) in [
            (&b"\x88\x76"[..], true),
            (b"\x20\x88", true),
            (b"\x3f\xe1\x1f\x88", true),
            (b"\x8d", false),
            (b"", false),
        ] {
            assert_eq!(is_200(block, END_HEADERS), want, "{block:?}");
        }
    }
}
