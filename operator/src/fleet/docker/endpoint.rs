//! Where the engine is: as docker's own command finds it, and where rootless engines and podman have their sockets.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use serde::Deserialize;

/// What tells where the engine is. The command line and the environment are read by the caller.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Chosen on the command line.
    pub chosen: Option<String>,
    /// `DOCKER_CONTEXT`, which wins over `DOCKER_HOST`.
    pub context: Option<String>,
    /// `DOCKER_HOST`.
    pub host: Option<String>,
    /// `DOCKER_TLS_VERIFY` is set.
    pub tls: bool,
    /// `DOCKER_CONFIG`; otherwise `.docker` in [`Surroundings::home`].
    pub config: Option<PathBuf>,
    /// The user's own folder.
    pub home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
}

/// An address that an engine listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Host and port, unencrypted.
    Tcp(String),
}

/// Why there is no engine to talk to.
#[derive(Debug, thiserror::Error)]
pub enum NoEndpoint {
    /// Nothing was named, and no socket is where engines have theirs.
    #[error(
        "no container engine found: start one (Docker, Podman: systemctl --user start podman.socket), or name its address with --engine or DOCKER_HOST; looked at {looked}"
    )]
    Nowhere {
        /// All paths.
        looked: String,
    },
    /// A socket that is there and not ours to use.
    #[error("{path} may not be used by this user: join its group (docker), or start a rootless engine")]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// The context is not there.
    #[error("there is no docker context {name:?} below {dir}: docker context ls lists them")]
    Context {
        /// Its name.
        name: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// A file of docker's that is not understood.
    #[error("{path} is not understood: {why}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// An address of a kind that is not spoken here.
    #[error(
        "{address}: only unix:// and plain tcp:// are spoken; an engine behind ssh or TLS is reached over a forwarded socket: ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST, then --engine unix:///tmp/engine.sock"
    )]
    Scheme {
        /// As it was given.
        address: String,
    },
}

/// The part of docker's configuration that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    current_context: Option<String>,
}

/// A context, as docker keeps it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Context {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    #[serde(default)]
    docker: Option<Host>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Host {
    #[serde(default)]
    host: String,
}

// === impl Surroundings ===

impl Surroundings {
    /// The engine's address: chosen, then `DOCKER_CONTEXT`, `DOCKER_HOST`, the current context, the usual sockets.
    ///
    /// # Errors
    /// Where none is found, or it is of a kind that is not spoken.
    pub fn endpoint(&self) -> Result<Endpoint, NoEndpoint> {
        let some = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(chosen) = some(&self.chosen) {
            return Endpoint::parse(&chosen, false);
        }
        let named = |context: &Option<String>| some(context).filter(|name| name != "default");
        if let Some(context) = named(&self.context) {
            return self.of_context(&context);
        }
        if let Some(host) = some(&self.host) {
            return Endpoint::parse(&host, self.tls);
        }
        if some(&self.context).is_none()
            && let Some(context) = named(&self.current_context()?)
        {
            return self.of_context(&context);
        }
        self.usual()
    }

    fn config_dir(&self) -> Option<PathBuf> {
        self.config
            .clone()
            .or_else(|| Some(self.home.as_ref()?.join(".docker")))
    }

    fn current_context(&self) -> Result<Option<String>, NoEndpoint> {
        let Some(path) = self.config_dir().map(|dir| dir.join("config.json")) else {
            return Ok(None);
        };
        match fs::read(&path) {
            Ok(text) => Ok(read::<Config>(path, &text)?.current_context),
            // Who has none uses no contexts.
            Err(_) => Ok(None),
        }
    }

    fn of_context(&self, name: &str) -> Result<Endpoint, NoEndpoint> {
        let dir = self.config_dir().unwrap_or_default().join("contexts/meta");
        // A folder is named by a hash of the context's name, which the file in it has in plain.
        for folder in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = folder.path().join("meta.json");
            let Ok(text) = fs::read(&path) else { continue };
            let context: Context = read(path, &text)?;
            if context.name == name {
                let host = context.endpoints.docker.map(|docker| docker.host).unwrap_or_default();
                let tls = dir
                    .with_file_name("tls")
                    .join(folder.file_name())
                    .join("docker")
                    .is_dir();
                return Endpoint::parse(&host, tls);
            }
        }
        Err(NoEndpoint::Context {
            name: name.to_owned(),
            dir,
        })
    }

    /// The first of the usual sockets that may be used.
    fn usual(&self) -> Result<Endpoint, NoEndpoint> {
        let in_runtime = |path: &str| self.runtime.as_ref().map(|dir| dir.join(path));
        let in_home = |path: &str| self.home.as_ref().map(|dir| dir.join(path));
        let sockets = [
            Some(PathBuf::from("/var/run/docker.sock")),
            in_runtime("docker.sock"),
            in_home(".docker/run/docker.sock"),
            in_home(".docker/desktop/docker.sock"),
            in_home(".rd/docker.sock"),
            in_home(".colima/default/docker.sock"),
            in_runtime("podman/podman.sock"),
            Some(PathBuf::from("/run/podman/podman.sock")),
        ];
        let sockets: Vec<PathBuf> = sockets.into_iter().flatten().collect();
        let there: Vec<&PathBuf> = sockets.iter().filter(|path| path.exists()).collect();
        if let Some(path) = there.iter().find(|path| usable(path)) {
            return Ok(Endpoint::Unix(PathBuf::clone(path)));
        }
        Err(match there.first() {
            Some(path) => NoEndpoint::Forbidden {
                path: PathBuf::clone(path),
            },
            None => NoEndpoint::Nowhere {
                looked: sockets
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            },
        })
    }
}

