//! A pool from a file that somebody wrote.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use lbpool_api::{
    LoadBalancerPool,
    strict::{self, Fault},
};
use lbpool_core::validate::Invalid;

/// Larger files hold no pool.
const FILE_MAX: u64 = 4 * 1024 * 1024;

/// The sample pool, for those who have no file yet.
const DEMO: &str = include_str!("../../charts/lbpool/files/demo.yaml");

/// Why a file gives no pool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can not be read.
    #[error("can not read {file}")]
    Read {
        /// Its name.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is too large to be one.
    #[error("{file} has more than {} MiB: is it the right file?", FILE_MAX / 1024 / 1024)]
    Large {
        /// Its name.
        file: String,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Wrong(#[from] strict::Error),
}

/// Changes to a file's pool that the command line asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// Another number of seats.
    pub replicas: Option<i32>,
}

/// Reads a file (`-`: standard input), checks all of it, and says on standard error what of it is skipped.
///
/// # Errors
/// Where it can not be read, or is no valid pool; the message says where and what was expected.
pub fn load(path: &Path, overrides: Overrides) -> Result<LoadBalancerPool, Error> {
    let file = if path == Path::new("-") {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    };
    let text = read(path).map_err(|source| Error::Read {
        file: file.clone(),
        source,
    })?;
    let Some(text) = text else {
        return Err(Error::Large { file });
    };
    let (pool, skipped) = parse(&file, &text, overrides)?;
    if !skipped.is_empty() {
        eprintln!(
            "{file}: skipped, since it means nothing on one machine: {}",
            skipped.join(", ")
        );
    }
    Ok(pool)
}

/// The sample pool.
///
/// # Errors
/// Where the overrides make it invalid.
pub fn demo(overrides: Overrides) -> Result<LoadBalancerPool, Error> {
    Ok(parse("sample pool", DEMO, overrides)?.0)
}

/// A pool that was read, with these changes.
///
/// # Errors
/// Where they make it invalid.
pub fn with(pool: &LoadBalancerPool, Overrides { replicas }: Overrides) -> Result<LoadBalancerPool, Invalid> {
    let mut pool = pool.clone();
    if let Some(replicas) = replicas {
        pool.spec.replicas = replicas;
    }
    lbpool_core::validate(&pool)?;
    Ok(pool)
}

/// The text of a file, unless it is too large.
fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    let reader: Box<dyn io::Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(fs::File::open(path)?)
    };
    reader.take(FILE_MAX + 1).read_to_string(&mut text)?;
    Ok(Some(text).filter(|text| text.len() as u64 <= FILE_MAX))
}

/// A pool from a text, valid with the overrides, and the names of documents that are none.
pub fn parse(
    file: &str,
    text: &str,
    Overrides { replicas }: Overrides,
) -> Result<(LoadBalancerPool, Vec<String>), strict::Error> {
    let mut read = strict::pool_from_yaml(file, text)?;
    if let Some(replicas) = replicas {
        read.pool.spec.replicas = replicas;
    }
    if let Err(invalid) = lbpool_core::validate(&read.pool) {
        let faults = invalid.problems.into_iter().map(|problem| {
            // What the command line said is not mended in the file.
            let ours = replicas.is_some() && problem.path == "spec.replicas";
            Fault::new(if ours { "--replicas" } else { &problem.path }, problem.message)
        });
        return Err(read.error(file, text, faults.collect()));
    }
    Ok((read.pool, read.skipped))
}

#[cfg(test)]
mod tests;
