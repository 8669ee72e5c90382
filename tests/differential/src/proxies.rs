//! The balancer, HAProxy and nginx as processes, each in front of an origin of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use crate::{client::is_served, origin::Origin};

/// How long a proxy may take to serve.
const PATIENCE: Duration = Duration::from_secs(20);

/// The commands of the proxies.
pub(crate) struct Commands {
    pub(crate) balancer: PathBuf,
    pub(crate) haproxy: PathBuf,
    pub(crate) nginx: PathBuf,
}

/// A proxy at work. It ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) origin: Origin,
    process: Child,
}

// === impl Proxy ===

impl Proxy {
    /// Starts all three, with their files in `folder`.
    pub(crate) async fn start_all(commands: &Commands, folder: &Path) -> anyhow::Result<[Self; 3]> {
        let [ours, haproxy, nginx] = [free_port()?, free_port()?, free_port()?];
        let [behind_ours, behind_haproxy, behind_nginx] =
            [Origin::start().await?, Origin::start().await?, Origin::start().await?];

        let members = folder.join("members.yaml");
        fs::write(&members, config(MEMBERS, ours, &behind_ours, folder))?;
        let mut command = Command::new(&commands.balancer);
        command
            .arg("--members")
            .arg(&members)
            .args(["--probe", "none", "--workers", "1"]);
        command
            .arg("--listen")
            .arg(ours.to_string())
            .arg("--admin")
            .arg(free_port()?.to_string());
        let ours = Self::start("lbpool", command, ours, behind_ours, folder).await?;

        let file = folder.join("haproxy.cfg");
        fs::write(&file, config(HAPROXY, haproxy, &behind_haproxy, folder))?;
        let mut command = Command::new(&commands.haproxy);
        command.arg("-db").arg("-f").arg(&file);
        let haproxy = Self::start("HAProxy", command, haproxy, behind_haproxy, folder).await?;

        let file = folder.join("nginx.conf");
        fs::write(&file, config(NGINX, nginx, &behind_nginx, folder))?;
        let mut command = Command::new(&commands.nginx);
        command
            .arg("-p")
            .arg(folder)
            .arg("-e")
            .arg(folder.join("nginx.err"))
            .arg("-c")
            .arg(&file);
        let nginx = Self::start("nginx", command, nginx, behind_nginx, folder).await?;
        Ok([ours, haproxy, nginx])
    }

    async fn start(
        name: &'static str,
        mut command: Command,
        address: SocketAddr,
        origin: Origin,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let output = fs::File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}: is it installed?", program.display()))?;
        let begun = Instant::now();
        while !is_served(address).await {
            let ended = process.try_wait()?;
            if ended.is_some() || begun.elapsed() > PATIENCE {
                bail!("{name} does not serve: {}", fs::read_to_string(&log)?.trim());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self {
            name,
            address,
            origin,
            process,
        })
    }

    /// Fails where the process has ended: a crash is an outcome that no case may have.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("{} has ended: {status}", self.name),
            None => Ok(()),
        }
    }
}

/// What the commands say about their versions.
pub(crate) async fn versions(commands: &Commands) -> anyhow::Result<[String; 2]> {
    let said = async |command: &Path| {
        let output = Command::new(command).arg("-v").output().await;
        let output = output.with_context(|| format!("cannot run {}: is it installed?", command.display()))?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version = text
            .split_whitespace()
            .find(|word| word.contains(|character: char| character.is_ascii_digit()));
        let version = version.unwrap_or_default();
        // `nginx/1.22.1`, `2.6.12-1+deb12u4`: the part between is what decides.
        let version = version.rsplit('/').next().unwrap_or_default();
        anyhow::Ok(version.split('-').next().unwrap_or_default().to_owned())
    };
    Ok([said(&commands.haproxy).await?, said(&commands.nginx).await?])
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn config(template: &str, listen: SocketAddr, origin: &Origin, folder: &Path) -> String {
    template
        .replace("@LISTEN@", &listen.to_string())
        .replace("@ORIGIN@", &origin.address.to_string())
        .replace("@DIR@", &folder.display().to_string())
}

// A request that is sent again would be counted twice by chance: that is tested elsewhere.
const MEMBERS: &str = include_str!("../conf/members.yaml");
const HAPROXY: &str = include_str!("../conf/haproxy.cfg");
const NGINX: &str = include_str!("../conf/nginx.conf");
