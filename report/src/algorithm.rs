//! The algorithms that are compared.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How keys are spread over servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// The assignment's own functions on 512 slots.
    Classroom,
    /// Virtual nodes on a circle.
    Ring,
    /// The Maglev paper's table.
    Maglev,
    /// Capped rendezvous.
    Rendezvous,
}

impl Algorithm {
    /// All of them, in the order in which the report shows them.
    pub const ALL: [Self; 4] = [Self::Classroom, Self::Ring, Self::Maglev, Self::Rendezvous];

    /// As a pool's spec writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classroom => "Classroom",
            Self::Ring => "Ring",
            Self::Maglev => "Maglev",
            Self::Rendezvous => "Rendezvous",
        }
    }

    /// As file names and style sheets write it.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Classroom => "classroom",
            Self::Ring => "ring",
            Self::Maglev => "maglev",
            Self::Rendezvous => "rendezvous",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Algorithm> for lbpool_ring::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Classroom => Self::Classroom,
            Algorithm::Ring => Self::Ring,
            Algorithm::Maglev => Self::Maglev,
            Algorithm::Rendezvous => Self::Rendezvous,
        }
    }
}
