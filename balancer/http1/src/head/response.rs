//! The head of a response.

use std::ops::Deref;

use crate::{
    Error, Framing,
    framing::Lengths,
    head::{
        Limits, Method, Version,
        fields::{Fields, Kind, explain, room},
        request::header,
        scan::{Extent, Scan},
    },
};

/// The head of a response: what it says about the exchange, and where its parts lie in the bytes it was read from.
///
/// It borrows nothing and may be reused for the next response of a connection.
#[derive(Clone, Debug, Default)]
pub struct Response {
    scan: Scan,
    pub(crate) fields: Fields,
    len: usize,
    status: u16,
    version: Version,
    framing: Option<Framing>,
    may_switch: bool,
}

/// A response's head with the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub(crate) response: &'a Response,
    pub(crate) bytes: &'a [u8],
}

// === impl Response ===

impl Response {
    /// An index that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a head from the beginning of `bytes` and tells its length, or `None` when more bytes are needed.
    ///
    /// `to` is the method of the request that it answers: the answer to HEAD has no body. An informational response
    /// (100 to 199) is one of several: call again with the bytes behind it.
    ///
    /// # Errors
    /// The head is malformed, ambiguous, over a limit or not supported: answer with 502 and close the connection.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits, to: Method) -> Result<Option<usize>, Error> {
        match self.scan.advance(bytes, limits) {
            Ok(None) => Ok(None),
            Ok(Some(extent)) => {
                self.scan = Scan::default();
                self.read(bytes, extent, limits, to).map(Some)
            }
            Err(error) => {
                self.scan = Scan::default();
                Err(if error == Error::TargetTooLong {
                    Error::HeadTooLarge
                } else {
                    error
                })
            }
        }
    }

    /// Gives back the room that a head of many fields took.
    pub fn trim(&mut self) {
        self.fields.trim();
    }

    /// Forgets a head that was read in part, and that it may switch.
    pub fn clear(&mut self) {
        self.scan = Scan::default();
        self.may_switch = false;
    }

    /// Whether 101 is an answer: the request that goes with it was passed on as an upgrade. Until [`clear`](Self::clear).
    pub const fn allow_switch(&mut self, may: bool) {
        self.may_switch = may;
    }

    fn read(&mut self, bytes: &[u8], extent: Extent, limits: &Limits, to: Method) -> Result<usize, Error> {
        // The empty line that a client may send before a request has no counterpart here.
        if extent.first != 0 {
            return Err(Error::StartLine);
        }
        let mut room = room();
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(
            &mut parsed,
            &bytes[..extent.end],
            &mut room[..limits.most_headers()],
        ) {
            Ok(httparse::Status::Complete(length)) if length == extent.end => {}
            // The end was found by a scan of our own: where the two differ, so may whoever reads the head behind us.
            Ok(_) => return Err(Error::LineEnd),
            Err(error) => return Err(explain(error)),
        }
        let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
            return Err(Error::StartLine);
        };
        self.status = status;
        self.version = if version == 0 { Version::Http10 } else { Version::Http11 };
        self.len = extent.end;
        self.fields.set(bytes, parsed.headers, extent.end - 2)?;
        match status {
            101 if !self.may_switch => return Err(Error::Switched),
            ..=99 | 1000.. => return Err(Error::Status),
            _ => {}
        }
        let mut lengths = Lengths::default();
        for field in self.fields.iter() {
            match field.kind {
                Kind::ContentLength => lengths.content_length(field.value(bytes))?,
                Kind::TransferEncoding => lengths.transfer_encoding(field.value(bytes))?,
                _ => {}
            }
        }
        self.framing = Some(lengths.of_response(self.version, status, to)?);
        Ok(extent.end)
    }

    /// The head with the bytes it was read from: the very bytes given to the `parse` that answered its length.
    #[must_use]
    pub const fn head<'a>(&'a self, bytes: &'a [u8]) -> ResponseHead<'a> {
        ResponseHead { response: self, bytes }
    }

    /// Length of the head in bytes: the body begins there.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a head that was read is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether it only informs (100 to 199, without 101) and the answer proper is still to come.
    #[must_use]
    pub const fn is_informational(&self) -> bool {
        self.status < 200 && !self.is_switch()
    }

    /// Whether the member speaks another protocol behind this head, where [`is_agreed`](crate::upgrade::is_agreed).
    #[must_use]
    pub const fn is_switch(&self) -> bool {
        self.status == 101
    }

    /// The version the member speaks.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Where the body ends.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::None)
    }

    /// Whether the member takes another request on this connection once the body is read.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.fields.connection.persists(self.version) && self.framing() != Framing::Close
    }
}

// === impl ResponseHead ===

impl<'a> ResponseHead<'a> {
    /// The values of all fields of that name, in order, without white space around them.
    pub fn header(self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        header(&self.response.fields, self.bytes, name)
    }

    /// The first line from the space before the status on, with its line end.
    pub(crate) fn status_line(self) -> &'a [u8] {
        self.bytes
            .get("HTTP/1.1".len()..self.response.fields.start)
            .unwrap_or_default()
    }
}

impl Deref for ResponseHead<'_> {
    type Target = Response;

    fn deref(&self) -> &Response {
        self.response
    }
}
