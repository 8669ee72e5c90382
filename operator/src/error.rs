//! What can go wrong in a pass or an edit.

use std::{fmt::Write, time::Duration};

use lbpool_api::MemberName;
use lbpool_core::validate::Invalid;

use crate::{balancers, fleet};

/// Why a pass or an edit failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The spec is wrong.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The spec asks for what the fleet can not run.
    #[error(transparent)]
    Unfit(fleet::Error),
    /// What members and balancers need around them could not be made.
    #[error("could not provide what the pool needs")]
    Provide(#[source] fleet::Error),
    /// The routing document could not be read.
    #[error("could not read the routing document")]
    Stored(#[source] balancers::Refused),
    /// The instances could not be listed.
    #[error("could not list the members")]
    Observe(#[source] fleet::Error),
    /// An instance could not be made.
    #[error("{seat}: could not start {name}")]
    Create {
        /// Its seat.
        seat: MemberName,
        /// Its name.
        name: String,
        /// Why.
        source: fleet::Error,
    },
    /// An instance could not be told to end.
    #[error("{seat}: could not end {name}")]
    Delete {
        /// Its seat.
        seat: MemberName,
        /// Its name.
        name: String,
        /// Why.
        source: fleet::Error,
    },
    /// The table of a document could not be built.
    #[error("could not build the table of epoch {epoch}")]
    Table {
        /// The document's epoch.
        epoch: u64,
        /// Why.
        source: lbpool_ring::Error,
    },
    /// The thread that builds tables is gone.
    #[error("the table of epoch {epoch} was not built: its thread ended")]
    TableLost {
        /// The document's epoch.
        epoch: u64,
    },
    /// The balancers refused a document.
    #[error("could not publish epoch {epoch}")]
    Publish {
        /// The document's epoch.
        epoch: u64,
        /// Why.
        source: balancers::Refused,
    },
    /// Nobody knows whether the balancers took a document.
    #[error("epoch {epoch} was not confirmed within {within:?}: published again until it is")]
    Unconfirmed {
        /// The document's epoch.
        epoch: u64,
        /// How long it was waited for.
        within: Duration,
    },
    /// A change was accepted and is not routed yet.
    #[error("generation {generation} is not routed yet after {within:?}: {state}")]
    NotRouted {
        /// The generation of the spec.
        generation: i64,
        /// How long it was waited for.
        within: Duration,
        /// What the pool is waiting for.
        state: String,
    },
    /// The controller has ended.
    #[error("the pool has been shut down")]
    Ended,
}

/// What kind of failure it is: a closed set, label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// Only another spec helps.
    Spec,
    /// What surrounds the members could not be made.
    Provide,
    /// The fleet could not be seen.
    Observe,
    /// An instance could not be made.
    Create,
    /// An instance could not be ended.
    Delete,
    /// A document could not be published.
    Publish,
    /// It took too long, or the pool is being shut down.
    Late,
}

// === impl Error ===

impl Error {
    /// Why what members need around them could not be made: only another spec helps, or trying again may.
    pub(crate) const fn of_provide(error: fleet::Error) -> Self {
        if error.needs_edit() {
            Self::Unfit(error)
        } else {
            Self::Provide(error)
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::Invalid(_) | Self::Unfit(_) => Category::Spec,
            Self::Provide(_) => Category::Provide,
            Self::Observe(_) | Self::Stored(_) => Category::Observe,
            Self::Create { .. } => Category::Create,
            Self::Delete { .. } => Category::Delete,
            Self::Table { .. } | Self::TableLost { .. } | Self::Publish { .. } | Self::Unconfirmed { .. } => {
                Category::Publish
            }
            Self::NotRouted { .. } | Self::Ended => Category::Late,
        }
    }

    /// The message with its causes, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            // Writing into a String does not fail.
            _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }
}

// === impl Category ===

impl Category {
    /// As a label, and as the reason of a condition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spec => "InvalidSpec",
            Self::Provide => "ProvideFailed",
            Self::Observe => "ObserveFailed",
            Self::Create => "CreateFailed",
            Self::Delete => "DeleteFailed",
            Self::Publish => "PublishFailed",
            Self::Late => "Late",
        }
    }
}
