//! Counted and chunked bodies, followed at any cut.

use crate::{Error, Framing, head::fields::is_token, rewrite::is_forbidden_trailer};

/// Bytes of chunk extensions that one body may carry. Nobody sends them but those who look for parsers that differ.
const EXTENSIONS: u16 = 1024;
/// Bytes of trailers that one body may carry.
const TRAILERS: u16 = 8192;
/// As much of a trailer's name as it takes to tell whether it is forbidden.
const NAME: usize = 32;
/// A chunk of more bytes is a sender that plays with overflows.
const CHUNK: u64 = 1 << 60;

/// Finds the end of one body in bytes that arrive in any pieces.
///
/// The bytes themselves pass through: chunked data keeps its chunks. What it has not checked it does not count, so a
/// caller that forwards exactly what [`feed`](Body::feed) counts never forwards anything malformed.
/// ```
/// # use lbpool_http1::{Body, Framing};
/// let mut body = Body::new(Framing::Chunked);
/// assert_eq!(body.feed(b"5\r\nhel")?, 6);
/// assert_eq!(body.feed(b"lo\r\n0\r\n\r\nGET /next")?, 9);
/// assert!(body.is_done());
/// # Ok::<(), lbpool_http1::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Body {
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Done,
    Counted(u64),
    Close,
    Chunked(Chunked),
}

#[derive(Clone, Debug)]
struct Chunked {
    at: At,
    /// Of the chunk: its size as read so far, then what is left of its data.
    left: u64,
    /// Digits of the size read so far.
    digits: u8,
    extensions: u16,
    trailers: u16,
    name: [u8; NAME],
    name_len: u8,
}

/// What a part of a body is.
enum Piece<'b> {
    Data(&'b [u8]),
    /// One byte of a trailer's line.
    Trailer(u8),
}

/// The byte that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
}

// === impl Body ===

impl Body {
    /// Begins a body that ends as `framing` says.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Counted(length),
            Framing::Close => State::Close,
            Framing::Chunked => State::Chunked(Chunked::NEW),
        };
        Self { state }
    }

    /// Whether its last byte was seen. Never true for [`Framing::Close`]: only the connection's end ends it.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How many bytes are still to come, where that is known.
    #[must_use]
    pub const fn left(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Counted(left) => Some(left),
            State::Close | State::Chunked(_) => None,
        }
    }

    /// How many of these bytes belong to the body, counted from the first; the rest follows the message.
    ///
    /// # Errors
    /// The chunks or trailers are malformed or exceed a limit: forward nothing of these bytes and close both sides, so
    /// that the receiver sees an unfinished message.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        self.walk(bytes, |_| Ok(()))
    }

    /// Like [`feed`](Body::feed), and appends the data without chunks and trailers to `out`, up to `limit` bytes in it.
    ///
    /// # Errors
    /// As [`feed`](Body::feed), and [`Error::BodyTooLarge`] when `out` would exceed `limit`.
    pub fn decode(&mut self, bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        self.walk(bytes, |piece| match piece {
            Piece::Data(data) if data.len() > limit.saturating_sub(out.len()) => Err(Error::BodyTooLarge),
            Piece::Data(data) => {
                out.extend_from_slice(data);
                Ok(())
            }
            Piece::Trailer(_) => Ok(()),
        })
    }

    /// Splits what belongs to the body: its data without chunks goes to `data`, the lines of its trailers go to
    /// `trailers`, each with its line end. For a receiver that does not speak HTTP/1.1. Tells how many bytes belong to it.
    ///
    /// # Errors
    /// As [`feed`](Body::feed).
    pub fn split(&mut self, bytes: &[u8], data: &mut Vec<u8>, trailers: &mut Vec<u8>) -> Result<usize, Error> {
        self.walk(bytes, |piece| {
            match piece {
                Piece::Data(piece) => data.extend_from_slice(piece),
                Piece::Trailer(byte) => trailers.push(byte),
            }
            Ok(())
        })
    }

    /// The connection ended.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the body had more to come.
    pub const fn end(&mut self) -> Result<(), Error> {
        match self.state {
            State::Done | State::Close => {
                self.state = State::Done;
                Ok(())
            }
            State::Counted(_) | State::Chunked(_) => Err(Error::Truncated),
        }
    }

    fn walk(&mut self, bytes: &[u8], mut sink: impl FnMut(Piece<'_>) -> Result<(), Error>) -> Result<usize, Error> {
        match &mut self.state {
            State::Done => Ok(0),
            State::Close => sink(Piece::Data(bytes)).map(|()| bytes.len()),
            State::Counted(left) => {
                let taken = take(left, bytes);
                sink(Piece::Data(taken))?;
                if *left == 0 {
                    self.state = State::Done;
                }
                Ok(taken.len())
            }
            State::Chunked(chunked) => {
                let (taken, done) = chunked.walk(bytes, sink)?;
                if done {
                    self.state = State::Done;
                }
                Ok(taken)
            }
        }
    }
}

