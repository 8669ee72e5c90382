//! What came of a case, in a line that stays the same from run to run.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::{
    case::{Case, escaped},
    client::{End, Got},
    message::{Framing, Message},
};

/// What one proxy did with one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The requests that reached the origin.
    pub(crate) origin: String,
    /// The answers that reached the client, and what became of its connection.
    pub(crate) client: String,
}

/// As much of a body, or of bytes that are no message, as is shown.
const SHOWN: usize = 40;

// === impl Outcome ===

impl Outcome {
    /// Of what the origin and the client have recorded.
    pub(crate) fn of(case: &Case, connections: &[Vec<u8>], got: &Got) -> anyhow::Result<Self> {
        let requests: Vec<String> = connections.iter().flat_map(|bytes| requests(case, bytes)).collect();
        Ok(Self {
            origin: if requests.is_empty() {
                "nothing".to_owned()
            } else {
                requests.join(" + ")
            },
            client: answers(case, got)?,
        })
    }
}

fn requests(case: &Case, bytes: &[u8]) -> Vec<String> {
    let mut seen = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((message, length)) = Message::request(rest) else {
            seen.push(format!("bytes \"{}\"", brief(rest)));
            break;
        };
        let line = message.start.strip_suffix(b" HTTP/1.1").unwrap_or(&message.start);
        let mut text = brief(line);
        framing(&message, &mut text);
        fields(case, &message, &mut text);
        body(&message, &mut text);
        seen.push(text);
        rest = &rest[length..];
    }
    seen
}

fn answers(case: &Case, got: &Got) -> anyhow::Result<String> {
    let head_only = case.send.bytes()?.starts_with(b"HEAD ");
    let ours = case.answer.as_ref().map(crate::case::Text::bytes).transpose()?;
    let mut seen = Vec::new();
    let mut rest = &got.bytes[..];
    while !rest.is_empty() {
        let Some((message, length)) = Message::answer(rest, head_only) else {
            seen.push(format!("bytes \"{}\"", brief(rest)));
            break;
        };
        let mut text = brief(message.status());
        // Bodies of a proxy's own are of no interest, and neither is that of the usual answer.
        let origins = |ours: &Vec<u8>| ours.windows(message.body.len().max(1)).any(|part| part == message.body);
        if message.body.is_empty() || ours.as_ref().is_some_and(origins) {
            if ours.is_some() && text.as_str() >= "200" {
                framing(&message, &mut text);
            }
            fields(case, &message, &mut text);
            body(&message, &mut text);
        } else if !message.complete && message.framing != Framing::Close {
            text.push_str(" unfinished");
        }
        seen.push(text);
        rest = &rest[length..];
    }
    let end = match got.end {
        End::Open if seen.is_empty() => "waits",
        End::Open => "open",
        End::Closed => "closed",
        End::Reset => "reset",
    };
    seen.push(end.to_owned());
    Ok(counted(&seen).join(", "))
}

/// Repetitions as a number: `102 (200 times)`.
fn counted(seen: &[String]) -> Vec<String> {
    let runs = seen.chunk_by(|a, b| a == b);
    runs.map(|run| match run {
        [one] => one.clone(),
        [a, b] => format!("{a}, {b}"),
        _ => format!("{} ({} times)", run[0], run.len()),
    })
    .collect()
}

fn framing(message: &Message, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = match message.framing {
        Framing::None => match (message.field("content-length"), message.field("transfer-encoding")) {
            (None, None) => Ok(()),
            (length, coding) => write!(text, " [says {}]", brief(length.or(coding).unwrap_or_default())),
        },
        Framing::Length(length) => write!(text, " [length {length}]"),
        Framing::Chunked if message.field("content-length").is_some() => write!(text, " [chunked and a length]"),
        Framing::Chunked => match message.field("transfer-encoding") {
            Some(b"chunked") | None => write!(text, " [chunked]"),
            Some(other) => write!(text, " [encoding {}]", brief(other)),
        },
        Framing::Close => write!(text, " [until the end]"),
    };
}

fn fields(case: &Case, message: &Message, text: &mut String) {
    for (name, value) in &message.fields {
        if case.show.contains(name) {
            let _ = write!(text, " {{{name}: {}}}", brief(value));
        }
    }
}

fn body(message: &Message, text: &mut String) {
    if !message.body.is_empty() {
        let _ = write!(text, " \"{}\"", brief(&message.body));
    }
    if !message.complete && message.framing != Framing::Close {
        text.push_str(" unfinished");
    }
}

fn brief(bytes: &[u8]) -> String {
    if bytes.len() <= SHOWN {
        return escaped(bytes);
    }
    format!("{}... ({} bytes)", escaped(&bytes[..SHOWN / 2]), bytes.len())
}
