//! Chunked bodies.

use lbpool_http1::{Body, Error, Framing};

use crate::plain;

/// So many places are tried for a cut, at most: all of them take time that grows with the square.
const CUTS: usize = 256;

/// What a body came to: bytes that belong to it and whether it ended, or why it was refused; and its data up to there.
type Outcome = (Result<(usize, bool), Error>, Vec<u8>);

/// Bytes as a chunked body: fed whole, in single bytes, and cut at each place (of a long one: at some), with the same outcome; and where it has an
/// end, the data and the end are those of a plain reading.
///
/// # Panics
/// Where that does not hold.
pub fn chunks(data: &[u8]) {
    let (whole, decoded) = decode(&[data]);
    let singles: Vec<_> = data.chunks(1).collect();
    assert_eq!(decode(&singles), (whole, decoded.clone()), "in single bytes");
    for cut in (0..=data.len()).step_by(data.len() / CUTS + 1) {
        let (first, second) = data.split_at(cut);
        assert_eq!(decode(&[first, second]), (whole, decoded.clone()), "cut at {cut}");
        assert_eq!(feed(&[first, second]), whole, "fed, cut at {cut}");
    }
    match whole {
        Ok((taken, true)) => {
            assert_eq!(plain::chunked(data), Some((decoded.clone(), taken)));
            assert_eq!(plain::chunked(&data[..taken - 1]), None, "it has ended before its end");
            bounded(&data[..taken], &decoded);
        }
        Ok((taken, false)) => {
            assert_eq!(taken, data.len(), "a body without an end takes all there is");
            assert_eq!(plain::chunked(data), None);
        }
        Err(_) => {}
    }
}

/// A limit on the data is kept exactly.
fn bounded(body: &[u8], data: &[u8]) {
    let mut out = b"before".to_vec();
    let limit = out.len() + data.len();
    assert_eq!(
        Body::new(Framing::Chunked).decode(body, limit, &mut out),
        Ok(body.len())
    );
    assert_eq!(out.strip_prefix(b"before"), Some(data));
    if !data.is_empty() {
        let mut out = Vec::new();
        let over = Body::new(Framing::Chunked).decode(body, data.len() - 1, &mut out);
        assert_eq!(over, Err(Error::BodyTooLarge));
        assert!(out.len() < data.len());
    }
}

fn decode(pieces: &[&[u8]]) -> Outcome {
    let mut data = Vec::new();
    let outcome = follow(pieces, |body, piece| body.decode(piece, usize::MAX, &mut data));
    (outcome, data)
}

fn feed(pieces: &[&[u8]]) -> Result<(usize, bool), Error> {
    follow(pieces, Body::feed)
}

fn follow(
    pieces: &[&[u8]],
    mut take: impl FnMut(&mut Body, &[u8]) -> Result<usize, Error>,
) -> Result<(usize, bool), Error> {
    let mut body = Body::new(Framing::Chunked);
    let mut taken = 0;
    for piece in pieces {
        taken += take(&mut body, piece)?;
    }
    assert_eq!(body.clone().end().is_ok(), body.is_done());
    Ok((taken, body.is_done()))
}
