//! A pool of our own: `lbpool up` as a child process, in a folder of its own, gone when this is dropped.

use std::{
    collections::VecDeque,
    fs,
    io::{self, BufRead as _, BufReader},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use lbpool_api::LoadBalancerPool;
use lbpool_operator::fleet::process::guard;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::oneshot, time::timeout};

use crate::runtime::{Places, Running};

/// How long it may take until its members serve.
const START: Duration = Duration::from_secs(30);
/// How long its orderly end may take.
const END: Duration = Duration::from_secs(20);
/// Where it logs, in its folder.
const LOG: &str = "up.log";
/// Lines of what it prints that are kept for an error.
const LINES: usize = 8;

/// A running `lbpool up`.
#[derive(Debug)]
pub struct OwnPool {
    child: Child,
    dir: PathBuf,
}

impl OwnPool {
    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// It does not start, or not in time; what it printed is in the message.
    pub async fn start(pool: &LoadBalancerPool) -> anyhow::Result<(Self, Running)> {
        let dir = new_dir()?;
        let mut own = match spawn(&dir, pool) {
            Ok(child) => Self { child, dir },
            Err(error) => {
                _ = fs::remove_dir_all(&dir);
                return Err(error);
            }
        };
        let printed = Arc::new(Mutex::new(VecDeque::new()));
        let serving = own.listen(&printed)?;
        let said = || {
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            let log = fs::read_to_string(own.dir.join(LOG)).unwrap_or_default();
            printed.extend(log.lines().rev().take(LINES).map(str::to_owned));
            printed.make_contiguous().join("\n  ")
        };
        match timeout(START, serving).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => anyhow::bail!("the local pool ended before it served:\n  {}", said()),
            Err(_) => anyhow::bail!("the local pool does not serve after {START:?}:\n  {}", said()),
        }
        let places = Places::new(Some(own.dir.clone()), None);
        let running = places.find(pool.metadata.name.as_deref())?;
        Ok((own, running))
    }

    /// Reads what it prints, for as long as it prints: the answer comes when it says that it serves.
    fn listen(&mut self, printed: &Arc<Mutex<VecDeque<String>>>) -> io::Result<oneshot::Receiver<()>> {
        let (serves, serving) = oneshot::channel();
        let output = self
            .child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("it has no output"))?;
        let printed = Arc::clone(printed);
        thread::Builder::new().name("pool's output".to_owned()).spawn(move || {
            let mut serves = Some(serves);
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.contains(": serving http") {
                    // Nobody waits any more where it came too late.
                    _ = serves.take().map(|serves| serves.send(()));
                }
                let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                printed.push_back(line);
                if printed.len() > LINES {
                    printed.pop_front();
                }
            }
        })?;
        Ok(serving)
    }

    /// Ends it in order, and waits until nothing of it is left.
    ///
    /// # Errors
    /// It has not ended in time; it is killed then, and its members with it.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM);
        let pid = Pid::from_child(&self.child);
        let mut ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait();
            (self, status)
        });
        let in_time = timeout(END, &mut ended).await;
        let late = in_time.is_err();
        let outcome = if let Ok(outcome) = in_time {
            outcome
        } else {
            // Who waits for it sees its end, and clears up.
            _ = kill_process(pid, Signal::KILL);
            ended.await
        };
        let (own, status) = outcome?;
        drop(own);
        let status = status.context("can not wait for the local pool")?;
        anyhow::ensure!(!late, "the local pool was still ending after {END:?} and was killed");
        anyhow::ensure!(status.success(), "the local pool ended with {status}");
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        // It may have ended by itself; its number is ours until it is waited for.
        _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for OwnPool {
    /// Where there is no time for order: its members are killed with it.
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.signal(Signal::KILL);
            _ = self.child.wait();
        }
        _ = fs::remove_dir_all(&self.dir);
    }
}

/// A folder of our own. A process of the same number that was killed may have left one.
fn new_dir() -> anyhow::Result<PathBuf> {
    for attempt in 0_u32.. {
        let dir = std::env::temp_dir().join(format!("lbpool-analyze-{}-{attempt}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("can not make {}", dir.display())),
        }
    }
    anyhow::bail!("every name for a folder is taken")
}

/// The guard ends it when this process ends, whatever ends that; a group of its own keeps ctrl-c from it, so that it
/// ends when it is told to.
fn spawn(dir: &Path, pool: &LoadBalancerPool) -> anyhow::Result<Child> {
    use std::os::unix::process::CommandExt as _;

    let file = dir.join("pool.json");
    fs::write(&file, serde_json::to_vec(pool)?).with_context(|| format!("can not write {}", file.display()))?;
    let log = fs::File::create(dir.join(LOG)).with_context(|| format!("can not write to {}", dir.display()))?;
    let me = std::env::current_exe().context("can not find the path of this program")?;
    Command::new(&me)
        .args([guard::COMMAND, &std::process::id().to_string(), "--"])
        .arg(&me)
        .args([
            "up", "--fleet", "process", "--port", "0", "--plain", "--quiet", "--file",
        ])
        .arg(&file)
        .arg("--runtime-dir")
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("can not start a local pool")
}
