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
fn chunked_bodies_end_where_they_say() {
    for (name, body, data) in [
        ("empty", &b"0\r\n\r\n"[..], &b""[..]),
        ("one chunk", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("two chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
        (
            "upper and lower case",
            b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            b"01234567890123456789",
        ),
        ("zeros in front", b"0000000000000005\r\nhello\r\n000\r\n\r\n", b"hello"),
        ("extension", b"5;a=\"b;c\";d\r\nhello\r\n0;e\r\n\r\n", b"hello"),
        (
            "data that looks like chunks",
            b"7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
            b"0\r\n\r\n\r\n",
        ),
        ("trailers", b"0\r\nChecksum: \tx y\xe4\r\nEmpty:\r\n\r\n", b""),
    ] {
        assert_eq!(
            at_every_cut(name, Framing::Chunked, body),
            Ok((body.len(), true, data.to_vec())),
            "{name}"
        );
        let next = [body, b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(
            at_every_cut(name, Framing::Chunked, &next),
            Ok((body.len(), true, data.to_vec())),
            "{name} and next"
        );
        for end in 0..body.len() {
            let mut cut = Body::new(Framing::Chunked);
            assert_eq!(cut.feed(&body[..end]), Ok(end));
            assert_eq!(
                (cut.is_done(), cut.end()),
                (false, Err(Error::Truncated)),
                "{name}, ended at {end}"
            );
        }
    }
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

const REFUSED: &[(&str, &[u8], Error)] = &[
    ("no size", b"\r\nhello\r\n", Error::ChunkSize),
    ("no digit", b"g\r\n", Error::ChunkSize),
    ("sign", b"+5\r\nhello\r\n", Error::ChunkSize),
    ("minus", b"-1\r\n", Error::ChunkSize),
    ("prefix", b"0x5\r\nhello\r\n", Error::ChunkSize),
    ("underscore", b"1_0\r\n", Error::ChunkSize),
    ("space before the size", b" 5\r\nhello\r\n", Error::ChunkSize),
    ("space behind the size", b"5 \r\nhello\r\n", Error::ChunkSize),
    ("tab behind the size", b"5\t;a\r\nhello\r\n", Error::ChunkSize),
    ("bare LF behind the size", b"5\nhello\r\n", Error::ChunkSize),
    ("bare CR behind the size", b"5\rhello", Error::ChunkSize),
    ("extension without size", b";a\r\n", Error::ChunkSize),
    ("17 digits", b"00000000000000005\r\nhello\r\n", Error::ChunkTooLarge),
    ("2^64 + 5", b"10000000000000005\r\nhello\r\n", Error::ChunkTooLarge),
    ("2^64 - 1", b"ffffffffffffffff\r\nhello", Error::ChunkTooLarge),
    ("2^60 + 1", b"1000000000000001\r\nhello", Error::ChunkTooLarge),
    ("bare LF in an extension", b"5;a\nhello\r\n", Error::Extension),
    ("NUL in an extension", b"5;a\0\r\nhello\r\n", Error::Extension),
    ("bare CR in an extension", b"5;a\rb\r\nhello\r\n", Error::ChunkSize),
    ("too much data", b"5\r\nhello!\r\n", Error::ChunkEnd),
    ("too little data", b"5\r\nhell\r\n0\r\n\r\n", Error::ChunkEnd),
    ("bare LF behind the data", b"5\r\nhello\n0\r\n\r\n", Error::ChunkEnd),
    ("bare CR behind the data", b"5\r\nhello\r0\r\n\r\n", Error::ChunkEnd),
    ("bare LF as last line", b"0\r\n\n", Error::Trailer),
    ("bare CR as last line", b"0\r\n\rX", Error::Trailer),
    ("trailer without colon", b"0\r\nX\r\n\r\n", Error::Trailer),
    ("space before a trailer's colon", b"0\r\nX : y\r\n\r\n", Error::Trailer),
    ("folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", Error::Trailer),
    ("trailer with NUL", b"0\r\nX: \0\r\n\r\n", Error::Trailer),
    ("trailer with bare LF", b"0\r\nX: y\nZ: z\r\n\r\n", Error::Trailer),
    ("trailer with bare CR", b"0\r\nX: y\rZ: z\r\n\r\n", Error::Trailer),
    (
        "Content-Length as trailer",
        b"0\r\nContent-Length: 5\r\n\r\n",
        Error::TrailerForbidden,
    ),
    (
        "Transfer-Encoding as trailer",
        b"0\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n",
        Error::TrailerForbidden,
    ),
    ("Host as trailer", b"0\r\nHOST: a\r\n\r\n", Error::TrailerForbidden),
    (
        "address as trailer",
        b"0\r\nX-Forwarded-For: a\r\n\r\n",
        Error::TrailerForbidden,
    ),
    (
        "Set-Cookie as trailer",
        b"0\r\nSet-Cookie: a=b\r\n\r\n",
        Error::TrailerForbidden,
    ),
];

#[test]
fn malformed_chunks_are_refused_at_every_cut() {
    for (name, body, want) in REFUSED {
        assert_eq!(at_every_cut(name, Framing::Chunked, body), Err(*want), "{name}");
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