fn usable(path: &Path) -> bool {
    access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

fn read<T: for<'de> Deserialize<'de>>(path: PathBuf, text: &[u8]) -> Result<T, NoEndpoint> {
    serde_json::from_slice(text).map_err(|error| NoEndpoint::Config {
        path,
        why: error.to_string(),
    })
}

// === impl Endpoint ===

impl Endpoint {
    /// `unix:///run/x.sock`, `tcp://host:2375`.
    fn parse(address: &str, tls: bool) -> Result<Self, NoEndpoint> {
        let refused = || NoEndpoint::Scheme {
            address: address.to_owned(),
        };
        match address.split_once("://") {
            Some(("unix", path)) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(("tcp" | "http", host)) if !tls && !host.is_empty() => {
                Ok(Self::Tcp(host.trim_end_matches('/').to_owned()))
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir_with_context(name: &str, host: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path().join("contexts/meta/0123abcd");
        fs::create_dir_all(&meta).unwrap();
        let text = format!(
            r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
        );
        fs::write(meta.join("meta.json"), text).unwrap();
        dir
    }

    #[test]
    fn what_is_nearer_to_the_user_wins() {
        let dir = dir_with_context("lab", "unix:///run/lab.sock");
        fs::write(dir.path().join("config.json"), r#"{"auths":{},"currentContext":"lab"}"#).unwrap();
        let mut around = Surroundings {
            config: Some(dir.path().to_owned()),
            ..Surroundings::default()
        };
        let endpoint = |around: &Surroundings| around.endpoint().unwrap().to_string();
        assert_eq!(endpoint(&around), "unix:///run/lab.sock");
        around.host = Some("tcp://10.0.0.1:2375/".to_owned());
        assert_eq!(endpoint(&around), "tcp://10.0.0.1:2375");
        around.context = Some("lab".to_owned());
        assert_eq!(endpoint(&around), "unix:///run/lab.sock");
        around.context = Some("default".to_owned());
        assert_eq!(
            endpoint(&around),
            "tcp://10.0.0.1:2375",
            "default is what DOCKER_HOST says"
        );
        around.chosen = Some("unix:///run/mine.sock".to_owned());
        assert_eq!(endpoint(&around), "unix:///run/mine.sock");
    }

    #[test]
    fn what_is_not_spoken_is_refused_with_the_way_around() {
        for (address, tls) in [
            ("ssh://me@host", false),
            ("https://host:2376", false),
            ("tcp://host:2376", true),
            ("npipe:////./pipe/docker_engine", false),
            ("/var/run/docker.sock", false),
            ("unix://relative", false),
            ("", false),
        ] {
            let error = Endpoint::parse(address, tls).unwrap_err();
            assert!(error.to_string().contains("forwarded socket"), "{error}");
        }
    }

    #[test]
    fn a_context_that_is_not_there_is_named() {
        let dir = dir_with_context("lab", "unix:///run/lab.sock");
        let around = Surroundings {
            context: Some("moon".to_owned()),
            config: Some(dir.path().to_owned()),
            ..Surroundings::default()
        };
        assert!(around.endpoint().unwrap_err().to_string().contains("\"moon\""));
    }

    #[test]
    fn a_rootless_socket_and_podmans_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings {
            runtime: Some(dir.path().to_owned()),
            ..Surroundings::default()
        };
        fs::create_dir(dir.path().join("podman")).unwrap();
        for name in ["podman/podman.sock", "docker.sock"] {
            let path = dir.path().join(name);
            fs::write(&path, "").unwrap();
            let found = around.endpoint().unwrap();
            // A machine that has an engine of its own has that first.
            let system = Path::new("/var/run/docker.sock");
            assert!(
                found == Endpoint::Unix(path) || found == Endpoint::Unix(system.to_owned()),
                "{found}"
            );
        }
    }
}
