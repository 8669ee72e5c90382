//! The contestants: how each is started, with what configuration, and what it says about its version.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, bail};

use crate::{
    clock::{SECOND, nanos},
    origin::MEMBERS,
    process,
};

/// How long a contestant may take to listen, and to end.
const PATIENCE: u64 = 10 * SECOND;

/// What a contestant is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours: this program.
    Balancer(PathBuf),
    HaProxy,
    Nginx,
    Envoy,
    /// No proxy, but what is left of one that only copies bytes: the floor.
    Copy,
}

/// One that runs. It ends when dropped.
#[derive(Debug)]
pub struct Contestant {
    pub name: String,
    pub version: String,
    pub kind: Kind,
    /// Where it takes HTTP/1.1.
    pub address: SocketAddr,
    /// Where it takes HTTP/2 with prior knowledge.
    pub address_h2: SocketAddr,
    child: Running,
}

/// What all of them have in common.
#[derive(Debug)]
pub struct Setting<'a> {
    pub conf: &'a Path,
    /// Where they write what they have to write.
    pub run: &'a Path,
    pub workers: usize,
    pub members: &'a [SocketAddr],
}

/// The origin's process.
#[derive(Debug)]
pub struct Origin {
    pub members: Vec<SocketAddr>,
    pub pid: u32,
    _child: Running,
}

/// A process that ends when this is dropped.
#[derive(Debug)]
struct Running(Child);

// === impl Kind ===

impl Kind {
    pub fn of(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "haproxy" => Self::HaProxy,
            "nginx" => Self::Nginx,
            "envoy" => Self::Envoy,
            "copy" => Self::Copy,
            _ => bail!("no contestant is named {name}: haproxy, nginx, envoy, copy"),
        })
    }

    fn program(&self) -> Option<PathBuf> {
        let (name, more) = match self {
            Self::Balancer(program) => return program.exists().then(|| program.clone()),
            Self::HaProxy => ("haproxy", None),
            Self::Nginx => ("nginx", None),
            Self::Envoy => ("envoy", option_env!("CARGO_MANIFEST_DIR")),
            Self::Copy => return std::env::current_exe().ok(),
        };
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
        // Some distributions keep servers where only root looks.
        let places = path
            .into_iter()
            .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        let installed = more.map(|folder| Path::new(folder).join("../target/bench"));
        let mut found = places.chain(installed).map(|folder| folder.join(name));
        found.find(|program| program.is_file())
    }

    /// The version as a line.
    fn version(&self, program: &Path) -> String {
        let flag = if matches!(self, Self::HaProxy | Self::Nginx) {
            "-v"
        } else {
            "--version"
        };
        let Ok(output) = Command::new(program).arg(flag).output() else {
            return String::new();
        };
        // nginx says it on its standard error.
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        match self {
            Self::Balancer(_) | Self::Copy => line.rsplit(' ').next().unwrap_or_default(),
            Self::HaProxy => line.split(' ').nth(2).unwrap_or_default(),
            Self::Nginx => line.rsplit('/').next().unwrap_or_default(),
            // "PROGRAM  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL"
            Self::Envoy => line.rsplit('/').nth(3).unwrap_or_default(),
        }
        .to_owned()
    }

    /// Its configuration. `None`: there is nothing to configure.
    const fn template(&self) -> Option<&'static str> {
        match self {
            Self::Balancer(_) => Some("members.yaml"),
            Self::HaProxy => Some("haproxy.cfg"),
            Self::Nginx => Some("nginx.conf"),
            Self::Envoy => Some("envoy.yaml"),
            Self::Copy => None,
        }
    }
}

// === impl Contestant ===

