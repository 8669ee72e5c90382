//! One stream of bytes, read by this crate, by httparse, and by hyper: what we accept has one reading.

use lbpool_http1::{
    Limits, Request,
    rewrite::{self, Forward},
};

use crate::{
    Knobs, hyper,
    messages::{self, End, Message},
};

/// Whatever is accepted, hyper and httparse accept too and read alike: method, target, fields, data, and where the next
/// message begins. They may accept more. What is forwarded, hyper reads as the same number of messages.
///
/// # Panics
/// Where that does not hold.
pub fn differential(data: &[u8]) {
    let Some((knobs, stream)) = Knobs::split(data) else {
        return;
    };
    if knobs.bit(7) {
        answers(stream, knobs);
    } else {
        requests(stream);
    }
}

fn requests(stream: &[u8]) {
    let mut forwarded = Vec::new();
    let ours = messages::requests(stream, |request, bytes, body| {
        rewrite::request(request.head(bytes), &Forward::default(), &mut forwarded);
        forwarded.extend_from_slice(body);
    });
    head_by_httparse(stream);
    let first = |is: fn(&Message) -> bool| ours.messages.iter().position(is);
    let known = [
        first(|message| !is_uri(message)),
        first(has_odd_options).map(|index| index + 1),
    ];
    let known = known.into_iter().flatten().min().unwrap_or(ours.messages.len());
    alike(&ours.messages[..known], &hyper::requests(stream));
    if known < ours.messages.len() || ours.messages.last().is_some_and(|last| last.end != End::Complete) {
        return;
    }
    let theirs = hyper::requests(&forwarded);
    assert_eq!(
        theirs.len(),
        ours.messages.len(),
        "forwarded: {:?}",
        String::from_utf8_lossy(&forwarded)
    );
    for (ours, theirs) in ours.messages.iter().zip(&theirs) {
        assert_eq!((&theirs.body, theirs.end), (&ours.body, End::Complete), "forwarded");
    }
}

/// hyper's type for targets takes fewer characters than RFC 9112 lets pass unharmed, and no other length either.
fn is_uri(message: &Message) -> bool {
    let target = message.start.split(' ').nth(1).unwrap_or_default();
    target.parse::<http::Uri>().is_ok()
}

/// hyper reads no option of a Connection field that has a byte above ASCII beside it, so it may end where we go on.
fn has_odd_options(message: &Message) -> bool {
    let mut fields = message.fields.iter();
    fields.any(|(name, value)| name == "connection" && !value.is_ascii())
}

fn alike(ours: &[Message], theirs: &[Message]) {
    for (index, ours) in ours.iter().enumerate() {
        let Some(theirs) = theirs.get(index) else {
            unreachable!("hyper has not read what we have: message {index}, {ours:?}")
        };
        assert_eq!(theirs.http11, ours.http11, "version of message {index}");
        assert_eq!(
            canonical(&theirs.start),
            canonical(&ours.start),
            "start of message {index}"
        );
        assert_eq!(theirs.fields, ours.fields, "fields of message {index}");
        same_data(ours, theirs);
    }
}

/// Where we have refused what follows, they may have gone on.
fn same_data(ours: &Message, theirs: &Message) {
    if ours.end == End::Refused {
        assert!(theirs.body.starts_with(&ours.body), "data");
    } else {
        assert_eq!((&theirs.body, theirs.end), (&ours.body, ours.end), "data");
    }
}

/// hyper writes the path of an absolute target without one, and schemes in lower case.
fn canonical(start: &str) -> String {
    let (method, target) = start.split_once(' ').unwrap_or((start, ""));
    match target.parse::<http::Uri>() {
        Ok(uri) => format!("{method} {uri}"),
        Err(_) => start.to_owned(),
    }
}

/// The first head as httparse reads it from the whole stream, without our search for its end.
fn head_by_httparse(stream: &[u8]) {
    let mut request = Request::new();
    let Ok(Some(length)) = request.parse(stream, &Limits::default()) else {
        return;
    };
    let mut room = [httparse::EMPTY_HEADER; lbpool_http1::head::MAX_HEADERS];
    let mut theirs = httparse::Request::new(&mut room);
    assert_eq!(theirs.parse(stream), Ok(httparse::Status::Complete(length)));
    let head = request.head(stream);
    assert_eq!(
        (theirs.method, theirs.path),
        (Some(head.method_name()), Some(head.target()))
    );
    for field in theirs.headers.iter() {
        assert!(
            head.header(field.name).any(|value| value == field.value),
            "{}",
            field.name
        );
    }
}

fn answers(stream: &[u8], knobs: Knobs) {
    let to = ["GET", "HEAD", "POST", "OPTIONS"][usize::from(knobs.0 & 3)];
    let Some((ours, _)) = messages::response(stream, knobs.method()) else {
        return;
    };
    let Some(theirs) = hyper::response(stream, to) else {
        unreachable!("hyper has not read the answer that we have: {ours:?}")
    };
    assert_eq!(
        (&theirs.start, theirs.http11, &theirs.fields),
        (&ours.start, ours.http11, &ours.fields)
    );
    same_data(&ours, &theirs);
}