// === impl Chunked ===

impl Chunked {
    const NEW: Self = Self {
        at: At::Size,
        left: 0,
        digits: 0,
        extensions: 0,
        trailers: 0,
        name: [0; NAME],
        name_len: 0,
    };

    /// How many bytes belong to the body, and whether they end it.
    fn walk(
        &mut self,
        bytes: &[u8],
        mut sink: impl FnMut(Piece<'_>) -> Result<(), Error>,
    ) -> Result<(usize, bool), Error> {
        let mut index = 0;
        while let Some(&byte) = bytes.get(index) {
            if self.at == At::Data {
                let taken = take(&mut self.left, &bytes[index..]);
                sink(Piece::Data(taken))?;
                index += taken.len();
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            index += 1;
            if self.in_trailer(byte) {
                sink(Piece::Trailer(byte))?;
            }
            match self.next(byte)? {
                Some(at) => self.at = at,
                None => return Ok((index, true)),
            }
        }
        Ok((index, false))
    }

    /// Whether the byte that comes next belongs to a trailer's line.
    fn in_trailer(&self, byte: u8) -> bool {
        match self.at {
            At::TrailerName | At::TrailerValue | At::TrailerLf => true,
            At::TrailerStart => byte != b'\r',
            _ => false,
        }
    }

    /// Takes one byte that is not data, and tells what follows; `None` after the last one.
    fn next(&mut self, byte: u8) -> Result<Option<At>, Error> {
        Ok(Some(match (self.at, byte) {
            (At::Size, _) => self.size(byte)?,
            (At::Extension, b'\r') => At::SizeLf,
            (At::Extension, b'\t' | b' '..=b'~') => {
                count(&mut self.extensions, EXTENSIONS, Error::ExtensionTooLong)?;
                At::Extension
            }
            (At::Extension, _) => return Err(Error::Extension),
            (At::SizeLf, b'\n') if self.digits == 0 => return Err(Error::ChunkSize),
            (At::SizeLf, b'\n') => {
                self.digits = 0;
                if self.left == 0 { At::TrailerStart } else { At::Data }
            }
            (At::SizeLf, _) => return Err(Error::ChunkSize),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::Data | At::DataCr | At::DataLf, _) => return Err(Error::ChunkEnd),
            (At::LastLf, b'\n') => return Ok(None),
            (At::LastLf, _) => return Err(Error::Trailer),
            (At::TrailerStart, b'\r') => At::LastLf,
            (At::TrailerStart | At::TrailerName | At::TrailerValue | At::TrailerLf, _) => self.trailer(byte)?,
        }))
    }

    fn size(&mut self, byte: u8) -> Result<At, Error> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(At::SizeLf),
            b';' if self.digits > 0 => return Ok(At::Extension),
            _ => return Err(Error::ChunkSize),
        };
        // 16 digits fit 64 bits, zeros in front included, so a parser of 64 bits behind us cannot overflow either.
        if self.digits == 16 {
            return Err(Error::ChunkTooLarge);
        }
        self.digits += 1;
        self.left = (self.left << 4) | u64::from(digit);
        if self.left > CHUNK {
            return Err(Error::ChunkTooLarge);
        }
        Ok(At::Size)
    }

    fn trailer(&mut self, byte: u8) -> Result<At, Error> {
        count(&mut self.trailers, TRAILERS, Error::TrailerTooLarge)?;
        match (self.at, byte) {
            (At::TrailerStart, _) if is_token(byte) => {
                self.name_len = 0;
                self.push(byte);
                Ok(At::TrailerName)
            }
            (At::TrailerName, b':') if is_forbidden_trailer(&self.name[..usize::from(self.name_len)]) => {
                Err(Error::TrailerForbidden)
            }
            (At::TrailerName, _) if is_token(byte) => {
                self.push(byte);
                Ok(At::TrailerName)
            }
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerName, b':') | (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => Ok(At::TrailerValue),
            (At::TrailerLf, b'\n') => Ok(At::TrailerStart),
            _ => Err(Error::Trailer),
        }
    }

    /// Keeps the beginning of a name. None that is forbidden fills the room, so a longer one is not mistaken for it.
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.name.get_mut(usize::from(self.name_len)) {
            *slot = byte;
            self.name_len += 1;
        }
    }
}

/// The first bytes of `bytes`, at most `left` of them, which are taken off it.
fn take<'b>(left: &mut u64, bytes: &'b [u8]) -> &'b [u8] {
    let length = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *left -= length as u64;
    &bytes[..length]
}

fn count(so_far: &mut u16, limit: u16, error: Error) -> Result<(), Error> {
    if *so_far == limit {
        return Err(error);
    }
    *so_far += 1;
    Ok(())
}

#[cfg(test)]
mod tests;
