//! Frames by hand: what a codec would not send.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::PATIENCE;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub id: u32,
    pub payload: Vec<u8>,
}

/// What a client is told about what it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// GOAWAY with this code, then the end.
    Connection(u32),
    /// `RST_STREAM` with this code.
    Stream(u32),
    /// An answer.
    Answer,
    /// Nothing: the connection goes on.
    Nothing,
    /// The end, without a word.
    End,
}

pub fn frame(kind: u8, flags: u8, id: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of fields: literals that enter no table (RFC 7541, section 6.2.2), each length below 127.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|n| *n < 127).unwrap());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// The fields of a plain request, and more.
pub fn fields<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "test"),
    ];
    fields.extend(more);
    fields
}

/// A request that is all of its stream.
pub fn get(id: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, id, &block(&fields(&[])))
}

/// The head of a request with a body.
pub fn post(id: u32, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = fields(more);
    fields[0].1 = "POST";
    frame(HEADERS, END_HEADERS, id, &block(&fields))
}

/// A connection on which the preface was sent and nothing else.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// With preface and SETTINGS exchanged.
    pub async fn greeted(address: SocketAddr) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(PREFACE).await;
        raw.send(&frame(SETTINGS, 0, 0, &[])).await;
        let first = raw.next().await.expect("SETTINGS");
        assert_eq!((first.kind, first.flags, first.id), (SETTINGS, 0, 0));
        raw.send(&frame(SETTINGS, ACK, 0, &[])).await;
        while raw.next().await.expect("an ACK")
            != (Frame {
                kind: SETTINGS,
                flags: ACK,
                id: 0,
                payload: vec![],
            })
        {}
        raw
    }

    /// Whoever has ended the connection takes no more: that is seen when it is read.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .is_ok_and(|sent| sent.is_ok())
    }

    /// The next frame; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
            if matches!(read.await.expect("a frame in time"), Ok(0) | Err(_)) {
                return None;
            }
        }
    }

    /// The next frame that is there already.
    pub async fn ready(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.take() {
                return Some(frame);
            }
            tokio::task::yield_now().await;
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(n) if n > 0 => {}
                _ => return None,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let length = self.buffer.get(..3)?;
        let length = 9 + u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        if self.buffer.len() < length {
            return None;
        }
        let bytes: Vec<u8> = self.buffer.drain(..length).collect();
        Some(Frame {
            kind: bytes[3],
            flags: bytes[4],
            id: u32::from_be_bytes(bytes[5..9].try_into().unwrap()),
            payload: bytes[9..].to_vec(),
        })
    }

    /// What follows from what was sent, up to the answer to a PING behind it.
    pub async fn told(&mut self) -> Told {
        self.send(&frame(PING, 0, 0, b"are you?")).await;
        let (mut told, mut heard) = (Told::Nothing, false);
        loop {
            if heard && (told != Told::Nothing || (self.buffer.is_empty() && self.quiet().await)) {
                return told;
            }
            let Some(frame) = self.next().await else {
                return Told::End;
            };
            match frame.kind {
                GOAWAY => return Told::Connection(code(&frame.payload[4..])),
                RST_STREAM => told = Told::Stream(code(&frame.payload)),
                HEADERS => told = Told::Answer,
                PING if frame.flags == ACK && frame.payload == b"are you?" => heard = true,
                _ => {}
            }
        }
    }

    /// Whether nothing comes for a moment.
    async fn quiet(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        match timeout(crate::peers::MOMENT, read).await {
            Ok(Ok(n)) => n == 0,
            Ok(Err(_)) | Err(_) => true,
        }
    }
}

pub fn code(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}
