//! The snapshot on disk: what a restarted balancer routes by while the API server does not answer.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lbpool_api::RoutingDocument;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::spawn_blocking};

use super::{
    document::{self, Addresses, Problems},
    index::Found,
};
use crate::metrics::ClusterCounts;

/// The file, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    uid: String,
    document: RoutingDocument,
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can not be read.
    #[error("can not be read: {0}")]
    Read(#[from] io::Error),
    /// It is no snapshot.
    #[error("is broken: {0}")]
    Parse(#[from] serde_json::Error),
    /// What it says can not be.
    #[error("is wrong: {0}")]
    Wrong(#[from] Problems),
    /// It is another pool's.
    #[error("is of pool {0:?}")]
    Pool(String),
}

/// Reads the snapshot of `pool`. `None`: there is none yet.
///
/// # Errors
/// It can not be used.
pub fn load(path: &Path, pool: &str) -> Result<Option<Found>, Error> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let Stored { uid, document } = serde_json::from_slice(&text)?;
    document::check(&document, Addresses::Elsewhere)?;
    if document.pool != pool {
        return Err(Error::Pool(document.pool));
    }
    Ok(Some(Found { uid, document }))
}

/// Writes each new snapshot, for as long as it is polled and there is somebody to send one. Of several that come while
/// one is written, only the last counts.
pub async fn write(path: PathBuf, mut snapshots: watch::Receiver<Option<Found>>, counts: &ClusterCounts) {
    while snapshots.changed().await.is_ok() {
        let Some(Found { uid, document }) = snapshots.borrow_and_update().clone() else {
            continue;
        };
        let file = path.clone();
        let written = spawn_blocking(move || replace(&file, &Stored { uid, document }));
        match written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => counts.written.inc(),
            Err(error) => {
                counts.unwritten.inc();
                tracing::warn!(file = %path.display(), %error, "the snapshot can not be written");
            }
        }
    }
}

/// Whole or not at all: a reader sees the old file or the new one. Nothing is flushed to the disk: the snapshot is for the
/// restart of a process, and a machine that crashes takes the directory with it.
fn replace(path: &Path, stored: &Stored) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    fs::write(&new, serde_json::to_vec(stored)?)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn found(epoch: u64) -> Found {
        let document = json!({"pool": "web", "epoch": epoch,
            "members": [{"name": "a", "pod": "a-1", "address": "10.0.0.1:80"}]});
        Found {
            uid: "u".to_owned(),
            document: serde_json::from_value(document).unwrap(),
        }
    }

    #[tokio::test]
    async fn what_was_written_is_read_again_and_the_last_one_counts() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("routing.json");
        assert!(load(&path, "web").unwrap().is_none());
        let counts = ClusterCounts::default();
        let (snapshots, receiver) = watch::channel(None);
        let send = async {
            for epoch in 1..=9 {
                snapshots.send_replace(Some(found(epoch)));
                tokio::task::yield_now().await;
            }
            drop(snapshots);
        };
        tokio::join!(write(path.clone(), receiver, &counts), send);
        assert_eq!(load(&path, "web").unwrap(), Some(found(9)));
        assert!(counts.written.get() >= 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[tokio::test]
    async fn a_place_that_can_not_be_written_to_is_counted_and_nothing_else() {
        let counts = ClusterCounts::default();
        let (snapshots, receiver) = watch::channel(None);
        let send = async {
            snapshots.send_replace(Some(found(1)));
            tokio::task::yield_now().await;
            drop(snapshots);
        };
        tokio::join!(write("/nowhere/at/all.json".into(), receiver, &counts), send);
        assert_eq!((counts.written.get(), counts.unwritten.get()), (0, 1));
    }

    #[test]
    fn what_is_no_snapshot_of_the_pool_is_refused_with_the_reason() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("routing.json");
        let whole = serde_json::to_string(&Stored {
            uid: "u".to_owned(),
            document: found(1).document,
        })
        .unwrap();
        for (text, pool, why) in [
            ("", "web", "is broken"),
            (&whole[..whole.len() / 2], "web", "is broken"),
            (&whole.replace("10.0.0.1:80", "10.0.0.1"), "web", "members[0].address"),
            (&whole, "shop", "is of pool \"web\""),
        ] {
            fs::write(&path, text).unwrap();
            let error = load(&path, pool).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
