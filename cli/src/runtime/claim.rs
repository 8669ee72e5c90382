//! A pool's folder, as the process that runs the pool holds it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{Error, LOCK, LOGS, MEMBERS, RECORD, Record, SOCKET, private_dir};

/// What an address of a Unix socket holds on every system we know.
const SOCKET_PATH_MAX: usize = 103;
/// How often a lock is tried: who only looks whether a pool runs holds it for an instant.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// A pool's folder that is locked. Dropped, everything is removed from it but log files that have something to say.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    lock: File,
}

// === impl Claim ===

impl Claim {
    /// Locks the folder of a pool.
    pub(super) fn take(place: &Path, pool: &str) -> Result<Self, Error> {
        let dir = place.join(pool);
        let socket = dir.join(SOCKET);
        let length = socket.as_os_str().as_bytes().len();
        if length > SOCKET_PATH_MAX {
            return Err(Error::Long {
                path: socket,
                length,
                most: SOCKET_PATH_MAX,
            });
        }
        for _ in 0..TRIES {
            private_dir(&dir)?;
            if let Some(lock) = lock(&dir.join(LOCK))? {
                return Ok(Self { dir, lock });
            }
            thread::sleep(PAUSE);
        }
        let record = fs::read(dir.join(RECORD))
            .ok()
            .and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        Err(record.map_or_else(|| Error::Busy(pool.to_owned()), Error::Up))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where log files go.
    pub fn logs(&self) -> PathBuf {
        self.dir.join(LOGS)
    }

    /// Where the fleet writes its members down.
    pub fn members(&self) -> PathBuf {
        self.dir.join(MEMBERS)
    }

    /// The control socket, free to be bound.
    ///
    /// # Errors
    /// Where one was left behind and can not be removed.
    pub fn socket(&self) -> Result<PathBuf, Error> {
        let path = self.dir.join(SOCKET);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::File { path, source }),
            _ => Ok(path),
        }
    }

    /// Lets others find the pool: from now on it counts as running.
    ///
    /// # Errors
    /// Where the file can not be written.
    pub fn announce(&self, record: &Record) -> Result<(), Error> {
        let (path, new) = (self.dir.join(RECORD), self.dir.join("pool.json.new"));
        let text = serde_json::to_vec(record).map_err(io::Error::other);
        let written = text
            .and_then(|text| fs::write(&new, text))
            .and_then(|()| fs::rename(&new, &path));
        written.map_err(|source| Error::File { path, source })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        for file in [RECORD, SOCKET, "pool.json.new"] {
            _ = fs::remove_file(self.dir.join(file));
        }
        for log in fs::read_dir(self.logs()).into_iter().flatten().flatten() {
            if log.metadata().is_ok_and(|log| log.len() == 0) {
                _ = fs::remove_file(log.path());
            }
        }
        // Folders go where they are empty: members that outlived a killed process are written down for the next start.
        _ = fs::remove_dir(self.members());
        _ = fs::remove_dir(self.logs());
        _ = fs::remove_file(self.dir.join(LOCK));
        _ = fs::remove_dir(&self.dir);
        _ = self.lock.unlock();
    }
}

/// The file, locked; nothing where someone else holds it, or removed it meanwhile.
fn lock(path: &Path) -> Result<Option<File>, Error> {
    let failed = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = match open {
        // Its last holder removed the folder between our making it and this.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open.map_err(failed)?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // A lock on a file that its last holder has removed keeps nobody out.
    let ours = file.metadata().map_err(failed)?.ino();
    Ok(fs::metadata(path)
        .is_ok_and(|named| named.ino() == ours)
        .then_some(file))
}
