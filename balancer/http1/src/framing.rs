//! Where a body ends, or why the message is refused (RFC 9112, section 6.3).

use crate::{
    Error,
    head::{Method, Version},
};

/// How a receiver knows where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks up to an empty one, then trailers.
    Chunked,
    /// All bytes until the connection ends: responses only.
    Close,
}

/// What the fields of a head say about the body's end, collected field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths {
    length: Option<u64>,
    chunked: bool,
}

// === impl Lengths ===

impl Lengths {
    /// Takes the value of a Content-Length field.
    ///
    /// Equal repetitions are refused too: RFC 9112 allows it, and no sender at work needs them.
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.length.is_some() || value.contains(&b',') {
            return Err(Error::LengthTwice);
        }
        self.length = Some(decimal(value).ok_or(Error::Length)?);
        Ok(())
    }

    /// Takes the value of a Transfer-Encoding field.
    pub(crate) fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.chunked {
            return Err(Error::Encoding);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(refused_encoding(value));
        }
        self.chunked = true;
        Ok(())
    }

    fn check(self, version: Version) -> Result<(), Error> {
        if self.chunked && self.length.is_some() {
            return Err(Error::BothLengths);
        }
        if self.chunked && version == Version::Http10 {
            return Err(Error::Encoding);
        }
        Ok(())
    }

    /// The framing of a request with these fields.
    pub(crate) fn of_request(self, version: Version) -> Result<Framing, Error> {
        self.check(version)?;
        Ok(match self {
            Self { chunked: true, .. } => Framing::Chunked,
            Self {
                length: Some(length), ..
            } => Framing::Length(length),
            Self { length: None, .. } => Framing::None,
        })
    }

    /// The framing of a response with these fields.
    pub(crate) fn of_response(self, version: Version, status: u16, to: Method) -> Result<Framing, Error> {
        self.check(version)?;
        Ok(match self {
            _ if to == Method::Head || matches!(status, 100..=199 | 204 | 304) => Framing::None,
            Self { chunked: true, .. } => Framing::Chunked,
            Self {
                length: Some(length), ..
            } => Framing::Length(length),
            Self { length: None, .. } => Framing::Close,
        })
    }
}

/// RFC 9112 answers codings before a final chunked with 501, and a message that does not end in chunked with 400.
fn refused_encoding(value: &[u8]) -> Error {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = value.split(|byte| *byte == b',');
    let ends_in_chunked = codings.next_back().is_some_and(is_chunked);
    if ends_in_chunked && !codings.any(is_chunked) {
        Error::EncodingUnknown
    } else {
        Error::Encoding
    }
}

/// Digits only: `u64::from_str` would take a plus sign. At most 19 of them and less than 2^63, so that nothing overflows
/// here or in a member, whether it counts with a sign or not.
pub(crate) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let length = value.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    });
    length.filter(|length| i64::try_from(*length).is_ok())
}
