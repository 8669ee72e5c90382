//! What can go wrong between us and the engine.

use super::endpoint::NoEndpoint;

/// Why the engine could not do something: its own words where it has any.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says where the engine is.
    #[error(transparent)]
    Endpoint(#[from] NoEndpoint),
    /// It can not be reached, or broke off.
    #[error("the engine at {endpoint} does not answer: {why}")]
    Away {
        /// Its address.
        endpoint: String,
        /// What happened.
        why: String,
    },
    /// It is too old.
    #[error(
        "the engine at {endpoint} speaks API {version}: at least {} is needed (Docker 20.10, Podman 3)",
        super::engine::OLDEST
    )]
    Old {
        /// Its address.
        endpoint: String,
        /// What it speaks.
        version: String,
    },
    /// The image is not there, and can not be had.
    #[error(
        "image {image} is not on the engine and could not be pulled ({why}): build it there, or load it with: docker load -i FILE"
    )]
    Image {
        /// As the template names it.
        image: String,
        /// What the engine said.
        why: String,
    },
    /// The image's user is root, and the template says that it must not be.
    #[error(
        "spec.template.spec.containers[0].securityContext.runAsNonRoot: image {image} runs as root: set runAsUser, or another image"
    )]
    Root {
        /// The image.
        image: String,
    },
    /// A container of somebody else has the name.
    #[error(
        "a container named {name} is there already and is none of this pool: it is left alone, another name is tried"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The engine runs, and none of its networks is reached from here.
    #[error(
        "the engine at {endpoint} is on another machine: its containers can not be reached from here; run lbpool there, or set --publish never where its network is routed"
    )]
    Elsewhere {
        /// Its address.
        endpoint: String,
    },
    /// The network is not there, and not ours to make.
    #[error(
        "the engine has no network {name}: make it (kind create cluster makes kind), or name another one with --network"
    )]
    NoNetwork {
        /// Its name.
        name: String,
    },
    /// The engine's network is not reached from here, and has to be.
    #[error(
        "network {network} of the engine at {endpoint} is not reached from this machine (a rootless engine, or one in a virtual machine): run the operator where it is"
    )]
    Unrouted {
        /// The engine's address.
        endpoint: String,
        /// The network.
        network: String,
    },
    /// A container that runs and has no address to be reached at.
    #[error("container {name} has no address on network {network}")]
    Unaddressed {
        /// The container.
        name: String,
        /// The network.
        network: String,
    },
    /// What was asked for is not there.
    #[error("the engine has no such {what}")]
    Missing {
        /// What was asked for.
        what: &'static str,
    },
    /// It is there already, or in the way.
    #[error("the engine refused the {what}: {why}")]
    Conflict {
        /// What was asked for.
        what: &'static str,
        /// The engine's words.
        why: String,
    },
    /// The engine said no.
    #[error("the engine refused the {what}: {why}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The engine's words.
        why: String,
    },
}

impl Error {
    /// Whether the same may work once the engine is back.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// Whether what was asked for is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}
