//! Where a request's key is found.
//!
//! The key is the value of the first source that is present; an empty value counts as absent. The parts of a join are
//! put one behind the other, each after its length (four bytes, low byte first), so that no two lists of parts make the
//! same key.

use std::{borrow::Cow, net::IpAddr};

use lbpool_http1::RequestHead;

use crate::policy::{Part, Policy, Source};

/// What a key may be found in.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) head: RequestHead<'a>,
    /// The client's address.
    pub(crate) client: IpAddr,
    /// What was found in the body, by JSON pointer; see [`is_in_body`].
    pub(crate) body: &'a [(String, String)],
}

/// Whether the key of a request may be in its body: no source before one that looks there is present.
pub(crate) fn is_in_body(policy: &Policy, asked: Asked<'_>) -> bool {
    if policy.pointers.is_empty() {
        return false;
    }
    let in_body = |part: &Part| matches!(part, Part::JsonBody(_));
    let present = |part: &Part| value(part, asked).is_some();
    for source in &policy.key {
        match source {
            Source::Part(part) if in_body(part) => return true,
            Source::Part(part) if present(part) => return false,
            Source::Join(parts) if parts.iter().all(|part| in_body(part) || present(part)) => {
                return parts.iter().any(in_body);
            }
            Source::Part(_) | Source::Join(_) => {}
        }
    }
    false
}

/// The key of a request, or `None`: any member will do.
pub(crate) fn of<'a>(policy: &Policy, asked: Asked<'a>) -> Option<Cow<'a, [u8]>> {
    policy.key.iter().find_map(|source| match source {
        Source::Part(part) => value(part, asked),
        Source::Join(parts) => join(parts, asked).map(Cow::Owned),
    })
}

fn join(parts: &[Part], asked: Asked<'_>) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(64);
    for part in parts {
        let value = value(part, asked)?;
        // A head and what is looked into of a body are shorter than that.
        key.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        key.extend_from_slice(&value);
    }
    Some(key)
}

fn value<'a>(part: &Part, Asked { head, client, body }: Asked<'a>) -> Option<Cow<'a, [u8]>> {
    let value = match part {
        Part::Header(name) => head.header(name).find(|value| !value.is_empty()).map(Cow::Borrowed),
        Part::Cookie(name) => head.cookie(name).map(Cow::Borrowed),
        Part::Query(name) => parameter(head.query()?, name.as_bytes()),
        Part::Path => Some(Cow::Borrowed(head.path().as_bytes())),
        Part::PathPrefix(segments) => prefix(head.path(), *segments).map(|prefix| Cow::Borrowed(prefix.as_bytes())),
        // The same client over IPv6 and IPv4 sockets is the same client.
        Part::SourceIp => Some(Cow::Owned(client.to_canonical().to_string().into_bytes())),
        Part::JsonBody(pointer) => {
            let found = body.iter().find(|(of, _)| of == pointer);
            found.map(|(_, value)| Cow::Borrowed(value.as_bytes()))
        }
    };
    value.filter(|value| !value.is_empty())
}

/// The first `segments` segments of a path, `/a/b` of `/a/b/c`; `None` where it has fewer. An empty one is none.
fn prefix(path: &str, segments: u32) -> Option<&str> {
    let mut end = 0;
    for _ in 0..segments {
        let segment = path
            .get(end..)?
            .strip_prefix('/')?
            .split('/')
            .next()
            .filter(|segment| !segment.is_empty())?;
        end += 1 + segment.len();
    }
    path.get(..end)
}

/// The decoded value of the first parameter of that name that is not empty.
fn parameter<'a>(query: &'a str, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let values = pairs
        .filter(|(key, _)| *decode(key) == *name)
        .map(|(_, value)| decode(value));
    values.into_iter().find(|value| !value.is_empty())
}

