//! Where a running pool is found without a port to remember: a folder per pool, locked by the process that runs it.
//!
//! The lock is the truth: it ends with its holder, whatever ends that. A folder whose lock nobody holds is a leftover.

mod claim;

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use claim::Claim;

const LOCK: &str = "lock";
const RECORD: &str = "pool.json";
const SOCKET: &str = "control.sock";
const LOGS: &str = "logs";
const MEMBERS: &str = "members";

/// Folders in which running pools are found, the one for new pools first.
#[derive(Clone, Debug)]
pub struct Places {
    dirs: Vec<PathBuf>,
    /// The user chose the folder.
    chosen: bool,
}

/// What a running pool says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its name.
    pub pool: String,
    /// The process that runs it.
    pub pid: u32,
    /// Where clients reach it.
    pub url: String,
    /// Where health, metrics and the table are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    /// Since when it runs.
    pub started: Timestamp,
}

/// A pool that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// What it says about itself.
    pub record: Record,
    dir: PathBuf,
}

/// Why a pool is not found, or can not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It runs already.
    #[error("the pool {} is up already at {} (process {}); end it with: lbpool down {}", .0.pool, .0.url, .0.pid, .0.pool)]
    Up(Record),
    /// Someone else is about to run it.
    #[error("the pool {0} is being started or ended by another process: try again in a moment")]
    Busy(String),
    /// No pool runs.
    #[error("no pool runs on this machine; start one with: lbpool up")]
    None,
    /// This one does not run.
    #[error("the pool {name} does not run on this machine{others}; start it with: lbpool up")]
    Unknown {
        /// The pool.
        name: String,
        /// Those that do, in brackets.
        others: String,
    },
    /// Several run.
    #[error("several pools run on this machine: say which one of {0}")]
    Several(String),
    /// The folder is someone else's.
    #[error("{path} belongs to another user or is open to others: remove it, or choose another with --runtime-dir")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// The path is too long for a socket.
    #[error("{path} is too long for a socket ({length} bytes, at most {most}): choose a shorter --runtime-dir")]
    Long {
        /// The socket.
        path: PathBuf,
        /// Its length.
        length: usize,
        /// What a system takes.
        most: usize,
    },
    /// A file can not be used.
    #[error("can not use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

// === impl Places ===

impl Places {
    /// `chosen`, or the user's own folder for such things, or one in the folder for temporary files.
    pub fn new(chosen: Option<PathBuf>, user: Option<PathBuf>) -> Self {
        if let Some(chosen) = chosen {
            return Self {
                dirs: vec![chosen],
                chosen: true,
            };
        }
        let uid = rustix::process::geteuid().as_raw();
        // Sessions of one user differ in whether they have a folder: pools of either kind are found from both.
        let user = user.filter(|dir| dir.is_dir()).map(|dir| dir.join("lbpool"));
        Self {
            dirs: user
                .into_iter()
                .chain([std::env::temp_dir().join(format!("lbpool-{uid}"))])
                .collect(),
            chosen: false,
        }
    }

    /// Who runs pools here, as `1000@laptop`: the same in each session of a user, another one for each folder that was
    /// chosen. What a pool leaves elsewhere when it is killed is found again by it.
    pub fn owner(&self) -> String {
        let uid = rustix::process::geteuid().as_raw();
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        match self.dirs.first().filter(|_| self.chosen) {
            Some(dir) => {
                let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                format!("{uid}@{host}:{}", dir.display())
            }
            None => format!("{uid}@{host}"),
        }
    }

    /// Makes the pool's folder ours until the claim is dropped.
    ///
    /// # Errors
    /// Where the pool runs already, or no folder can be used.
    pub fn claim(&self, pool: &str) -> Result<Claim, Error> {
        if let Some(running) = self.running()?.into_iter().find(|running| running.record.pool == pool) {
            return Err(Error::Up(running.record));
        }
        let mut first = None;
        for place in &self.dirs {
            match private_dir(place).and_then(|()| Claim::take(place, pool)) {
                // A folder that can not be used leaves the next one.
                Err(error @ (Error::File { .. } | Error::Foreign { .. })) => _ = first.get_or_insert(error),
                done => return done,
            }
        }
        Err(first.unwrap_or(Error::None))
    }

    /// The pools that run, by name. Leftovers that are met are removed.
    ///
    /// # Errors
    /// Where a folder can not be read.
    pub fn running(&self) -> Result<Vec<Running>, Error> {
        let mut found = Vec::new();
        for place in &self.dirs {
            let entries = match fs::read_dir(place) {
                Ok(entries) => entries,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(source) => {
                    return Err(Error::File {
                        path: place.clone(),
                        source,
                    });
                }
            };
            for dir in entries.filter_map(|entry| Some(entry.ok()?.path())) {
                found.extend(look(&dir));
            }
        }
        found.sort_by(|a: &Running, b| a.record.pool.cmp(&b.record.pool));
        Ok(found)
    }

    /// The pool of this name, which may be written as `lbpool/demo`; without a name the one that runs.
    ///
    /// # Errors
    /// Where it does not run, or it is not clear which one is meant.
    pub fn find(&self, name: Option<&str>) -> Result<Running, Error> {
        let mut running = self.running()?;
        let names: Vec<String> = running.iter().map(|running| running.record.pool.clone()).collect();
        match name.map(plain_name) {
            Some(name) => {
                let at = names.iter().position(|running| running == name);
                at.map(|at| running.swap_remove(at)).ok_or_else(|| Error::Unknown {
                    name: name.to_owned(),
                    others: match names.as_slice() {
                        [] => String::new(),
                        names => format!(" (only {})", names.join(", ")),
                    },
                })
            }
            None if names.len() > 1 => Err(Error::Several(names.join(", "))),
            None => running.pop().ok_or(Error::None),
        }
    }
}

// === impl Running ===

impl Running {
    /// Where its members' log files are.
    pub fn logs(&self) -> PathBuf {
        self.dir.join(LOGS)
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// Waits until its process has ended. Blocks.
    ///
    /// # Errors
    /// Where the lock can not be waited for.
    pub fn wait_for_end(&self) -> io::Result<()> {
        match File::open(self.dir.join(LOCK)) {
            Ok(lock) => lock.lock_shared(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// `demo` of `lbpool/demo`, as kubectl's commands take it.
fn plain_name(name: &str) -> &str {
    const KINDS: [&str; 4] = [
        "lbpool",
        "loadbalancerpool",
        "loadbalancerpools",
        "loadbalancerpool.lbpool.dev",
    ];
    match name.split_once('/') {
        Some((kind, name)) if KINDS.contains(&kind) => name,
        _ => name,
    }
}

/// The pool that runs in a folder, if one does.
fn look(dir: &Path) -> Option<Running> {
    let lock = File::open(dir.join(LOCK)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let record = fs::read(dir.join(RECORD)).ok()?;
            Some(Running {
                record: serde_json::from_slice(&record).ok()?,
                dir: dir.to_owned(),
            })
        }
        Ok(()) => {
            // Claiming it and letting it go removes what its process could not.
            drop(lock);
            let (place, pool) = (dir.parent()?, dir.file_name()?.to_str()?);
            drop(Claim::take(place, pool));
            None
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// A folder that is ours alone: others could put a socket of theirs in the place of ours.
fn private_dir(path: &Path) -> Result<(), Error> {
    let file = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(file)?;
    let found = fs::symlink_metadata(path).map_err(file)?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if ours {
        Ok(())
    } else {
        Err(Error::Foreign { path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests;
