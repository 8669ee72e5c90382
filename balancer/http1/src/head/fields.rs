//! The fields of a head as offsets, each with what a proxy has to know about its name.

use std::{mem::MaybeUninit, ops::Range};

use crate::{
    Error,
    head::{MAX_HEADERS, Version},
};

/// Room for httparse to work in.
pub(super) type Room<'b> = [MaybeUninit<httparse::Header<'b>>; MAX_HEADERS];

/// As many fields as most heads have: room for them is kept.
const FEW: usize = 32;

/// One field line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Where the line begins, which is where the name begins.
    name: u16,
    name_end: u16,
    value: u16,
    value_end: u16,
    pub(crate) kind: Kind,
}

/// The names that mean something to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    /// `X-Forwarded-For`.
    ForwardedFor,
    /// `X-Forwarded-Host`.
    ForwardedHost,
    /// `X-Forwarded-Proto`.
    ForwardedProto,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// Others that tell about the client: `X-Real-IP`, further `X-Forwarded-*`.
    ForwardedOther,
    /// Keep-Alive, TE and other fields that RFC 9110 section 7.6.1 keeps to one hop.
    Hop,
    Host,
    MaxForwards,
    RequestId,
    TransferEncoding,
    Upgrade,
    Via,
    Other,
}

/// All fields of a head, in order. Reused from message to message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    list: Vec<Field>,
    /// Where the first line of fields begins, and where the empty line after the last one does.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) connection: Connection,
}

/// What the Connection fields say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Connection {
    persist: Persist,
    pub(crate) upgrade: bool,
    /// Names other fields, which then are for this hop only.
    pub(crate) nominates: bool,
    /// Elements of its list.
    count: usize,
}

/// `close` beats `keep-alive`, in whatever order they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Persist {
    #[default]
    Unsaid,
    KeepAlive,
    Close,
}

// === impl Field ===

impl Field {
    pub(crate) fn start(self) -> usize {
        usize::from(self.name)
    }

    pub(crate) fn name(self, bytes: &[u8]) -> &[u8] {
        bytes
            .get(usize::from(self.name)..usize::from(self.name_end))
            .unwrap_or_default()
    }

    pub(crate) fn value(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.at()).unwrap_or_default()
    }

    /// Where its value is.
    pub(crate) fn at(self) -> Range<usize> {
        self.value.into()..self.value_end.into()
    }
}

// === impl Fields ===

impl Fields {
    /// Takes the fields that httparse found in `bytes`; the empty line begins at `end`.
    ///
    /// # Errors
    /// Connection names more than a head has fields: each field is looked for among them.
    pub(super) fn set(&mut self, bytes: &[u8], parsed: &[httparse::Header<'_>], end: usize) -> Result<(), Error> {
        self.list.clear();
        self.connection = Connection::default();
        self.end = end;
        self.start = parsed
            .first()
            .map_or(end, |field| offset(bytes, field.name.as_bytes()).into());
        for field in parsed {
            let name = offset(bytes, field.name.as_bytes());
            let value = if field.value.is_empty() {
                name
            } else {
                offset(bytes, field.value)
            };
            let kind = Kind::of(field.name.as_bytes());
            if kind == Kind::Connection {
                self.connection.read(field.value);
            }
            self.list.push(Field {
                name,
                name_end: name.saturating_add(short(field.name.len())),
                value,
                value_end: value.saturating_add(short(field.value.len())),
                kind,
            });
        }
        if self.connection.count > MAX_HEADERS {
            return Err(Error::TooManyHeaders);
        }
        Ok(())
    }

    /// Keeps room for few fields at most.
    pub(super) fn trim(&mut self) {
        if self.list.capacity() > FEW {
            self.list = Vec::new();
        }
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Field> {
        self.list.iter()
    }

    /// Whether a Connection field names `name`.
    pub(crate) fn is_nominated(&self, bytes: &[u8], name: &[u8]) -> bool {
        self.connection.nominates
            && self
                .iter()
                .filter(|field| field.kind == Kind::Connection)
                .any(|field| tokens(field.value(bytes)).any(|token| token.eq_ignore_ascii_case(name)))
    }
}

// === impl Connection ===

impl Connection {
    fn read(&mut self, value: &[u8]) {
        for token in tokens(value) {
            self.count += 1;
            match token.len() {
                0 => {}
                5 if token.eq_ignore_ascii_case(b"close") => self.persist = Persist::Close,
                10 if token.eq_ignore_ascii_case(b"keep-alive") => {
                    if self.persist == Persist::Unsaid {
                        self.persist = Persist::KeepAlive;
                    }
                }
                7 if token.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                _ => self.nominates = true,
            }
        }
    }

    /// Whether the sender takes another message on this connection.
    pub(super) const fn persists(self, version: Version) -> bool {
        match self.persist {
            Persist::Close => false,
            Persist::KeepAlive => true,
            Persist::Unsaid => matches!(version, Version::Http11),
        }
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            2 if is("te") => Self::Hop,
            3 if is("via") => Self::Via,
            4 if is("host") => Self::Host,
            4 if is("date") => Self::Date,
            6 if is("cookie") => Self::Cookie,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            9 if is("forwarded") => Self::Forwarded,
            9 if is("x-real-ip") => Self::ForwardedOther,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::Hop,
            12 if is("x-request-id") => Self::RequestId,
            12 if is("max-forwards") => Self::MaxForwards,
            14 if is("content-length") => Self::ContentLength,
            14 if is("http2-settings") => Self::Hop,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("x-forwarded-host") => Self::ForwardedHost,
            16 if is("proxy-connection") => Self::Hop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::ForwardedProto,
            18 if is("proxy-authenticate") => Self::Hop,
            19 if is("proxy-authorization") => Self::Hop,
            13.. if name[..12].eq_ignore_ascii_case(b"x-forwarded-") => Self::ForwardedOther,
            _ => Self::Other,
        }
    }
}

/// The members of a comma-separated list.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Whether a name may have this byte (RFC 9110, section 5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Where `part`, a slice of `whole`, begins in it.
pub(super) fn offset(whole: &[u8], part: &[u8]) -> u16 {
    short(part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()))
}

/// Heads end at [`MAX_HEAD`](crate::head::MAX_HEAD), so nothing is ever cut off here.
pub(super) fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// Room for httparse, not initialised: no cost per head.
pub(super) const fn room<'b>() -> Room<'b> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// What httparse's verdict means.
pub(super) const fn explain(error: httparse::Error) -> Error {
    match error {
        httparse::Error::HeaderName => Error::FieldName,
        httparse::Error::HeaderValue => Error::FieldValue,
        httparse::Error::NewLine => Error::LineEnd,
        httparse::Error::TooManyHeaders => Error::TooManyHeaders,
        httparse::Error::Status | httparse::Error::Token => Error::StartLine,
        httparse::Error::Version => Error::Version,
    }
}