/// Percent-encoding and plus signs undone, as forms do it. A malformed escape stands for itself.
fn decode(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'%', b'+', bytes).is_none() {
        return Cow::Borrowed(bytes);
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        let (decoded, next) = match (byte, tail) {
            (b'%', [high, low, next @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, next),
                _ => (byte, tail),
            },
            (b'+', _) => (b' ', tail),
            _ => (byte, tail),
        };
        out.push(decoded);
        rest = next;
    }
    Cow::Owned(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use lbpool_http1::{Limits, Request};

    use super::*;

    const HEAD: &str = "GET /shop/cart/7?user=a%20b&empty=&tag=x+y&bad=%zz HTTP/1.1\r\nHost: h\r\nX-Key:  k1 \r\nX-Empty:\r\n\
        Cookie: a=1; session=s%3D9\r\n\r\n";

    fn asked<T>(sources: &[Source], question: impl FnOnce(&Policy, Asked<'_>) -> T) -> T {
        let policy = Policy {
            key: sources.to_vec(),
            pointers: vec!["/user/id".to_owned()],
            ..Policy::default()
        };
        let mut request = Request::new();
        request.parse(HEAD.as_bytes(), &Limits::default()).unwrap().unwrap();
        let client = "::ffff:192.0.2.7".parse().unwrap();
        let body =
            [("/user/id", "u-7"), ("/user/e", "")].map(|(pointer, value)| (pointer.to_owned(), value.to_owned()));
        let asked = Asked {
            head: request.head(HEAD.as_bytes()),
            client,
            body: &body,
        };
        question(&policy, asked)
    }

    fn key(sources: &[Source]) -> Option<Vec<u8>> {
        asked(sources, |policy, asked| of(policy, asked).map(Cow::into_owned))
    }

    fn part(part: Part) -> Option<String> {
        key(&[Source::Part(part)]).map(|key| String::from_utf8(key).unwrap())
    }

    #[test]
    fn each_source_finds_its_value() {
        let name = |name: &str| name.to_owned();
        let table = [
            (Part::Header(name("x-key")), Some("k1")),
            (Part::Header(name("X-Empty")), None),
            (Part::Header(name("X-None")), None),
            (Part::Cookie(name("session")), Some("s%3D9")),
            (Part::Cookie(name("Session")), None),
            (Part::Query(name("user")), Some("a b")),
            (Part::Query(name("tag")), Some("x y")),
            (Part::Query(name("bad")), Some("%zz")),
            (Part::Query(name("empty")), None),
            (Part::Path, Some("/shop/cart/7")),
            (Part::PathPrefix(1), Some("/shop")),
            (Part::PathPrefix(3), Some("/shop/cart/7")),
            (Part::PathPrefix(4), None),
            (Part::SourceIp, Some("192.0.2.7")),
            (Part::JsonBody(name("/user/id")), Some("u-7")),
            (Part::JsonBody(name("/user/e")), None),
            (Part::JsonBody(name("/other")), None),
        ];
        for (source, want) in table {
            assert_eq!(part(source.clone()).as_deref(), want, "{source:?}");
        }
    }

    #[test]
    fn the_first_source_that_is_present_counts() {
        let absent = Source::Part(Part::Header("X-Empty".to_owned()));
        assert_eq!(
            key(&[absent.clone(), Source::Part(Part::PathPrefix(1))]).as_deref(),
            Some(&b"/shop"[..])
        );
        assert_eq!(key(&[absent]), None);
    }

    #[test]
    fn a_body_is_looked_into_only_where_nothing_before_it_is_present() {
        let body = || Part::JsonBody("/user/id".to_owned());
        let (present, absent) = (
            || Part::Header("X-Key".to_owned()),
            || Part::Header("X-None".to_owned()),
        );
        let one = Source::Part;
        for (sources, want) in [
            (vec![one(body())], true),
            (vec![one(present()), one(body())], false),
            (vec![one(absent()), one(body())], true),
            (vec![Source::Join(vec![present(), body()])], true),
            (vec![Source::Join(vec![absent(), body()])], false),
            (vec![Source::Join(vec![absent(), body()]), one(body())], true),
            (vec![Source::Join(vec![present(), Part::Path]), one(body())], false),
            (vec![one(present())], false),
        ] {
            assert_eq!(asked(&sources, is_in_body), want, "{sources:?}");
        }
    }

    #[test]
    fn a_join_needs_all_parts_and_can_not_be_forged() {
        let (one, two) = (Part::PathPrefix(1), Part::Query("user".to_owned()));
        let joined = key(&[Source::Join(vec![one.clone(), two])]).unwrap();
        assert_eq!(joined, b"\x05\0\0\0/shop\x03\0\0\0a b");
        assert_eq!(key(&[Source::Join(vec![one, Part::Query("empty".to_owned())])]), None);
    }

    #[test]
    fn an_empty_segment_is_no_prefix() {
        assert_eq!(prefix("//a", 1), None);
        assert_eq!(prefix("*", 1), None);
        assert_eq!(prefix("/a/", 2), None);
        assert_eq!(prefix("/a/", 1), Some("/a"));
    }
}
