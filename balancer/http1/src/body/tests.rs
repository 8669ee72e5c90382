use super::*;

/// Feeds the bytes once per cut position, each in two pieces, then byte by byte; the verdict must not depend on it.
fn at_every_cut(name: &str, framing: Framing, bytes: &[u8]) -> Result<(usize, bool, Vec<u8>), Error> {
    let whole = feed(framing, &[bytes]);
    for cut in 0..=bytes.len() {
        assert_eq!(
            feed(framing, &[&bytes[..cut], &bytes[cut..]]),
            whole,
            "{name}, cut at {cut}"
        );
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(feed(framing, &single), whole, "{name}, byte by byte");
    whole
}

/// What belongs to the body, whether it ends there, and its data.
fn feed(framing: Framing, pieces: &[&[u8]]) -> Result<(usize, bool, Vec<u8>), Error> {
    let (mut counting, mut decoding) = (Body::new(framing), Body::new(framing));
    let (mut taken, mut data) = (0, Vec::new());
    for piece in pieces {
        let counted = counting.feed(piece);
        assert_eq!(decoding.decode(piece, usize::MAX, &mut data), counted);
        taken += counted?;
    }
    Ok((taken, counting.is_done(), data))
}

#[test]
fn a_body_is_split_into_data_and_trailers_at_every_cut() {
    let body = b"5;x\r\nhello\r\n1\r\n!\r\n0\r\nGrpc-Status: 0\r\nX-Sum:  7 \r\n\r\nGET";
    for cut in 0..body.len() - 3 {
        let mut split = Body::new(Framing::Chunked);
        let (mut data, mut trailers) = (Vec::new(), Vec::new());
        assert_eq!(split.split(&body[..cut], &mut data, &mut trailers), Ok(cut));
        assert_eq!(
            split.split(&body[cut..], &mut data, &mut trailers),
            Ok(body.len() - 3 - cut)
        );
        assert!(split.is_done());
        assert_eq!(data, b"hello!", "cut at {cut}");
        assert_eq!(trailers, b"Grpc-Status: 0\r\nX-Sum:  7 \r\n", "cut at {cut}");
    }
}

#[test]
fn nothing_malformed_is_counted_before_it_is_refused() {
    let mut body = Body::new(Framing::Chunked);
    assert_eq!(body.feed(b"5\r\nhello\r\n0\r\nContent-Length"), Ok(27));
    assert_eq!(body.feed(b": 5\r\n\r\nGET /smuggled"), Err(Error::TrailerForbidden));
    assert!(!body.is_done());
}

#[test]
fn long_names_are_not_mistaken_for_forbidden_ones() {
    let long = format!("0\r\n{}-content-length: 5\r\n\r\n", "x".repeat(64));
    assert_eq!(
        at_every_cut("long", Framing::Chunked, long.as_bytes()).map(|seen| seen.1),
        Ok(true)
    );
}

#[test]
fn extensions_and_trailers_are_bounded_over_the_whole_body() {
    let chunk = [&b"1;"[..], &[b'e'; 100], b"\r\nx\r\n"].concat();
    assert_eq!(
        feed(Framing::Chunked, &[&chunk[..]; 10]).map(|seen| seen.0),
        Ok(chunk.len() * 10)
    );
    assert_eq!(feed(Framing::Chunked, &[&chunk[..]; 11]), Err(Error::ExtensionTooLong));
    let trailer = [&b"X: "[..], &[b'y'; 1000], b"\r\n"].concat();
    let with = |count| [b"0\r\n".to_vec(), trailer.repeat(count), b"\r\n".to_vec()].concat();
    assert_eq!(feed(Framing::Chunked, &[&with(8)]).map(|seen| seen.1), Ok(true));
    assert_eq!(feed(Framing::Chunked, &[&with(9)]), Err(Error::TrailerTooLarge));
}

#[test]
fn counted_bodies_end_at_their_length() {
    assert_eq!(
        at_every_cut("counted", Framing::Length(5), b"helloGET /"),
        Ok((5, true, b"hello".to_vec()))
    );
    assert_eq!(
        at_every_cut("short", Framing::Length(5), b"hell"),
        Ok((4, false, b"hell".to_vec()))
    );
    let mut body = Body::new(Framing::Length(u64::MAX));
    assert_eq!(
        (body.feed(b"hello"), body.left(), body.end()),
        (Ok(5), Some(u64::MAX - 5), Err(Error::Truncated))
    );
}

#[test]
fn bodies_without_bytes_are_done_from_the_beginning() {
    for framing in [Framing::None, Framing::Length(0)] {
        let mut body = Body::new(framing);
        assert!(body.is_done(), "{framing:?}");
        assert_eq!(
            (body.feed(b"GET /"), body.end(), body.left()),
            (Ok(0), Ok(()), Some(0)),
            "{framing:?}"
        );
    }
}

#[test]
fn bodies_up_to_the_connections_end_end_with_it() {
    assert_eq!(
        at_every_cut("close", Framing::Close, b"hello"),
        Ok((5, false, b"hello".to_vec()))
    );
    let mut body = Body::new(Framing::Close);
    assert_eq!((body.left(), body.end(), body.is_done()), (None, Ok(()), true));
}

#[test]
fn decoding_stops_at_the_callers_limit() {
    for (framing, bytes) in [
        (Framing::Length(6), &b"hello!"[..]),
        (Framing::Chunked, b"6\r\nhello!\r\n0\r\n\r\n"),
    ] {
        let mut data = Vec::new();
        assert_eq!(
            Body::new(framing).decode(bytes, 5, &mut data),
            Err(Error::BodyTooLarge),
            "{framing:?}"
        );
        assert!(data.len() <= 5);
        data.clear();
        assert_eq!(
            Body::new(framing).decode(bytes, 6, &mut data),
            Ok(bytes.len()),
            "{framing:?}"
        );
    }
}
