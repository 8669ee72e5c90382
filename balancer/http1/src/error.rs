//! Why a message is refused.

/// Why a message is refused: what is wrong with it, in words for the person who sent it.
///
/// About a client's request, [`Error::status`] is the answer; about a member's response, the answer is 502 whatever the
/// variant. After any of them the connection has no known next message and must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first line is no request line or no status line.
    #[error("the first line is malformed")]
    StartLine,
    /// A method with a byte that no method may have.
    #[error("the method is not a token")]
    Method,
    /// OPTIONS or TRACE with Max-Forwards: 0, which is to be answered here (RFC 9110, section 7.6.2).
    #[error("Max-Forwards is 0, and nothing answers OPTIONS or TRACE here: raise it")]
    MaxForwards,
    /// `Via` names this kind of balancer so often that the request goes round in circles (RFC 9110, section 7.6).
    #[error("the request goes round in circles: a member's address leads back to a balancer in front of it")]
    Loop,
    /// An expectation other than `100-continue` (RFC 9110, section 10.1.1).
    #[error("the expectation is unknown: only `100-continue` is met")]
    Expectation,
    /// An `https` target over a connection without TLS (RFC 9110, section 7.4).
    #[error(
        "an https target does not belong on a connection without TLS: connect with TLS, or ask for http; a proxy in front that ends TLS has to be trusted"
    )]
    Misdirected,
    /// CONNECT asks for a tunnel.
    #[error("CONNECT is not supported: this is no tunnel")]
    Connect,
    /// Neither `/path`, nor `http://host/path`, nor `*` with OPTIONS; or a byte that must be percent-encoded.
    #[error("the request target is malformed: send /path with everything but visible ASCII percent-encoded")]
    Target,
    /// The target is longer than [`Limits::target`](crate::Limits).
    #[error("the request target is too long")]
    TargetTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported: use HTTP/1.1")]
    Version,
    /// A status outside of 100 to 999.
    #[error("the status is no number from 100 to 999")]
    Status,
    /// A line that ends in LF alone, or a CR elsewhere.
    #[error("a line of the head does not end in CR LF")]
    LineEnd,
    /// A field name with a byte that no name may have: a space before the colon, or one that folds a line.
    #[error("a header's name is not a token followed by a colon, or a header goes on in the next line")]
    FieldName,
    /// A field value with NUL or another control character.
    #[error("a header's value has a control character in it")]
    FieldValue,
    /// The head is longer than [`Limits::head`](crate::Limits).
    #[error("the head is too large")]
    HeadTooLarge,
    /// More fields than [`Limits::headers`](crate::Limits).
    #[error("too many headers")]
    TooManyHeaders,
    /// HTTP/1.1 without Host.
    #[error("the Host header is missing")]
    HostMissing,
    /// More than one Host.
    #[error("the Host header appears more than once")]
    HostTwice,
    /// Host is no `name[:port]`.
    #[error("the Host header is no host with an optional port")]
    Host,
    /// Content-Length is no plain number below 2^63.
    #[error("Content-Length is not a number")]
    Length,
    /// More than one Content-Length, or a list in one, be they equal or not.
    #[error("Content-Length appears more than once")]
    LengthTwice,
    /// Content-Length beside Transfer-Encoding.
    #[error("both Content-Length and Transfer-Encoding are given: send one")]
    BothLengths,
    /// Transfer-Encoding in an HTTP/1.0 message, more than once, or not ending in chunked.
    #[error("Transfer-Encoding is not exactly `chunked` in an HTTP/1.1 message")]
    Encoding,
    /// A transfer coding other than chunked.
    #[error("a transfer coding other than `chunked` is not supported")]
    EncodingUnknown,
    /// More interim answers (1xx) before an answer, or longer ones, than the caller passes on.
    #[error("more interim answers (1xx) came before the answer, or longer ones, than are passed on")]
    TooManyInterim,
    /// 101 although no upgrade was passed on, or to another protocol than was offered, or before the request's end.
    #[error("the member switched protocols though nobody asked it to, or to one that was not offered")]
    Switched,
    /// A chunk size that is no hexadecimal number, or not followed by CR LF or an extension.
    #[error("a chunk's size is malformed")]
    ChunkSize,
    /// A chunk size of more than 2^60, or with too many digits.
    #[error("a chunk's size is too large")]
    ChunkTooLarge,
    /// A chunk extension with a control character in it.
    #[error("a chunk's extension is malformed")]
    Extension,
    /// More bytes of extensions than a body may have.
    #[error("the chunks' extensions are too long")]
    ExtensionTooLong,
    /// No CR LF where a chunk's data ends.
    #[error("a chunk's data is not followed by CR LF")]
    ChunkEnd,
    /// A trailer field that is malformed.
    #[error("a trailer is malformed")]
    Trailer,
    /// A trailer field that says something about framing, routing or the hop.
    #[error("a trailer may not carry this header")]
    TrailerForbidden,
    /// Trailers of more bytes than a body may have.
    #[error("the trailers are too large")]
    TrailerTooLarge,
    /// The connection ended inside the message.
    #[error("the connection was closed in the middle of the message")]
    Truncated,
    /// The data is longer than the caller wants to hold.
    #[error("the body is too large")]
    BodyTooLarge,
}

/// A closed set for metric labels and for the `X-Lbpool-Reason` of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Category {
    /// The message is malformed.
    Malformed,
    /// The message's end can be read in two ways.
    Ambiguous,
    /// A limit is exceeded.
    TooLarge,
    /// Well-formed, but a part of HTTP that is not served.
    Unsupported,
    /// Well-formed, and sent to the wrong place: another connection, or one that it has passed already.
    Misdirected,
    /// The message is incomplete.
    Truncated,
}

// === impl Error ===

impl Error {
    /// The status that answers a request with this fault.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyHeaders | Self::TrailerTooLarge => 431,
            Self::BodyTooLarge | Self::ChunkTooLarge | Self::ExtensionTooLong => 413,
            Self::Expectation => 417,
            Self::Misdirected => 421,
            Self::Connect | Self::EncodingUnknown | Self::MaxForwards => 501,
            Self::Version => 505,
            Self::Loop => 508,
            _ => 400,
        }
    }

    /// What kind of fault it is.
    #[must_use]
    pub const fn category(self) -> Category {
        match self {
            Self::HostTwice | Self::Length | Self::LengthTwice | Self::BothLengths | Self::Encoding => {
                Category::Ambiguous
            }
            Self::TargetTooLong
            | Self::HeadTooLarge
            | Self::TooManyHeaders
            | Self::ChunkTooLarge
            | Self::ExtensionTooLong
            | Self::TrailerTooLarge
            | Self::TooManyInterim
            | Self::BodyTooLarge => Category::TooLarge,
            Self::Misdirected | Self::Loop => Category::Misdirected,
            Self::Connect
            | Self::Version
            | Self::EncodingUnknown
            | Self::Switched
            | Self::MaxForwards
            | Self::Expectation => Category::Unsupported,
            Self::Truncated => Category::Truncated,
            _ => Category::Malformed,
        }
    }
}

// === impl Category ===

impl Category {
    /// The category as a short token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::TooLarge => "too-large",
            Self::Unsupported => "unsupported",
            Self::Misdirected => "misdirected",
            Self::Truncated => "truncated",
        }
    }
}
