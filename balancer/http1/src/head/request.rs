//! The head of a request.

use std::{
    ops::{Deref, Range},
    str,
};

use crate::{
    Error, Framing,
    framing::{Lengths, decimal},
    head::{
        Limits, Method, Version,
        fields::{Field, Fields, Kind, explain, is_token, offset, room, short, tokens},
        scan::{Extent, Scan},
        target::{Target, is_host},
    },
    upgrade,
};

/// So many balancers of this kind in front of each other are one that leads to itself.
const CIRCLE: usize = 10;

/// The head of a request: what it says about the exchange, and where its parts lie in the bytes it was read from.
///
/// It borrows nothing and may be reused for the next request of a connection.
#[derive(Clone, Debug, Default)]
pub struct Request {
    scan: Scan,
    pub(crate) fields: Fields,
    start: u16,
    method_end: u16,
    target_start: u16,
    target_end: u16,
    target: Target,
    len: usize,
    method: Method,
    version: Version,
    framing: Option<Framing>,
    expects_continue: bool,
    upgrades: bool,
}

/// A request's head with the bytes it was read from.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub(crate) request: &'a Request,
    pub(crate) bytes: &'a [u8],
}

// === impl Request ===

impl Request {
    /// An index that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a head from the beginning of `bytes` and tells its length, or `None` when more bytes are needed.
    ///
    /// Call it again with the same bytes and those that came after them; what was seen is not looked at again. After
    /// an answer or an error the next call begins a new head.
    ///
    /// # Errors
    /// The head is malformed, ambiguous, over a limit or not supported: answer with [`Error::status`] and close.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
        match self.scan.advance(bytes, limits) {
            Ok(None) => Ok(None),
            Ok(Some(extent)) => {
                self.scan = Scan::default();
                self.read(bytes, extent, limits).map(Some)
            }
            Err(error) => {
                self.scan = Scan::default();
                // That of the request before is not the method of this one.
                self.method = Method::default();
                Err(error)
            }
        }
    }

    /// Gives back the room that a head of many fields took.
    pub fn trim(&mut self) {
        self.fields.trim();
    }

    /// Forgets a head that was read in part.
    pub fn clear(&mut self) {
        self.scan = Scan::default();
    }

    fn read(&mut self, bytes: &[u8], Extent { first, end }: Extent, limits: &Limits) -> Result<usize, Error> {
        self.method = Method::default();
        let mut room = room();
        let mut parsed = httparse::Request::new(&mut []);
        let head = &bytes[first..end];
        match parsed.parse_with_uninit_headers(head, &mut room[..limits.most_headers()]) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            // The end was found by a scan of our own: where the two differ, so may whoever reads the head behind us.
            Ok(_) => return Err(Error::LineEnd),
            Err(error) => return Err(explain_request(error, head)),
        }
        let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(Error::StartLine);
        };
        self.start = short(first);
        self.method_end = offset(bytes, method.as_bytes()).saturating_add(short(method.len()));
        self.target_start = offset(bytes, target.as_bytes());
        self.target_end = self.target_start.saturating_add(short(target.len()));
        self.method = Method::of(method.as_bytes());
        self.version = if version == 0 { Version::Http10 } else { Version::Http11 };
        self.len = end;
        if method == "CONNECT" {
            return Err(Error::Connect);
        }
        if target.len() > limits.target {
            return Err(Error::TargetTooLong);
        }
        self.target = Target::of(target.as_bytes(), self.method)?;
        self.fields.set(bytes, parsed.headers, end - 2)?;
        self.read_fields(bytes)?;
        Ok(end)
    }

    fn read_fields(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut lengths = Lengths::default();
        let mut hosts = 0;
        let mut offers = false;
        let mut passed = 0;
        // RFC 9110, sections 7.8 and 10.1.1: an HTTP/1.0 request can ask neither for an upgrade nor for 100.
        let http11 = self.version == Version::Http11;
        self.expects_continue = false;
        for field in self.fields.iter() {
            let value = field.value(bytes);
            match field.kind {
                Kind::ContentLength => lengths.content_length(value)?,
                Kind::TransferEncoding => lengths.transfer_encoding(value)?,
                Kind::Host if !is_host(value) => return Err(Error::Host),
                Kind::Host => hosts += 1,
                Kind::Expect if http11 => self.expects_continue |= expects_continue(value)?,
                Kind::Via => passed += tokens(value).filter(|hop| hop.ends_with(b" lbpool")).count(),
                Kind::MaxForwards if self.ends_here(value) => return Err(Error::MaxForwards),
                Kind::Upgrade => offers |= upgrade::has_offer(value),
                _ => {}
            }
        }
        match (hosts, self.version) {
            (2.., _) => return Err(Error::HostTwice),
            (0, Version::Http11) => return Err(Error::HostMissing),
            _ => {}
        }
        if passed >= CIRCLE {
            return Err(Error::Loop);
        }
        self.upgrades = offers && http11 && self.fields.connection.upgrade;
        self.framing = Some(lengths.of_request(self.version)?);
        Ok(())
    }

    /// Whether a Max-Forwards of this value asks us to answer: RFC 9110, section 7.6.2, gives it a meaning for two methods.
    fn ends_here(&self, value: &[u8]) -> bool {
        matches!(self.method, Method::Options | Method::Trace) && decimal(value) == Some(0)
    }

    /// The head with the bytes it was read from: the very bytes given to the `parse` that answered its length.
    #[must_use]
    pub const fn head<'a>(&'a self, bytes: &'a [u8]) -> RequestHead<'a> {
        RequestHead { request: self, bytes }
    }

    /// Length of the head in bytes: the body begins there.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a head that was read is never empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The version the client speaks.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Where the body ends.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::None)
    }

    /// Whether the client takes another request on this connection, as far as it is concerned.
    #[must_use]
    pub const fn keep_alive(&self) -> bool {
        self.fields.connection.persists(self.version)
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    #[must_use]
    pub const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether the client asks to switch to a protocol that a member gets to see: one that is not HTTP's own.
    #[must_use]
    pub const fn is_upgrade(&self) -> bool {
        self.upgrades
    }
}

