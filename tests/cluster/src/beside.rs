//! Members beside the cluster: a container engine whose network the nodes reach, and an operator that is not in the cluster.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{Cluster, Operator, kubectl, run, wait_for};

/// The engine's network.
const NETWORK: &str = "kind";
/// Where an operator outside of the cluster tells how it is.
const ADMIN: &str = "127.0.0.1:19280";
const LIMIT: Duration = Duration::from_mins(1);

/// An engine beside the cluster. It ends when dropped, its containers with it.
#[derive(Debug)]
pub struct Beside {
    script: Child,
    host: String,
    dir: PathBuf,
}

/// A container of it, as `docker ps` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// Its seat as written.
    pub seat: String,
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// `running`, `exited` and so on.
    pub state: String,
}

/// An operator outside of the cluster. It is killed when dropped.
#[derive(Debug)]
pub struct Outside {
    process: Child,
    log: PathBuf,
}

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The operator that was built along with this test, containers included.
fn operator() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("operator")
}

fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

// === impl Beside ===

impl Beside {
    /// Starts the engine, with the sample server's image; where that can not be done the test is skipped, and says so.
    #[must_use]
    pub fn start_or_skip(test: &str) -> Option<Self> {
        Cluster::get().harness_or_skip(test)?;
        let archive = project().join("target/images/backend.tar");
        let missing = [
            (
                !is_installed("dockerd") || !is_installed("docker"),
                "dockerd and docker (Debian: docker.io)",
            ),
            (!archive.is_file(), "target/images/backend.tar (make images)"),
            (
                !operator().is_file(),
                "the operator (cargo build --workspace --all-features --bin operator)",
            ),
        ];
        if let Some((_, what)) = missing.iter().find(|(missing, _)| *missing) {
            println!("{test}: SKIPPED, it needs {what}");
            return None;
        }
        let dir = env::temp_dir().join(format!("lbpool-beside-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let log = fs::File::create(dir.join("engine.log")).unwrap();
        let mut script = Command::new(project().join("tests/cluster/harness/beside"))
            .args([NETWORK, archive.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut host = String::new();
        let mut out = BufReader::new(script.stdout.take().unwrap());
        let _ = out.read_line(&mut host).unwrap();
        let host = host.trim().to_owned();
        let said = || fs::read_to_string(dir.join("engine.log")).unwrap_or_default();
        assert!(host.starts_with("unix://"), "no engine: {host}{}", said());
        Some(Self { script, host, dir })
    }

    /// Runs docker: what it prints.
    ///
    /// # Errors
    /// What it says where it fails.
    pub fn docker(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new("docker")
            .env("DOCKER_HOST", &self.host)
            .args(args)
            .output();
        let output = output.unwrap();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Containers of a pool, by seat; those that have ended too.
    ///
    /// # Errors
    /// The engine's answer.
    pub fn containers(&self, pool: &str) -> Result<Vec<Container>, String> {
        let filter = format!("label=lbpool.dev/pool={pool}");
        let format = "{{.Label \"lbpool.dev/seat\"}} {{.Names}} {{.ID}} {{.State}}";
        let listed = self.docker(&["ps", "-a", "--no-trunc", "--filter", &filter, "--format", format])?;
        let container = |line: &str| {
            let mut words = line.split(' ').map(str::to_owned);
            Some(Container {
                seat: words.next()?,
                name: words.next()?,
                id: words.next()?,
                state: words.next()?,
            })
        };
        let mut all: Vec<_> = listed.lines().filter_map(container).collect();
        all.sort();
        Ok(all)
    }

    /// Whether exactly so many containers of a pool are there, and all of them run.
    ///
    /// # Errors
    /// What is there instead.
    pub fn runs(&self, pool: &str, replicas: usize) -> Result<(), String> {
        let all = self.containers(pool)?;
        if all.len() == replicas && all.iter().all(|container| container.state == "running") {
            Ok(())
        } else {
            Err(format!("{all:?}"))
        }
    }

    /// Starts an operator that drives the pools of `namespace` with members on this engine, and waits until it leads. It may
    /// do what docs/operations/beside-rbac.yaml says.
    #[must_use]
    pub fn operator(&self, namespace: &str) -> Outside {
        let config = self.dir.join("kubeconfig");
        fs::write(&config, kubeconfig().to_string()).unwrap();
        let log = self.dir.join("operator.log");
        let file = fs::File::options().create(true).append(true).open(&log).unwrap();
        let process = Command::new(operator())
            .env_remove("KUBECONFIG")
            .args(["--fleet", "docker", "--network", NETWORK, "--engine", &self.host])
            .arg("--member-logs")
            .arg(self.dir.join("members"))
            .arg("--kubeconfig")
            .arg(&config)
            .args(["--namespace", namespace, "--admin", ADMIN])
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let name = format!("-{}", process.id());
        let outside = Outside { process, log };
        wait_for(
            "the operator outside of the cluster leads",
            LIMIT,
            || match Operator::holder() {
                Ok(holder) if holder.ends_with(&name) => Ok(()),
                other => Err(format!("{other:?}\n{}", outside.log())),
            },
        );
        outside
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.script.stdin.take());
        drop(self.script.wait());
        if !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.dir));
        }
    }
}

/// A kubeconfig of the account that docs/operations/beside-rbac.yaml is for. JSON is YAML.
fn kubeconfig() -> Value {
    let rights = project().join("docs/operations/beside-rbac.yaml");
    let _ = kubectl(&["apply", "-f", rights.to_str().unwrap()]).ok();
    let token = kubectl(&[
        "-n",
        Operator::NAMESPACE,
        "create",
        "token",
        "lbpool-beside",
        "--duration=1h",
    ])
    .ok();
    let config = kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]).ok();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    let name = config["contexts"][0]["context"]["user"].clone();
    config["users"] = json!([{"name": name, "user": {"token": token.trim()}}]);
    config
}

// === impl Outside ===

impl Outside {
    /// What it has logged so far, and those before it on the same engine.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: it has no time to put anything in order.
    pub fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// SIGTERM, which it is to obey.
    pub fn stop(&mut self) {
        let _ = run("kill", &["-TERM", &self.process.id().to_string()], "").ok();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("-- the operator outside of the cluster:\n{}", self.log());
        }
    }
}
