//! Feeds a row in any pieces, as a proxy reads a connection.

use lbpool_http1::{Body, Error, Framing, Limits, Method, Request, Response};

/// Small, so that rows can exceed them.
pub const SMALL: Limits = Limits {
    head: 256,
    target: 32,
    headers: 5,
};

/// A row about what a client sends: name, section, bytes, outcome.
pub type Case = (&'static str, &'static str, &'static [u8], Want);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Its head is refused: with this status, for this reason. Nothing of it reaches the other side.
    Refused(u16, Error),
    /// Its body is refused: its receiver sees no end of it.
    BodyRefused(Error),
    /// It is read to its end.
    Whole(Framing),
    /// It has no end yet: more bytes must come, or the connection's end cuts it off.
    Open,
}

pub use Want::{BodyRefused, Open, Refused, Whole};

/// Behind each message: whoever reads past the end of it, or goes on after a refusal, sees it.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Reads one message: outcome, and how many bytes belong to it.
pub struct Reader {
    seen: Vec<u8>,
    limits: Limits,
    head: Head,
    body: Option<(Framing, Body)>,
    taken: usize,
    want: Option<Want>,
}

enum Head {
    Request(Request),
    Response(Response, Method),
}

impl Reader {
    pub fn request(limits: Limits) -> Self {
        Self::new(limits, Head::Request(Request::new()))
    }

    pub fn response(limits: Limits, to: Method) -> Self {
        Self::new(limits, Head::Response(Response::new(), to))
    }

    fn new(limits: Limits, head: Head) -> Self {
        Self {
            seen: Vec::new(),
            limits,
            head,
            body: None,
            taken: 0,
            want: None,
        }
    }

    fn feed(&mut self, piece: &[u8]) {
        self.seen.extend_from_slice(piece);
        if self.want.is_some() {
            return;
        }
        if self.body.is_none() {
            let parsed = match &mut self.head {
                Head::Request(request) => request
                    .parse(&self.seen, &self.limits)
                    .map(|length| length.map(|length| (length, request.framing()))),
                Head::Response(response, to) => response
                    .parse(&self.seen, &self.limits, *to)
                    .map(|length| length.map(|length| (length, response.framing()))),
            };
            match parsed {
                Ok(None) => return,
                Ok(Some((length, framing))) => {
                    self.body = Some((framing, Body::new(framing)));
                    self.taken = length;
                }
                Err(error) => {
                    self.want = Some(Refused(error.status(), error));
                    return;
                }
            }
        }
        if let Some((framing, body)) = &mut self.body {
            match body.feed(&self.seen[self.taken..]) {
                Ok(taken) => self.taken += taken,
                Err(error) => self.want = Some(BodyRefused(error)),
            }
            if body.is_done() {
                self.want = Some(Whole(*framing));
            }
        }
    }

    fn outcome(self) -> (Want, usize) {
        let taken = if matches!(self.want, Some(Whole(_))) {
            self.taken
        } else {
            0
        };
        (self.want.unwrap_or(Open), taken)
    }
}

/// The outcome of these bytes: the same whole, cut at every byte, and byte by byte.
pub fn outcome(name: &str, bytes: &[u8], reader: impl Fn() -> Reader) -> (Want, usize) {
    let feed = |pieces: &[&[u8]]| {
        let mut reader = reader();
        for piece in pieces {
            reader.feed(piece);
        }
        reader.outcome()
    };
    let whole = feed(&[bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(feed(&[&bytes[..cut], &bytes[cut..]]), whole, "{name}, cut at {cut}");
    }
    assert_eq!(
        feed(&bytes.chunks(1).collect::<Vec<_>>()),
        whole,
        "{name}, byte by byte"
    );
    whole
}

/// Checks rows about requests, alone and with another request behind each.
pub fn check(rows: &[Case], limits: Limits) {
    for (name, section, bytes, want) in rows {
        let name = format!("{name} ({section})");
        let reader = || Reader::request(limits);
        let (seen, taken) = outcome(&name, bytes, reader);
        assert_eq!(seen, *want, "{name}");
        if matches!(want, Whole(_)) {
            assert_eq!(taken, bytes.len(), "{name}");
        }
        if *want != Open {
            let followed = [bytes, SMUGGLED].concat();
            assert_eq!(
                outcome(&name, &followed, reader),
                (seen, taken),
                "{name}, with another behind it"
            );
        }
    }
}

/// The head of a request, read.
pub fn read(head: &str) -> Request {
    let mut request = Request::new();
    let length = request.parse(head.as_bytes(), &Limits::default());
    assert_eq!(length, Ok(Some(head.len())), "{head}");
    request
}