// === impl RequestHead ===

impl<'a> RequestHead<'a> {
    fn text(self, start: u16, end: u16) -> &'a str {
        // Target and method are ASCII, or `parse` had refused them.
        str::from_utf8(self.bytes.get(start.into()..end.into()).unwrap_or_default()).unwrap_or_default()
    }

    /// The method as it was sent, for those that [`Method`] does not know.
    #[must_use]
    pub fn method_name(self) -> &'a str {
        self.text(self.request.start, self.request.method_end)
    }

    /// The target as it was sent.
    #[must_use]
    pub fn target(self) -> &'a str {
        self.text(self.request.target_start, self.request.target_end)
    }

    /// The path, without the query; `*` for `OPTIONS *`.
    #[must_use]
    pub fn path(self) -> &'a str {
        let Target {
            path,
            path_end,
            authority,
        } = self.request.target;
        match (path == path_end, authority, self.request.method) {
            (true, Some(_), Method::Options) if usize::from(path) == self.target().len() => "*",
            (true, ..) => "/",
            _ => self.target().get(path.into()..path_end.into()).unwrap_or_default(),
        }
    }

    /// What follows the first question mark.
    #[must_use]
    pub fn query(self) -> Option<&'a str> {
        self.target().get(usize::from(self.request.target.path_end) + 1..)
    }

    /// Host and port that the request is for: those of an absolute target, else the Host header's; empty when neither
    /// is there.
    #[must_use]
    pub fn authority(self) -> &'a str {
        let Target { path, authority, .. } = self.request.target;
        match authority {
            Some(start) => self.target().get(start.into()..path.into()).unwrap_or_default(),
            None => self
                .fields_of(Kind::Host)
                .next()
                .map_or("", |value| str::from_utf8(value).unwrap_or_default()),
        }
    }

    /// Whether the target is absolute: Host is then taken from it, whatever the header says.
    #[must_use]
    pub const fn is_absolute(self) -> bool {
        self.request.target.authority.is_some()
    }

    /// The scheme of an absolute target, in lower case.
    #[must_use]
    pub fn scheme(self) -> Option<&'static str> {
        // Its authority begins behind `http://` or `https://`.
        self.request.target.authority.map(|start| {
            if usize::from(start) == "http://".len() {
                "http"
            } else {
                "https"
            }
        })
    }

    /// The values of all fields of that name, in order, without white space around them.
    pub fn header(self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a, '_> {
        header(&self.request.fields, self.bytes, name)
    }

    /// The value of the first cookie of that name.
    #[must_use]
    pub fn cookie(self, name: &str) -> Option<&'a [u8]> {
        self.fields_of(Kind::Cookie)
            .flat_map(|value| value.split(|byte| *byte == b';'))
            .find_map(|pair| {
                let pair = pair.trim_ascii();
                let equals = memchr::memchr(b'=', pair)?;
                (&pair[..equals] == name.as_bytes()).then(|| &pair[equals + 1..])
            })
    }

    /// Where in the head's bytes the request id is that the client gave, when it is of use to a person: 1 to 128 visible ASCII
    /// characters.
    #[must_use]
    pub fn request_id_at(self) -> Option<Range<usize>> {
        let field = self.id_field()?;
        let value = field.value(self.bytes);
        let usable = value.len() <= 128 && value.iter().all(u8::is_ascii_graphic);
        usable.then(|| field.at())
    }

    /// The request id that the client gave, whatever it is like: it stays what it is on its way to a member.
    pub(crate) fn given_id(self) -> Option<&'a [u8]> {
        self.id_field().map(|field| field.value(self.bytes))
    }

    fn id_field(self) -> Option<Field> {
        let ids = self.request.fields.iter().filter(|field| field.kind == Kind::RequestId);
        ids.copied().find(|field| !field.at().is_empty())
    }

    /// Whether the client gave a request id, be it of use to a person or not.
    #[must_use]
    pub fn has_request_id(self) -> bool {
        self.given_id().is_some()
    }

    /// Whether the client, and whoever is in front of it, takes trailers: `TE: trailers`, and a Connection field that names TE.
    /// Without that one somebody may have passed TE on unread (RFC 9110, section 10.1.4), and drop trailers.
    #[must_use]
    pub fn takes_trailers(self) -> bool {
        self.request.version == Version::Http11
            && self.request.fields.is_nominated(self.bytes, b"te")
            && self.header_has("te", "trailers")
    }

    /// Whether a field's comma-separated list holds this token.
    #[must_use]
    pub fn header_has(self, name: &str, token: &str) -> bool {
        self.header(name)
            .flat_map(tokens)
            .any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
    }

    pub(crate) fn fields_of(self, kind: Kind) -> impl Iterator<Item = &'a [u8]> {
        self.request
            .fields
            .iter()
            .filter(move |field| field.kind == kind)
            .map(move |field| field.value(self.bytes))
    }
}

