//! A lenient reading of recorded bytes: good enough for what proxies write, and for telling where they wrote something odd.

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunked,
    Close,
}

/// A message as it stands in recorded bytes.
#[derive(Debug)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: Vec<u8>,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) framing: Framing,
    /// The data, without chunks.
    pub(crate) body: Vec<u8>,
    /// Whether its end is there. Never for [`Framing::Close`].
    pub(crate) complete: bool,
}

// === impl Message ===

impl Message {
    /// A request at the beginning of `bytes`, and how many of them it takes; `None` while its head has no end.
    pub(crate) fn request(bytes: &[u8]) -> Option<(Self, usize)> {
        Self::read(bytes, |message| match message.lengths() {
            Framing::Close => Framing::None,
            framing => framing,
        })
    }

    /// The same of an answer; `head_only` where it answers HEAD.
    pub(crate) fn answer(bytes: &[u8], head_only: bool) -> Option<(Self, usize)> {
        if !bytes.starts_with(b"HTTP/") {
            return None;
        }
        Self::read(bytes, |message| match message.status() {
            b"204" | b"304" | [b'1', ..] => Framing::None,
            _ if head_only => Framing::None,
            _ => message.lengths(),
        })
    }

    fn read(bytes: &[u8], framing: impl Fn(&Self) -> Framing) -> Option<(Self, usize)> {
        let end = find(bytes, b"\r\n\r\n")?;
        let mut lines = split(&bytes[..end]);
        let start = lines.next()?.to_vec();
        let fields = lines.map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii().to_vec();
            (String::from_utf8_lossy(name).to_ascii_lowercase(), value)
        });
        let mut message = Self {
            start,
            fields: fields.collect(),
            framing: Framing::None,
            body: Vec::new(),
            complete: true,
        };
        message.framing = framing(&message);
        let rest = &bytes[end + 4..];
        let (body, taken, complete) = match message.framing {
            Framing::None => (Vec::new(), 0, true),
            Framing::Close => (rest.to_vec(), rest.len(), false),
            Framing::Length(length) => {
                let taken = length.min(rest.len());
                (rest[..taken].to_vec(), taken, taken == length)
            }
            Framing::Chunked => chunked(rest),
        };
        message.body = body;
        message.complete = complete;
        Some((message, end + 4 + taken))
    }

    /// The second word of the first line.
    pub(crate) fn status(&self) -> &[u8] {
        self.start.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }

    /// The first value of that name, which is given in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_slice())
    }

    fn lengths(&self) -> Framing {
        if self.field("transfer-encoding").is_some() {
            return Framing::Chunked;
        }
        let length = self
            .field("content-length")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        length.map_or(Framing::Close, Framing::Length)
    }
}

/// The data of a chunked body, the bytes that it takes, and whether it has ended.
fn chunked(bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let (mut data, mut at) = (Vec::new(), 0);
    while let Some(line) = find(&bytes[at..], b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            break;
        };
        at += line + 2;
        if size == 0 {
            // Trailers, up to an empty line.
            while let Some(line) = find(&bytes[at..], b"\r\n") {
                at += line + 2;
                if line == 0 {
                    return (data, at, true);
                }
            }
            break;
        }
        let there = size.min(bytes.len() - at);
        data.extend_from_slice(&bytes[at..at + there]);
        at = (at + there + 2).min(bytes.len());
    }
    (data, bytes.len(), false)
}

fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = find(text, b"\r\n");
        rest = end.map(|end| &text[end + 2..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
