//! Chunks, their extensions and trailers (RFC 9112, section 7.1).

use lbpool_http1::{Body, Error, Framing, Limits, Method};

use crate::support::{BodyRefused, Open, Reader, Want, Whole, outcome};

const DONE: Want = Whole(Framing::Chunked);

const CHUNKS: &[(&str, &str, &[u8], Want)] = &[
    ("empty", "9112 7.1", b"0\r\n\r\n", DONE),
    ("one chunk", "9112 7.1", b"5\r\nhello\r\n0\r\n\r\n", DONE),
    ("two chunks", "9112 7.1", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", DONE),
    (
        "either case",
        "9112 7.1",
        b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        DONE,
    ),
    (
        "zeros in front",
        "9112 7.1",
        b"0000000000000005\r\nhello\r\n000\r\n\r\n",
        DONE,
    ),
    (
        "data that looks like chunks",
        "9112 7.1",
        b"7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
        DONE,
    ),
    (
        "an extension",
        "9112 7.1.1",
        b"5;a=\"b;c\";d\r\nhello\r\n0;e\r\n\r\n",
        DONE,
    ),
    ("an empty extension", "9112 7.1.1", b"5;\r\nhello\r\n0\r\n\r\n", DONE),
    (
        "trailers",
        "9112 7.1.2",
        b"0\r\nChecksum: \tx y\xe4\r\nEmpty:\r\n\r\n",
        DONE,
    ),
    (
        "Date as trailer",
        "9110 6.5.1",
        b"0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        DONE,
    ),
    ("no last chunk", "9112 8", b"5\r\nhello\r\n", Open),
    ("no last line", "9112 8", b"5\r\nhello\r\n0\r\n", Open),
    ("no end of the trailers", "9112 8", b"0\r\nX: y\r\n", Open),
    ("no size", "9112 7.1", b"\r\nhello\r\n", BodyRefused(Error::ChunkSize)),
    ("no digit", "9112 7.1", b"g\r\n", BodyRefused(Error::ChunkSize)),
    ("plus", "9112 7.1", b"+5\r\nhello\r\n", BodyRefused(Error::ChunkSize)),
    ("minus", "9112 7.1", b"-1\r\n", BodyRefused(Error::ChunkSize)),
    ("prefix", "9112 7.1", b"0x5\r\nhello\r\n", BodyRefused(Error::ChunkSize)),
    ("underscore", "9112 7.1", b"1_0\r\n", BodyRefused(Error::ChunkSize)),
    (
        "space before the size",
        "9112 7.1",
        b" 5\r\nhello\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "space behind the size",
        "9112 7.1",
        b"5 \r\nhello\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "tab behind the size",
        "9112 7.1.1",
        b"5\t;a\r\nhello\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "bare LF behind the size",
        "9112 2.2",
        b"5\nhello\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "bare CR behind the size",
        "9112 2.2",
        b"5\rhello",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "NUL behind the size",
        "9112 7.1",
        b"5\0\r\nhello\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "extension without size",
        "9112 7.1.1",
        b";a\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "17 digits",
        "9112 7.1",
        b"00000000000000005\r\nhello\r\n",
        BodyRefused(Error::ChunkTooLarge),
    ),
    (
        "2^64 + 5",
        "9112 7.1",
        b"10000000000000005\r\nhello\r\n",
        BodyRefused(Error::ChunkTooLarge),
    ),
    (
        "2^64 - 1",
        "9112 7.1",
        b"ffffffffffffffff\r\nhello",
        BodyRefused(Error::ChunkTooLarge),
    ),
    (
        "2^60 + 1",
        "9112 7.1",
        b"1000000000000001\r\nhello",
        BodyRefused(Error::ChunkTooLarge),
    ),
    (
        "bare LF in an extension",
        "9112 7.1.1",
        b"5;a\nhello\r\n",
        BodyRefused(Error::Extension),
    ),
    (
        "NUL in an extension",
        "9112 7.1.1",
        b"5;a\0\r\nhello\r\n",
        BodyRefused(Error::Extension),
    ),
    (
        "bare CR in an extension",
        "9112 7.1.1",
        b"5;a\rb\r\nhello\r\n",
        BodyRefused(Error::ChunkSize),
    ),
    (
        "too much data",
        "9112 7.1",
        b"5\r\nhello!\r\n",
        BodyRefused(Error::ChunkEnd),
    ),
    (
        "too little data",
        "9112 7.1",
        b"5\r\nhell\r\n0\r\n\r\n",
        BodyRefused(Error::ChunkEnd),
    ),
    (
        "bare LF behind the data",
        "9112 2.2",
        b"5\r\nhello\n0\r\n\r\n",
        BodyRefused(Error::ChunkEnd),
    ),
    (
        "bare CR behind the data",
        "9112 2.2",
        b"5\r\nhello\r0\r\n\r\n",
        BodyRefused(Error::ChunkEnd),
    ),
    (
        "bare LF as last line",
        "9112 2.2",
        b"0\r\n\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "bare CR as last line",
        "9112 2.2",
        b"0\r\n\rX",
        BodyRefused(Error::Trailer),
    ),
    (
        "trailer without colon",
        "9112 5",
        b"0\r\nX\r\n\r\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "space before a trailer's colon",
        "9112 5.1",
        b"0\r\nX : y\r\n\r\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "folded trailer",
        "9112 5.2",
        b"0\r\nX: y\r\n z\r\n\r\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "trailer with NUL",
        "9110 5.5",
        b"0\r\nX: \0\r\n\r\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "trailer with bare LF",
        "9112 2.2",
        b"0\r\nX: y\nZ: z\r\n\r\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "trailer with bare CR",
        "9112 2.2",
        b"0\r\nX: y\rZ: z\r\n\r\n",
        BodyRefused(Error::Trailer),
    ),
    (
        "Content-Length as trailer",
        "9110 6.5.1",
        b"0\r\nContent-Length: 5\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Transfer-Encoding as trailer",
        "9110 6.5.1",
        b"0\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Host as trailer",
        "9110 6.5.1",
        b"0\r\nHOST: a\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Connection as trailer",
        "9110 6.5.1",
        b"0\r\nConnection: close\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Expect as trailer",
        "9110 6.5.1",
        b"0\r\nExpect: 100-continue\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Authorization as trailer",
        "9110 6.5.1",
        b"0\r\nAuthorization: x\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "address as trailer",
        "9110 6.5.1",
        b"0\r\nX-Forwarded-For: a\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Forwarded as trailer",
        "9110 6.5.1",
        b"0\r\nForwarded: for=a\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
    (
        "Set-Cookie as trailer",
        "9110 6.5.1",
        b"0\r\nSet-Cookie: a=b\r\n\r\n",
        BodyRefused(Error::TrailerForbidden),
    ),
];

#[test]
fn chunks_end_where_they_say_or_are_refused_on_both_sides() {
    for (name, section, chunks, want) in CHUNKS {
        for (side, head) in [
            (
                "client",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            ("member", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ] {
            let reader = || match side {
                "client" => Reader::request(Limits::default()),
                _ => Reader::response(Limits::default(), Method::Get),
            };
            let bytes = [head.as_bytes(), chunks].concat();
            let (seen, taken) = outcome(name, &bytes, reader);
            assert_eq!(seen, *want, "{side}: {name} ({section})");
            let followed = [&bytes[..], b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            if *want != Open {
                assert_eq!(
                    outcome(name, &followed, reader),
                    (seen, taken),
                    "{side}: {name} ({section}), and more"
                );
            }
        }
    }
}

#[test]
fn data_comes_out_without_its_chunks_at_every_cut() {
    for (name, section, chunks, want) in CHUNKS.iter().filter(|row| row.3 == DONE) {
        let decode = |pieces: &[&[u8]]| {
            let (mut body, mut data) = (Body::new(Framing::Chunked), Vec::new());
            for piece in pieces {
                body.decode(piece, usize::MAX, &mut data).unwrap();
            }
            (data, body.is_done())
        };
        let whole = decode(&[chunks]);
        assert!(whole.1 && *want == DONE, "{name} ({section})");
        for cut in 0..chunks.len() {
            assert_eq!(decode(&[&chunks[..cut], &chunks[cut..]]), whole, "{name}, cut at {cut}");
            let mut body = Body::new(Framing::Chunked);
            assert_eq!(body.feed(&chunks[..cut]), Ok(cut), "{name}, ended at {cut}");
            assert_eq!(
                (body.is_done(), body.end()),
                (false, Err(Error::Truncated)),
                "{name}, ended at {cut}"
            );
        }
    }
}
