//! A connection of HTTP/1.1: one request at a time.

use std::{
    io::{self, IoSlice, Read as _, Write as _},
    net::TcpStream,
};

use lbpool_http1::{Framing, Limits, Method, Response};

use super::Wrong;
use crate::workload::Requests;

pub struct Connection {
    stream: TcpStream,
    response: Response,
    /// Length that an answer's body must have.
    expected: usize,
    /// The server has to end the connection behind its answer.
    close: bool,
    state: State,
    /// The request at hand, and how much of it was sent.
    request: usize,
    sent: usize,
    due: u64,
    /// The beginning of an answer's head.
    head: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Head,
    /// So many bytes of the body are missing.
    Body(usize),
    /// The answer is there, the end of the connection is not.
    Ending,
    Over,
}

impl Connection {
    pub fn new(stream: TcpStream, expected: usize, close: bool) -> Self {
        Self {
            stream,
            response: Response::new(),
            expected,
            close,
            state: State::Idle,
            request: 0,
            sent: 0,
            due: 0,
            head: Vec::new(),
        }
    }

    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn busy(&self) -> usize {
        usize::from(!matches!(self.state, State::Idle | State::Over))
    }

    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub fn begin(&mut self, request: usize, due: u64, requests: &Requests) -> Result<(), Wrong> {
        self.state = State::Head;
        (self.request, self.sent, self.due) = (request, 0, due);
        self.send(requests)
    }

    pub fn go_on(&mut self, requests: &Requests, scratch: &mut [u8], done: &mut Vec<u64>) -> Result<(), Wrong> {
        self.send(requests)?;
        loop {
            match self.stream.read(scratch) {
                Ok(0) if self.state == State::Ending => {
                    self.state = State::Over;
                    done.push(self.due);
                    return Ok(());
                }
                Ok(0) => return Err("the connection ended".to_owned()),
                Ok(n) => {
                    self.take(&scratch[..n])?;
                    if self.state == State::Idle {
                        done.push(self.due);
                    }
                    // Less than there was room for is all there was, but for an end.
                    if n < scratch.len() && !self.close {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
    }

    fn send(&mut self, requests: &Requests) -> Result<(), Wrong> {
        if self.busy() == 0 {
            return Ok(());
        }
        let (head, body) = (&requests.heads[self.request], &requests.body);
        while self.sent < head.len() + body.len() {
            let rest = [
                IoSlice::new(head.get(self.sent..).unwrap_or_default()),
                IoSlice::new(body.get(self.sent.saturating_sub(head.len())..).unwrap_or_default()),
            ];
            match self.stream.write_vectored(&rest) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("writing: {error}")),
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        let left = match self.state {
            State::Head if self.head.is_empty() => {
                let Some(length) = self.read_head(bytes)? else {
                    self.head.extend_from_slice(bytes);
                    return Ok(());
                };
                self.expected.checked_sub(bytes.len() - length)
            }
            State::Head => {
                let mut all = std::mem::take(&mut self.head);
                all.extend_from_slice(bytes);
                return self.take(&all);
            }
            State::Body(left) => left.checked_sub(bytes.len()),
            State::Idle | State::Ending | State::Over => None,
        };
        self.state = match left {
            None => return Err("bytes that nobody asked for".to_owned()),
            Some(0) if self.close => State::Ending,
            Some(0) => State::Idle,
            Some(left) => State::Body(left),
        };
        Ok(())
    }

    /// Length of the head, when it is complete and right.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Wrong> {
        let parsed = self.response.parse(bytes, &Limits::default(), Method::Get);
        let Some(length) = parsed.map_err(|error| format!("an answer that is none: {error}"))? else {
            return Ok(None);
        };
        let (status, framing) = (self.response.status(), self.response.framing());
        if status != 200 || framing != Framing::Length(self.expected as u64) {
            return Err(format!(
                "status {status} with a body of {framing:?}, not 200 with {}",
                self.expected
            ));
        }
        Ok(Some(length))
    }
}
