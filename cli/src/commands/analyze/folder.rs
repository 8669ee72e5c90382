//! The folder that a report is written to.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use lbpool_report::{Run, files};

/// What a report has, and little else would.
const DATA: &str = "data.json";
/// Where a report has more files than it may have the next time.
const PARTS: [&str; 2] = ["charts", "data"];

/// Whether a report may be written here: said before an analysis, not after it.
///
/// # Errors
/// There is something in the folder that is no report, or it can not be made.
pub fn check(dir: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return fs::create_dir_all(dir).with_context(|| format!("can not make {}", dir.display()));
        }
        entries => entries.with_context(|| format!("can not use {}", dir.display()))?,
    };
    anyhow::ensure!(
        entries.next().is_none() || dir.join(DATA).exists(),
        "{} is not empty and holds no report: choose another folder with --out",
        dir.display()
    );
    Ok(())
}

/// Writes a report in place of the one that is there. Gives the page.
///
/// # Errors
/// A file can not be written.
pub fn write(dir: &Path, run: &Run) -> anyhow::Result<PathBuf> {
    for part in PARTS {
        match fs::remove_dir_all(dir.join(part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can not renew {}", dir.join(part).display()));
            }
            _ => {}
        }
    }
    for file in files(run)? {
        let path = dir.join(&file.path);
        let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
        parent
            .and_then(|()| fs::write(&path, &file.bytes))
            .with_context(|| format!("can not write {}", path.display()))?;
    }
    Ok(dir.join("index.html"))
}

/// What an earlier run measured.
///
/// # Errors
/// The file can not be read, or is not the data of a report.
pub fn read(path: &Path) -> anyhow::Result<Run> {
    let path = if path.is_dir() {
        path.join(DATA)
    } else {
        path.to_owned()
    };
    let text = fs::read(&path).with_context(|| format!("can not read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not the data of a report", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (new, mine) = (dir.path().join("a/b"), dir.path().join("mine"));
        check(&new).unwrap();
        assert!(new.is_dir());
        fs::create_dir(&mine).unwrap();
        fs::write(mine.join("thesis.md"), "").unwrap();
        let error = check(&mine).unwrap_err().to_string();
        assert!(error.contains("holds no report"), "{error}");
        fs::write(mine.join(DATA), "{}").unwrap();
        check(&mine).unwrap();
    }
}