impl Deref for RequestHead<'_> {
    type Target = Request;

    fn deref(&self) -> &Request {
        self.request
    }
}

/// Whether the client waits for 100. An empty value expects nothing.
fn expects_continue(value: &[u8]) -> Result<bool, Error> {
    let mut expects = false;
    for expectation in tokens(value).filter(|expectation| !expectation.is_empty()) {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(Error::Expectation);
        }
        expects = true;
    }
    Ok(expects)
}

/// The values of the fields of that name.
pub(super) fn header<'a, 'n>(
    fields: &'a Fields,
    bytes: &'a [u8],
    name: &'n str,
) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
    fields
        .iter()
        .filter(move |field| field.name(bytes).eq_ignore_ascii_case(name.as_bytes()))
        .map(move |field| field.value(bytes))
}

/// httparse does not tell a malformed method from a malformed target, nor an odd version from another protocol.
fn explain_request(error: httparse::Error, head: &[u8]) -> Error {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match error {
        httparse::Error::Token if !words.next().is_some_and(|method| method.iter().copied().all(is_token)) => {
            Error::Method
        }
        httparse::Error::Token => Error::Target,
        httparse::Error::Version => match words.nth(2) {
            Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] | b"HTTP/2" | b"HTTP/3") => {
                Error::Version
            }
            _ => Error::StartLine,
        },
        other => explain(other),
    }
}
