//! Looks into a request's body before it is known where the request goes.

use std::borrow::Cow;

use lbpool_http1::{Body, Framing};
use tokio::{io::AsyncReadExt as _, time::Instant};

use super::{
    connection::Connection,
    error::{Cause, Failure, Stage},
    http1::Message,
    io::read,
};
use crate::{
    config::Limits,
    deadline::Elapsed,
    json,
    key::{self, Asked},
    page::{PAGE, Page},
};

/// What a client that waits with its body is told: nobody else can say so, before it is known whom to ask.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

// What is read waits in `left`, which has a page.
const _: () = assert!(Limits::KEY_BODY_MAX <= PAGE);

impl Connection {
    /// Finds what the policy looks for in the body, where its key may be there: nothing where it is no JSON, or longer than the
    /// limit. The request stays as it came: what is read of the body goes behind its head, as if both had come at once.
    pub(super) async fn look_into(&mut self, message: &mut Message) -> Result<(), Failure> {
        let head = self.request.head(message.head());
        let asked = Asked {
            head,
            client: self.source(head),
            body: &[],
        };
        if !key::is_in_body(&self.worker.snapshot().policy, asked) {
            return Ok(());
        }
        let limit = self
            .worker
            .shared
            .config
            .limits
            .key_body_bytes
            .min(Limits::KEY_BODY_MAX);
        let framing = self.request.framing();
        match framing {
            Framing::None => return Ok(()),
            Framing::Length(length) if length > limit as u64 => return Ok(()),
            Framing::Length(_) | Framing::Chunked | Framing::Close => {}
        }
        let Some(rest) = self.read_body(message, limit).await? else {
            return Ok(());
        };
        let length = (message.first().len() + rest) as u64;
        if let Some(most) = self
            .worker
            .shared
            .config
            .limits
            .body_bytes
            .filter(|most| length > *most)
        {
            return Err(failed(Cause::BodyTooLarge(most)));
        }
        let taken = rest == 0 || message.complete(&self.left[..rest], &self.worker.pages);
        let raw = if taken {
            Cow::Borrowed(message.first())
        } else {
            Cow::Owned([message.first(), &self.left[..rest]].concat())
        };
        // The newest policy, which may be another one by now.
        let found = json::find(&data(framing, &raw)?, &self.worker.snapshot().policy.pointers);
        if taken && rest > 0 {
            // Not drained: a connection is not to keep the memory of its longest body.
            self.left = self.left.split_off(rest);
        }
        message.found = found;
        Ok(())
    }

    /// Reads the body to its end: how many bytes of `left` are its rest. `None`: it is longer than `limit`.
    ///
    /// All of it has to come within the client's time, so that nobody holds the memory of many bodies by sending them slowly.
    async fn read_body(&mut self, message: &mut Message, limit: usize) -> Result<Option<usize>, Failure> {
        let begun = Instant::now();
        let mut body = message.body.clone();
        let mut room = limit.checked_sub(message.first().len());
        if body.is_done() {
            return Ok(room.map(|_| 0));
        }
        if self.request.expects_continue() && message.first().is_empty() {
            self.go_on().await?;
            message.continued = true;
        }
        // Nothing else is in it: the body goes on behind what was read.
        let mut rest = self.left.len();
        while !body.is_done() {
            // Chunks and their extensions count, or a body of tiny ones would be read without an end.
            let Some(left) = room.filter(|left| *left > 0) else {
                return Ok(None);
            };
            let page = self.more(left, begun).await?;
            let n = body.feed(&page).map_err(|error| failed(Cause::Client(error)))?;
            self.left.extend_from_slice(&page);
            room = Some(left - page.len());
            rest += n;
        }
        Ok(Some(rest))
    }

    /// Tells a client that waits with its body to send it.
    async fn go_on(&mut self) -> Result<(), Failure> {
        let limit = self.worker.shared.config.limits.client_timeout;
        let (_, to) = self.stream.split();
        let written = self.sending.within(limit, to.write_all(CONTINUE, &[])).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(Elapsed) => Err(failed(Cause::ClientGone)),
        }
    }

    /// What the client sends next, at most `room` bytes.
    async fn more(&mut self, room: usize, begun: Instant) -> Result<Page, Failure> {
        let limit = self.worker.shared.config.limits.client_timeout;
        let left = limit.saturating_sub(begun.elapsed());
        let mut from = self.stream.split().0.take(room as u64);
        match self.sending.within(left, read(&self.worker.pages, &mut from)).await {
            Err(Elapsed) => Err(failed(Cause::ClientSlow)),
            Ok(Ok(page)) if !page.is_empty() => Ok(page),
            Ok(_) => Err(failed(Cause::ClientGone)),
        }
    }
}

/// A whole body without its chunks.
fn data(framing: Framing, raw: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    if framing != Framing::Chunked {
        return Ok(Cow::Borrowed(raw));
    }
    let mut data = Vec::with_capacity(raw.len());
    let decoded = Body::new(framing).decode(raw, raw.len(), &mut data);
    decoded.map_err(|error| failed(Cause::Client(error)))?;
    Ok(Cow::Owned(data))
}

/// Nobody has seen anything of the request yet.
const fn failed(cause: Cause) -> Failure {
    Failure {
        stage: Stage::Unsent,
        cause,
    }
}
