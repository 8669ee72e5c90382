//! Heads of requests and responses.

use lbpool_http1::{Error, Limits, Method, Request, Response, head::MAX_HEADERS};

use crate::{Knobs, plain::Head};

/// So many places are tried for a single cut, at most: all of them take time that grows with the square.
const CUTS: usize = 128;

/// The verdict on a head depends neither on cuts nor on what was read before; what is accepted keeps the limits, and reads
/// as its lines say.
///
/// # Panics
/// Where that does not hold.
pub fn heads(data: &[u8]) {
    let Some((knobs, bytes)) = Knobs::split(data) else {
        return;
    };
    let limits = if knobs.bit(7) {
        Limits {
            head: 96,
            target: 12,
            headers: 3,
        }
    } else {
        Limits::default()
    };
    let to = knobs.method();
    let request = request(bytes, &limits);
    let response = response(bytes, &limits, to);
    let mut both = (Request::new(), Response::new());
    for pieces in cuts(bytes.len()) {
        // The index that read one head reads the next.
        let seen = pieces
            .iter()
            .find_map(|end| both.0.parse(&bytes[..*end], &limits).transpose());
        assert_eq!(seen.transpose(), request, "a request, cut at {pieces:?}");
        both.0.clear();
        let seen = pieces
            .iter()
            .find_map(|end| both.1.parse(&bytes[..*end], &limits, to).transpose());
        assert_eq!(seen.transpose(), response, "a response, cut at {pieces:?}");
        both.1.clear();
    }
}

/// Ends of the pieces, for each way to cut: everywhere, and once at each place.
fn cuts(length: usize) -> impl Iterator<Item = Vec<usize>> {
    let step = length / CUTS + 1;
    let once = (0..length).step_by(step).map(move |cut| vec![cut, length]);
    once.chain([(0..=length).collect()])
}

fn request(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
    let mut request = Request::new();
    let verdict = request.parse(bytes, limits)?;
    let Some(length) = verdict else { return Ok(None) };
    let plain = keeps(bytes, length, limits);
    let head = request.head(bytes);
    assert_eq!((head.len(), plain.len), (length, length));
    assert!(head.target().len() <= limits.target);
    let line = format!("{} {} HTTP/1.", head.method_name(), head.target());
    assert_eq!(Some(line.as_bytes()), plain.first.get(..plain.first.len() - 1));
    assert!(!head.method_name().is_empty() && head.method_name() != "CONNECT");
    assert!(head.target().bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(head.path() == "*" || head.path().starts_with('/') && !head.path().contains(['?', '#']));
    if !head.is_absolute() {
        let query = head.query().map_or(String::new(), |query| format!("?{query}"));
        assert_eq!(format!("{}{query}", head.path()), head.target());
    }
    let hosts: Vec<_> = plain.values("host").collect();
    assert!(hosts.len() <= 1 && (hosts.len() == 1 || head.version() == lbpool_http1::Version::Http10));
    if !head.is_absolute() {
        assert_eq!(head.authority().as_bytes(), hosts.first().copied().unwrap_or_default());
    }
    assert_eq!(Some(head.framing()), plain.framing_of_request());
    for (name, _) in &plain.fields {
        let name = std::str::from_utf8(name).unwrap_or_default();
        assert!(head.header(name).eq(plain.values(name)), "{name}");
    }
    // These have no other reading here, but must not panic.
    let _ = (head.cookie("a"), head.request_id_at(), head.keep_alive());
    Ok(verdict)
}

fn response(bytes: &[u8], limits: &Limits, to: Method) -> Result<Option<usize>, Error> {
    let mut response = Response::new();
    let verdict = response.parse(bytes, limits, to)?;
    let Some(length) = verdict else { return Ok(None) };
    let plain = keeps(bytes, length, limits);
    let head = response.head(bytes);
    assert_eq!((head.len(), plain.len), (length, length));
    assert!((100..1000).contains(&head.status()));
    let digits = head.status().to_string();
    assert_eq!(plain.first.get(9..12), Some(digits.as_bytes()));
    assert_eq!(Some(head.framing()), plain.framing_of_response(head.status(), to));
    for (name, _) in &plain.fields {
        let name = std::str::from_utf8(name).unwrap_or_default();
        assert!(head.header(name).eq(plain.values(name)), "{name}");
    }
    Ok(verdict)
}

/// What holds for both kinds of accepted heads.
fn keeps<'a>(bytes: &'a [u8], length: usize, limits: &Limits) -> Head<'a> {
    assert!(length <= limits.head, "{length} bytes of at most {}", limits.head);
    let Some(plain) = Head::read(bytes) else {
        unreachable!("a head that is no head by its lines was accepted")
    };
    assert!(plain.fields.len() <= limits.headers.min(MAX_HEADERS));
    for (name, value) in &plain.fields {
        assert!(!name.is_empty() && name.iter().all(u8::is_ascii_graphic));
        assert!(value.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control()));
    }
    plain
}
