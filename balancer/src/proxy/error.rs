//! What goes wrong with a request, whose fault it is, and what its client is told.

use std::io;

use lbpool_http1::Reply;

/// Why a request got an answer of our own: the header `X-Lbpool-Reason`, and a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is malformed.
    Malformed,
    /// The request's end can be read in two ways.
    Ambiguous,
    /// The head or the body of the request exceeds a limit.
    TooLarge,
    /// A part of HTTP that is not served.
    Unsupported,
    /// The request belongs on another connection, or it goes round in circles.
    Misdirected,
    /// The client took too long for the head.
    HeadTimeout,
    /// The client took too long between two parts of the body.
    BodyTimeout,
    /// There is no member, or nothing is known of any yet.
    NoMember,
    /// The owner of the key is away, and the policy lets nobody else serve it.
    MemberAway,
    /// No connection to a member came about.
    ConnectFailed,
    /// No connection to a member came about in time.
    ConnectTimeout,
    /// The member closed the connection before it had answered.
    MemberClosed,
    /// The member's answer is not HTTP/1.1 as it should be.
    BadAnswer,
    /// The member did not answer in time.
    ResponseTimeout,
    /// Nobody takes control requests now.
    ControlBusy,
    /// A control request was not answered in time.
    ControlTimeout,
}

/// Where an attempt was when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing had left: there was no connection, or it took not one byte.
    Unsent,
    /// The member may have seen the request; the client has seen nothing of an answer.
    Waiting,
    /// The client has seen a part of an answer.
    Answering,
}

/// How an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) cause: Cause,
}

/// Whose fault it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// The client went away.
    #[error("the client went away")]
    ClientGone,
    /// What the client sent is wrong.
    #[error("{0}")]
    Client(lbpool_http1::Error),
    /// The client does not send, or does not take, what it should.
    #[error("the client took too long between two parts of the body")]
    ClientSlow,
    /// The body exceeds our limit.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(u64),
    /// No connection to the member came about.
    #[error("no connection to the member: {0}")]
    Connect(io::Error),
    /// The connection to the member ended too early.
    #[error("the member closed the connection before it had answered: {0}")]
    Reset(io::Error),
    /// What the member sent is wrong.
    #[error("the member's answer is malformed: {0}")]
    Answer(lbpool_http1::Error),
    /// What the member sent over HTTP/2 is wrong.
    #[error("the member's answer is malformed: {0}")]
    Protocol(h2::Error),
    /// The member ends its HTTP/2 connection, or has too many streams: it has not looked at the request.
    #[error("the member refused the request before it looked at it")]
    Refused,
    /// The member does not answer, or does not take, what it should.
    #[error("the member did not answer in time")]
    MemberSlow,
    /// The member does not answer, and its probes say that it is ill.
    #[error("the member did not answer, and is not well")]
    MemberHung,
    /// Nobody may serve the request now.
    #[error("the member that owns this key is away")]
    Away,
    /// Nobody is there.
    #[error("no member is there to answer")]
    Nobody,
}

// === impl Reason ===

impl Reason {
    /// Each of them, in the order of their counters.
    pub const ALL: &'static [Self] = &[
        Self::Malformed,
        Self::Ambiguous,
        Self::TooLarge,
        Self::Unsupported,
        Self::Misdirected,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::NoMember,
        Self::MemberAway,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::MemberClosed,
        Self::BadAnswer,
        Self::ResponseTimeout,
        Self::ControlBusy,
        Self::ControlTimeout,
    ];

    /// As it is written in `X-Lbpool-Reason` and in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::TooLarge => "too-large",
            Self::Unsupported => "unsupported",
            Self::Misdirected => "misdirected",
            Self::HeadTimeout => "head-timeout",
            Self::BodyTimeout => "body-timeout",
            Self::NoMember => "no-member",
            Self::MemberAway => "member-away",
            Self::ConnectFailed => "connect-failed",
            Self::ConnectTimeout => "connect-timeout",
            Self::MemberClosed => "member-closed",
            Self::BadAnswer => "bad-answer",
            Self::ResponseTimeout => "response-timeout",
            Self::ControlBusy => "control-busy",
            Self::ControlTimeout => "control-timeout",
        }
    }

    /// The status of the answer. Those that a request's fault decides about more closely say so themselves.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Ambiguous => 400,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::TooLarge => 413,
            Self::Misdirected => 421,
            Self::Unsupported => 501,
            Self::ConnectFailed | Self::MemberClosed | Self::BadAnswer => 502,
            Self::NoMember | Self::MemberAway | Self::ControlBusy => 503,
            Self::ConnectTimeout | Self::ResponseTimeout | Self::ControlTimeout => 504,
        }
    }

    /// The answer, with a message for people.
    pub(crate) const fn reply(self, message: &str) -> Reply<'_> {
        let status = self.status();
        let retry_after = if status == 503 { Some(1) } else { None };
        Reply {
            status,
            reason: self.label(),
            message,
            retry_after,
        }
    }
}

impl From<lbpool_http1::Error> for Reason {
    fn from(error: lbpool_http1::Error) -> Self {
        use lbpool_http1::Category;
        match error.category() {
            Category::Ambiguous => Self::Ambiguous,
            Category::TooLarge => Self::TooLarge,
            Category::Unsupported => Self::Unsupported,
            Category::Misdirected => Self::Misdirected,
            _ => Self::Malformed,
        }
    }
}

// === impl Stage ===

impl Stage {
    /// Whether a request that failed here may be sent again. `replayable`: all that was sent of it is still here.
    pub(crate) const fn may_retry(self, idempotent: bool, replayable: bool) -> bool {
        match self {
            Self::Unsent => replayable,
            Self::Waiting => idempotent && replayable,
            Self::Answering => false,
        }
    }
}

// === impl Cause ===

impl Cause {
    /// What the client is told; nothing, where nobody is there to hear it.
    pub(crate) fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::ClientGone => return None,
            Self::Client(error) => Reason::from(*error),
            Self::ClientSlow => Reason::BodyTimeout,
            Self::BodyTooLarge(_) => Reason::TooLarge,
            Self::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Reason::ConnectTimeout,
            Self::Connect(_) => Reason::ConnectFailed,
            Self::Reset(_) | Self::Refused => Reason::MemberClosed,
            Self::Answer(_) | Self::Protocol(_) => Reason::BadAnswer,
            Self::MemberSlow | Self::MemberHung => Reason::ResponseTimeout,
            Self::Away => Reason::MemberAway,
            Self::Nobody => Reason::NoMember,
        })
    }

    /// Whether another attempt may go better.
    pub(crate) const fn is_worth_another(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::Reset(_) | Self::Refused | Self::MemberHung
        )
    }
}
