//! The engine, as docker's own command shows it: what a user would see, and what somebody else would do.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lbpool_tests::process::wait_for;

use super::LIMIT;

/// The engine that `DOCKER_HOST` names.
#[derive(Debug)]
pub struct Engine {
    /// It is ours: it may be stopped, and its disk filled.
    pub own: bool,
    /// The sample server's image, loaded.
    pub image: String,
}

/// A container, as `docker ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `running`, `exited` and so on.
    pub state: String,
    /// Its seat as written.
    pub seat: String,
}

/// Runs docker: what it prints.
///
/// # Errors
/// What it says where it fails.
pub fn docker(args: &[&str]) -> Result<String, String> {
    let Output { status, stdout, stderr } = Command::new("docker").args(args).output().unwrap();
    if status.success() {
        Ok(String::from_utf8(stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&stderr).into_owned())
    }
}

// === impl Engine ===

impl Engine {
    /// The engine, with the sample server's image and without containers of an earlier test.
    #[must_use]
    pub fn new() -> Self {
        let variable = |name: &str| {
            env::var_os(name)
                .and_then(|value| value.into_string().ok())
                .unwrap_or_else(|| panic!("{name} is not set: run `make test-docker`"))
        };
        let image = variable("LBPOOL_TEST_IMAGE");
        let engine = Self {
            own: env::var_os("LBPOOL_ENGINE_MAY_BREAK").is_some(),
            image,
        };
        let archive = project().join(variable("LBPOOL_TEST_IMAGE_ARCHIVE"));
        if docker(&["image", "inspect", &engine.image]).is_err() {
            docker(&["load", "-i", archive.to_str().unwrap()]).unwrap();
        }
        for container in engine.containers("fish") {
            docker(&["rm", "-fv", &container.id]).unwrap();
        }
        engine
    }

    /// Containers of a pool, by name of their seat; those that have ended too.
    #[must_use]
    pub fn containers(&self, pool: &str) -> Vec<Container> {
        let filter = format!("label=lbpool.dev/pool={pool}");
        let format = "{{.ID}} {{.Names}} {{.State}} {{.Label \"lbpool.dev/seat\"}}";
        let listed = docker(&["ps", "-a", "--no-trunc", "--filter", &filter, "--format", format]).unwrap_or_default();
        let mut containers: Vec<Container> = listed
            .lines()
            .filter_map(|line| {
                let mut words = line.split(' ').map(str::to_owned);
                Some(Container {
                    id: words.next()?,
                    name: words.next()?,
                    state: words.next()?,
                    seat: words.next()?,
                })
            })
            .collect();
        containers.sort_by(|a, b| (&a.seat, &a.name).cmp(&(&b.seat, &b.name)));
        containers
    }

    /// The container that runs in a seat, where it is one.
    ///
    /// # Errors
    /// Where it is none, or several.
    pub fn in_seat(&self, seat: &str) -> Result<Container, String> {
        let mut all = self.containers("fish");
        all.retain(|container| container.seat == seat && container.state == "running");
        match all.as_slice() {
            [one] => Ok(one.clone()),
            others => Err(format!("{others:?}")),
        }
    }

    /// One value of what docker knows of a container, an image, a network.
    ///
    /// # Errors
    /// There is no such thing any more: what was listed a moment ago may be gone.
    pub fn inspect(&self, what: &str, format: &str) -> Result<String, String> {
        docker(&["inspect", "--format", format, what])
    }

    /// Waits until nothing of a pool is left, its network included.
    pub fn assert_nothing_left(&self, pool: &str) {
        wait_for("nothing of the pool is left", LIMIT, || {
            let left = self.containers(pool);
            let networks = docker(&["network", "ls", "--filter", "name=^lbpool", "--format", "{{.Name}}"])?;
            let volumes = docker(&["volume", "ls", "-q"])?;
            if left.is_empty() && networks.is_empty() && volumes.is_empty() {
                Ok(())
            } else {
                Err(format!("{left:?}, networks {networks:?}, volumes {volumes:?}"))
            }
        });
    }

    /// Stops, starts or fills the engine; only where it is ours.
    pub fn control(&self, args: &[&str]) {
        assert!(self.own);
        let done = Command::new(project().join("tests/docker/engine")).args(args).status();
        assert!(done.unwrap().success(), "engine {args:?}");
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

/// The root of the repository.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
