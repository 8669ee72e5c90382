//! Control requests: read as a whole, handed over, answered.

use std::time::Duration;

use bytes::Bytes;
use lbpool_http1::{
    RequestHead,
    reply::{self, To},
};
use tokio::{sync::oneshot, time::timeout};

use super::{
    connection::{Connection, Next},
    error::{Cause, Failure, Reason, Stage},
    http1::Message,
    io::read,
};
use crate::{
    control::{BODY_MAX, Reply, Request},
    deadline::Elapsed,
    worker::Worker,
};

/// How long whoever takes control requests may take. It has a time-out of its own, which is shorter.
const ANSWER: Duration = Duration::from_mins(1);

impl Connection {
    /// Gets a control request answered.
    pub(super) async fn control(&mut self, message: &Message) -> Next {
        let body = match self.whole_body(message).await {
            Ok(body) => body,
            Err(cause) => {
                return self
                    .fail(
                        &Failure {
                            stage: Stage::Unsent,
                            cause,
                        },
                        true,
                        message.id(),
                    )
                    .await;
            }
        };
        let close = self.worker.leaving() || !self.request.keep_alive();
        let to = To {
            method: self.request.method(),
            version: self.request.version(),
            close,
            date: "",
            request_id: message.id(),
        };
        let handed = hand_over(&self.worker, self.request.head(message.head()), body).await;
        match handed {
            Ok(Reply { status, body }) => self.json(status, &body, &to).await,
            Err((reason, why)) => self.answer(reason, why, &to).await,
        }
        if close { Next::Linger } else { Next::Request }
    }

    async fn whole_body(&mut self, message: &Message) -> Result<Vec<u8>, Cause> {
        let mut body = lbpool_http1::Body::new(self.request.framing());
        let mut data = Vec::new();
        body.decode(message.first(), BODY_MAX, &mut data)
            .map_err(Cause::Client)?;
        if !body.is_done() && self.request.expects_continue() {
            self.say(reply::CONTINUE).await;
        }
        let limit = self.worker.shared.config.limits.client_timeout;
        while !body.is_done() {
            let page = self
                .sending
                .within(limit, read(&self.worker.pages, &mut self.stream))
                .await;
            let page = page
                .map_err(|Elapsed| Cause::ClientSlow)?
                .map_err(|_| Cause::ClientGone)?;
            if page.is_empty() {
                return Err(Cause::ClientGone);
            }
            let n = body.decode(&page, BODY_MAX, &mut data).map_err(Cause::Client)?;
            self.left.extend_from_slice(&page[n..]);
        }
        Ok(data)
    }
}

/// Hands a control request over to whoever takes them.
pub(super) async fn hand_over(
    worker: &Worker,
    head: RequestHead<'_>,
    body: Vec<u8>,
) -> Result<Reply, (Reason, &'static str)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let (reply, answer) = oneshot::channel();
    let request = Request {
        method: head.method_name().to_owned(),
        path: head.path().to_owned(),
        host: Some(head.authority())
            .filter(|host| !host.is_empty())
            .map(str::to_owned),
        origin: head.header("Origin").next().map(text),
        body: Bytes::from(body),
        reply,
    };
    let busy = (Reason::ControlBusy, "too many control requests wait already: try again");
    let sender = worker.shared.config.control.as_ref().ok_or(busy)?;
    sender.try_send(request).map_err(|_| busy)?;
    match timeout(ANSWER, answer).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(_)) => Err((
            Reason::ControlBusy,
            "control requests are not taken now: the process is ending",
        )),
        Err(_) => Err((
            Reason::ControlTimeout,
            "the control request was not answered in time; it may still be carried out",
        )),
    }
}
