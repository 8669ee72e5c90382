//! A second reading of messages, in the plainest way: by lines, from whole bytes, without an index, a table or a parser.
//!
//! It is lenient where the crate under test is strict, and is asked only about messages that the crate has accepted.

use lbpool_http1::{Framing, Method};

/// A head as its lines say.
pub(crate) struct Head<'a> {
    pub(crate) first: &'a [u8],
    pub(crate) fields: Vec<(&'a [u8], &'a [u8])>,
    /// Bytes of the head, an empty line before it included.
    pub(crate) len: usize,
}

// === impl Head ===

impl<'a> Head<'a> {
    /// Reads a head that ends in an empty line; `None` where there is none, or a line is no field.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        let text = bytes.get(skipped..)?;
        let end = find(text, b"\r\n\r\n")?;
        let mut lines = lines(&text[..end]);
        let first = lines.next()?;
        let fields = lines.map(field).collect::<Option<_>>()?;
        Some(Self {
            first,
            fields,
            len: skipped + end + 4,
        })
    }

    /// The values of all fields of that name.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
    }

    /// The comma-separated tokens of all fields of that name.
    pub(crate) fn tokens(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.values(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    }

    /// Where the body of a request ends, by what RFC 9112 section 6.3 leaves to nobody's choice; `None` where it leaves
    /// something.
    pub(crate) fn framing_of_request(&self) -> Option<Framing> {
        self.framing(Framing::None)
            .filter(|framing| *framing != Framing::Chunked || self.first.ends_with(b" HTTP/1.1"))
    }

    /// The same of an answer to a request with the method `to`.
    pub(crate) fn framing_of_response(&self, status: u16, to: Method) -> Option<Framing> {
        let framing = self.framing(Framing::Close)?;
        if framing == Framing::Chunked && !self.first.starts_with(b"HTTP/1.1 ") {
            return None;
        }
        let bodiless = to == Method::Head || status < 200 || status == 204 || status == 304;
        Some(if bodiless { Framing::None } else { framing })
    }

    /// What the fields say, or `unsaid`.
    fn framing(&self, unsaid: Framing) -> Option<Framing> {
        let lengths: Vec<_> = self.values("content-length").collect();
        let codings: Vec<_> = self.values("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Some(unsaid),
            ([length], []) if length.len() < 20 && length.iter().all(u8::is_ascii_digit) => {
                let number: u64 = std::str::from_utf8(length).ok()?.parse().ok()?;
                (number >> 63 == 0).then_some(Framing::Length(number))
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Some(Framing::Chunked),
            _ => None,
        }
    }
}

/// The data of a chunked body, and how many bytes the whole of it takes; `None` where it has no end.
pub(crate) fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let text = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(text.split(';').next()?, 16).ok()?;
        at += line + 2;
        if size == 0 {
            break;
        }
        data.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size;
        bytes[at..].starts_with(b"\r\n").then_some(())?;
        at += 2;
    }
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        at += line + 2;
        if line == 0 {
            return Some((data, at));
        }
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find(text, b"\r\n");
        rest = end.map(|end| &text[end + 2..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let white = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let start = value.iter().position(|byte| !white(byte)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !white(byte))
        .map_or(start, |last| last + 1);
    Some((&line[..colon], &value[start..end]))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
