//! The engine's API, as far as it is needed: each call answers in our terms.

use std::{collections::HashMap, fmt, time::Duration};

use bollard::{
    API_DEFAULT_VERSION, ClientVersion, Docker,
    container::LogOutput,
    errors::Error as Cause,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerSummary, CreateImageInfo, EventMessage, ImageInspect,
        NetworkCreateRequest, NetworkInspect, SystemInfo,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, EventsOptionsBuilder, InspectNetworkOptions,
        KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
        StopContainerOptionsBuilder,
    },
};
use futures_util::{Stream, StreamExt as _};

use super::{Error, endpoint::Endpoint};

/// The oldest API that is spoken: Docker 20.10, and what Podman says of itself.
pub(super) const OLDEST: ClientVersion = ClientVersion {
    major_version: 1,
    minor_version: 41,
};
/// How long an answer may take; stopping a container takes its grace besides.
const PATIENCE: Duration = Duration::from_secs(30);
/// A grace is not known from outside: longer ones are cut.
#[cfg(feature = "kubernetes")]
const LONGEST_GRACE: Duration = Duration::from_mins(5);
/// Pulling says little while it unpacks.
const PULL_PATIENCE: Duration = Duration::from_mins(5);

/// A container engine. Clones speak to the same one; each call makes a connection of its own.
#[derive(Clone)]
pub(super) struct Engine {
    docker: Docker,
    endpoint: Endpoint,
}