impl Contestant {
    /// Starts one. `None`: it is not installed.
    pub fn start(name: &str, kind: Kind, setting: &Setting<'_>) -> anyhow::Result<Option<Self>> {
        let Some(program) = kind.program() else { return Ok(None) };
        let [address, address_h2, admin] = free_ports()?;
        let run = setting.run.join(name);
        fs::create_dir_all(&run)?;
        let conf = run.join(kind.template().unwrap_or_default());
        if let Some(template) = kind.template() {
            fs::write(&conf, setting.fill(template, &run, address, address_h2)?)?;
        }
        let mut command = with_end(&program);
        match &kind {
            Kind::Balancer(_) => command
                .arg("--members")
                .arg(&conf)
                .args(["--listen", &address.to_string(), "--admin", &admin.to_string()])
                .args(["--workers", &setting.workers.to_string(), "--log-level", "warn"]),
            Kind::HaProxy => command.arg("-db").arg("-f").arg(&conf),
            Kind::Nginx => command.arg("-e").arg(run.join("nginx-error.log")).arg("-c").arg(&conf),
            Kind::Envoy => command
                .arg("-c")
                .arg(&conf)
                .args(["--concurrency", &setting.workers.to_string(), "--log-level", "error"])
                .arg("--disable-hot-restart"),
            Kind::Copy => command
                .arg("copy")
                .args(["--listen", &address.to_string()])
                .args(setting.members.iter().map(|member| format!("--members={member}")))
                .args(["--workers", &setting.workers.to_string()]),
        };
        let log = fs::File::create(run.join("log"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        let mut child = Running(child.with_context(|| format!("starting {}", program.display()))?);
        child.listens(address).with_context(|| {
            let said = fs::read_to_string(run.join("log")).unwrap_or_default();
            format!("{name} does not listen on {address}: {said}")
        })?;
        Ok(Some(Self {
            name: name.to_owned(),
            version: kind.version(&program),
            // HAProxy, Envoy and ours tell HTTP/2 by its preface.
            address_h2: if kind == Kind::Nginx { address_h2 } else { address },
            kind,
            address,
            child,
        }))
    }

    /// Its processes; nginx starts its workers once it listens.
    pub fn pids(&self) -> anyhow::Result<Vec<u32>> {
        Ok(process::family(self.child.0.id())?)
    }

    pub const fn is_ours(&self) -> bool {
        matches!(self.kind, Kind::Balancer(_))
    }

    /// Whether it is the floor rather than a proxy.
    pub const fn is_floor(&self) -> bool {
        matches!(self.kind, Kind::Copy)
    }

    /// Whether ours is to be better than this one.
    pub const fn counts(&self) -> bool {
        matches!(self.kind, Kind::HaProxy | Kind::Nginx)
    }
}

// === impl Setting ===

impl Setting<'_> {
    /// A configuration with its placeholders filled in.
    fn fill(&self, template: &str, run: &Path, address: SocketAddr, address_h2: SocketAddr) -> anyhow::Result<String> {
        let template = self.conf.join(template);
        let mut text = fs::read_to_string(&template).with_context(|| format!("reading {}", template.display()))?;
        let mut put = |name: &str, value: &str| text = text.replace(&format!("{{{name}}}"), value);
        put("run", &run.display().to_string());
        put("workers", &self.workers.to_string());
        put("port", &address.port().to_string());
        put("port2", &address_h2.port().to_string());
        for (n, member) in self.members.iter().enumerate() {
            put(&format!("member{}", n + 1), &member.to_string());
            put(&format!("member{}_port", n + 1), &member.port().to_string());
        }
        Ok(text)
    }
}

// === impl Origin ===

impl Origin {
    pub fn start() -> anyhow::Result<Self> {
        let mut command = with_end(&std::env::current_exe()?);
        let child = command
            .arg("origin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = Running(child.context("starting the origin")?);
        let mut lines = BufReader::new(child.0.stdout.take().context("the origin has no output")?).lines();
        let members = (0..MEMBERS)
            .map(|_| Ok(lines.next().context("the origin ended")??.parse()?))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            members,
            pid: child.0.id(),
            _child: child,
        })
    }
}

// === impl Running ===

impl Running {
    /// Waits until it listens.
    fn listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let begun = nanos();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("it ended with {status}");
            }
            if nanos() - begun > PATIENCE {
                bail!("it takes too long");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().try_into().unwrap_or(0)) {
            // nginx ends its workers on this signal only.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = nanos();
        while matches!(self.0.try_wait(), Ok(None)) && nanos() - begun < PATIENCE {
            sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command that ends with us, however we end, where util-linux is there to see to it.
fn with_end(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}

/// Addresses that nobody listens on now.
fn free_ports<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut held = Vec::new();
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}
