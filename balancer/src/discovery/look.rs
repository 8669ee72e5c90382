//! How a file looks from outside: what those who wait for its replacement compare.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path, time::SystemTime};

/// How a file looks from outside: differs when its content was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    There {
        inode: u64,
        size: u64,
        modified: Option<SystemTime>,
    },
    Gone(io::ErrorKind),
}

/// Links are followed: one that is turned shows another file.
pub(crate) fn look(path: &Path) -> Look {
    match fs::metadata(path) {
        Ok(meta) => Look::There {
            inode: meta.ino(),
            size: meta.size(),
            modified: meta.modified().ok(),
        },
        Err(error) => Look::Gone(error.kind()),
    }
}

/// A disk or network mount that hangs must hang nothing but the look at it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}