impl Engine {
    /// Reaches the engine and agrees on what is spoken.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, Error> {
        let at = endpoint.to_string();
        let away = |cause: &Cause| Error::Away {
            endpoint: at.clone(),
            why: chain(cause),
        };
        let docker = match &endpoint {
            Endpoint::Unix(_) => Docker::connect_with_unix(&at, PATIENCE.as_secs(), API_DEFAULT_VERSION),
            Endpoint::Tcp(_) => Docker::connect_with_http(&at, PATIENCE.as_secs(), API_DEFAULT_VERSION),
        };
        let docker = docker.map_err(|cause| away(&cause))?;
        let docker = docker.negotiate_version().await.map_err(|cause| away(&cause))?;
        let version = docker.client_version();
        if version < OLDEST {
            return Err(Error::Old {
                endpoint: at,
                version: version.to_string(),
            });
        }
        tracing::info!(engine = at, api = %version, "container engine found");
        Ok(Self { docker, endpoint })
    }

    /// Its address.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub async fn info(&self) -> Result<SystemInfo, Error> {
        self.answer("engine", self.docker.info().await)
    }

    pub async fn ping(&self) -> Result<(), Error> {
        self.answer("engine", self.docker.ping().await).map(drop)
    }

    pub async fn image(&self, name: &str) -> Result<ImageInspect, Error> {
        self.answer("image", self.docker.inspect_image(name).await)
    }

    /// Pulls an image: what the engine says meanwhile.
    pub fn pull(&self, name: &str) -> impl Stream<Item = Result<CreateImageInfo, Error>> + use<> {
        let options = CreateImageOptionsBuilder::new().from_image(name).build();
        let patient = self.docker.clone().with_timeout(PULL_PATIENCE);
        let engine = self.clone();
        patient
            .create_image(Some(options), None, None)
            .map(move |said| engine.answer("image", said))
    }

    pub async fn network(&self, name: &str) -> Result<NetworkInspect, Error> {
        let inspected = self.docker.inspect_network(name, None::<InspectNetworkOptions>).await;
        self.answer("network", inspected)
    }

    pub async fn create_network(&self, request: NetworkCreateRequest) -> Result<(), Error> {
        self.answer("network", self.docker.create_network(request).await)
            .map(drop)
    }

    pub async fn remove_network(&self, id: &str) -> Result<(), Error> {
        self.answer("network", self.docker.remove_network(id).await)
    }

    /// Containers with all of these labels, those that have ended included.
    pub async fn list(&self, labels: &[String]) -> Result<Vec<ContainerSummary>, Error> {
        let filters = HashMap::from([("label", labels.iter().map(String::as_str).collect())]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        self.answer("list", self.docker.list_containers(Some(options)).await)
    }

    /// Makes a container. Gives its id.
    pub async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<String, Error> {
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let created = self.docker.create_container(Some(options), body).await;
        self.answer("container", created).map(|created| created.id)
    }

    pub async fn start(&self, id: &str) -> Result<(), Error> {
        self.answer("start", self.docker.start_container(id, None).await)
    }

    pub async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, Error> {
        self.answer("container", self.docker.inspect_container(id, None).await)
    }

    /// SIGTERM, or the image's own signal, and SIGKILL after `grace`; returns when it has ended.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), Error> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let patient = self.docker.clone().with_timeout(PATIENCE + grace);
        self.answer("stop", patient.stop_container(id, Some(options)).await)
    }

    /// The same with the grace that the container was made with. One that is gone or has ended is no error.
    #[cfg(feature = "kubernetes")]
    pub async fn end(&self, id: &str) -> Result<(), Error> {
        let patient = self.docker.clone().with_timeout(LONGEST_GRACE);
        let options = StopContainerOptionsBuilder::new().build();
        let stopped = patient.stop_container(id, Some(options)).await;
        match self.answer("stop", stopped) {
            // It is killed with its removal.
            Ok(()) | Err(Error::Missing { .. } | Error::Refused { .. } | Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        match self.remove(id).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    pub async fn kill(&self, id: &str) -> Result<(), Error> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        self.answer("kill", self.docker.kill_container(id, Some(options)).await)
    }

    /// Removes a container, running or not, with the volumes that are its own.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        self.answer("removal", self.docker.remove_container(id, Some(options)).await)
    }

    /// What a container prints, from a time in seconds on, until it ends.
    pub fn logs(&self, id: &str, since: i64) -> impl Stream<Item = Result<LogOutput, Error>> + use<> {
        let options = LogsOptionsBuilder::new()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .since(i32::try_from(since).unwrap_or(0))
            .build();
        let engine = self.clone();
        self.docker
            .logs(id, Some(options))
            .map(move |said| engine.answer("logs", said))
    }

    /// What happens to containers with all of these labels, from a time in seconds on.
    pub fn events(&self, labels: &[String], since: i64) -> impl Stream<Item = Result<EventMessage, Error>> + use<> {
        let filters = HashMap::from([
            ("type", vec!["container"]),
            ("label", labels.iter().map(String::as_str).collect()),
        ]);
        let options = EventsOptionsBuilder::new()
            .since(&since.to_string())
            .filters(&filters)
            .build();
        let engine = self.clone();
        self.docker
            .events(Some(options))
            .map(move |said| engine.answer("events", said))
    }

    fn answer<T>(&self, what: &'static str, said: Result<T, Cause>) -> Result<T, Error> {
        said.map_err(|cause| match cause {
            Cause::DockerResponseServerError {
                status_code: 404,
                message,
            } if what == "start" => Error::Refused { what, why: message },
            Cause::DockerResponseServerError { status_code: 404, .. } => Error::Missing { what },
            Cause::DockerResponseServerError {
                status_code: 409,
                message,
            } => Error::Conflict { what, why: message },
            Cause::DockerResponseServerError { message, .. } => Error::Refused { what, why: message },
            Cause::DockerStreamError { error } => Error::Refused { what, why: error },
            Cause::RequestTimeoutError => Error::Away {
                endpoint: self.endpoint.to_string(),
                why: format!("no answer within {PATIENCE:?}"),
            },
            cause @ (Cause::JsonDataError { .. } | Cause::JsonSerdeError { .. } | Cause::StrParseError { .. }) => {
                Error::Refused {
                    what,
                    why: chain(&cause),
                }
            }
            cause => Error::Away {
                endpoint: self.endpoint.to_string(),
                why: chain(&cause),
            },
        })
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(&self.endpoint).finish()
    }
}

/// The last cause tells a person most: `No such file or directory`, not "error in the client".
fn chain(cause: &Cause) -> String {
    let mut last: &dyn std::error::Error = cause;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
