//! Where members run: one trait, and a fleet per kind of place.
//!
//! Same validate, same plan, same status everywhere; only how instances are seen and changed differs.

mod backoff;
#[cfg(feature = "docker")]
pub mod docker;
mod env;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod logs;
mod orders;
mod probe;
pub mod process;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use lbpool_core::{
    Instance, ValidPool,
    plan::{Create, Delete},
    validate::Problem,
};

/// Where the members of a pool run.
pub trait Fleet: Send + Sync {
    /// Whether this fleet can run the pool's template at all: asked before a spec is taken.
    ///
    /// # Errors
    /// What of the template can not be run here, and what to do about it.
    fn check(&self, pool: &ValidPool) -> Result<(), Error>;

    /// Makes what members and balancers need around them as the pool says now; nothing where it is there already.
    fn provide(&self, _pool: &ValidPool) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Every instance of the pool, those that end included.
    fn observe(&self) -> impl Future<Output = Result<Vec<Instance>, Error>> + Send;

    /// Probes the members that run as the pool's `health` says now: an edit of it makes no new instance. Nothing to do
    /// for a fleet that probes nobody itself.
    fn probe(&self, _pool: &ValidPool) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Makes an instance. A name that exists is no error, so a repeated request makes no second instance.
    fn create(&self, pool: &ValidPool, create: &Create) -> impl Future<Output = Result<Created, Error>> + Send;

    /// Tells an instance to end: SIGTERM, SIGKILL after `grace`. Returns at once; the instance is listed until it has
    /// ended. One that is gone already is no error.
    fn delete(&self, delete: &Delete, grace: Duration) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns when something may look different from the last [`Fleet::observe`]. For one caller at a time; a change
    /// between two calls is not lost.
    fn changed(&self) -> impl Future<Output = ()> + Send;

    /// Ends what must not outlive the controller and waits for it. Nothing is created from then on.
    fn shutdown(&self, grace: Duration) -> impl Future<Output = ()> + Send;
}

/// What came of [`Fleet::create`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was made.
    New,
    /// An instance of this name is there already.
    Exists,
    /// It was not made: the last ones in this seat failed too quickly.
    NotBefore {
        /// When to ask again.
        at: Timestamp,
        /// What happened to the last one.
        why: String,
    },
}

/// Why a fleet could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The template asks for what this fleet does not have.
    #[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Template {
        /// All of it, by field path.
        problems: Vec<Problem>,
    },
    /// The program is not on this machine.
    #[error(
        "spec.template.spec.containers[0].command: program {program:?} not found{looked}; build or install it, or give its full path"
    )]
    Program {
        /// As the template names it.
        program: String,
        /// Where it was looked for, as the rest of a sentence.
        looked: String,
    },
    /// The working directory is not on this machine.
    #[error(
        "spec.template.spec.containers[0].workingDir: {path:?} is no directory on this machine; make it, or leave workingDir out"
    )]
    WorkingDir {
        /// The directory.
        path: PathBuf,
    },
    /// The program is there and does not start.
    #[error("could not start {program:?}")]
    Start {
        /// Its path.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Every port is taken.
    #[error("no free port on 127.0.0.1 between {first} and {last}: end what uses them")]
    NoPort {
        /// First of the range.
        first: u16,
        /// Last of the range.
        last: u16,
    },
    /// A file or folder that the fleet keeps can not be used.
    #[error("can not use {path:?}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The container engine can not be used.
    #[cfg(feature = "docker")]
    #[error(transparent)]
    Engine(#[from] docker::Error),
    /// An API server did not do what it was asked.
    #[error("could not {verb} {object}")]
    Api {
        /// What it was asked to do: `create`, `delete`, ...
        verb: &'static str,
        /// With what: `Pod web-0-abcde`.
        object: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The name that an instance must have belongs to somebody else's.
    #[error("Pod {name} exists and is not of this pool: delete or rename it")]
    Stranger {
        /// The name.
        name: String,
    },
    /// The fleet was shut down.
    #[error("the fleet has been shut down")]
    Ended,
}

impl Error {
    /// Whether only another spec helps.
    #[must_use]
    pub const fn needs_edit(&self) -> bool {
        matches!(self, Self::Template { .. })
    }
}

impl<F: Fleet> Fleet for Arc<F> {
    fn check(&self, pool: &ValidPool) -> Result<(), Error> {
        F::check(self, pool)
    }

    async fn provide(&self, pool: &ValidPool) -> Result<(), Error> {
        F::provide(self, pool).await
    }

    async fn observe(&self) -> Result<Vec<Instance>, Error> {
        F::observe(self).await
    }

    async fn probe(&self, pool: &ValidPool) -> Result<(), Error> {
        F::probe(self, pool).await
    }

    async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Created, Error> {
        F::create(self, pool, create).await
    }

    async fn delete(&self, delete: &Delete, grace: Duration) -> Result<(), Error> {
        F::delete(self, delete, grace).await
    }

    async fn changed(&self) {
        F::changed(self).await;
    }

    async fn shutdown(&self, grace: Duration) {
        F::shutdown(self, grace).await;
    }
}
