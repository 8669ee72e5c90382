//! `lbpool logs`: what the members of a seat print.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::time::sleep;

use super::runtime;
use crate::{
    cli::LogsArgs,
    runtime::{Places, Running},
};

/// How often a log is looked at for more.
const LOOK: Duration = Duration::from_millis(200);

/// Prints a seat's log; with `--follow` also what comes.
///
/// # Errors
/// Where the pool does not run, or the seat never had a member.
pub fn run(
    places: &Places,
    LogsArgs {
        seat,
        pool,
        follow,
        tail,
    }: &LogsArgs,
) -> anyhow::Result<()> {
    let running = places.find(pool.as_deref())?;
    let path = running.logs().join(format!("{seat}.log"));
    let missing = || {
        format!(
            "{} has no log of a seat {seat}: lbpool get -o wide shows its seats",
            running.record.pool
        )
    };
    let mut log = Log::open(path).with_context(missing)?;
    print(&log.last(*tail)?)?;
    if !follow {
        return Ok(());
    }
    runtime()?.block_on(async {
        loop {
            // Asked first: what it printed before it ended is still printed.
            let ended = has_ended(&running);
            while let Some(more) = log.more()? {
                print(&more)?;
            }
            if ended {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    })
}

fn has_ended(running: &Running) -> bool {
    !running.socket().exists()
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    Ok(out.flush()?)
}

/// A log file that grows, and is set aside when it is full.
struct Log {
    path: PathBuf,
    file: BufReader<File>,
}

impl Log {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = BufReader::new(File::open(&path)?);
        Ok(Self { path, file })
    }

    /// All of it, or its last lines.
    fn last(&mut self, lines: Option<usize>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.file.read_to_end(&mut text)?;
        Ok(match lines {
            Some(lines) => last_lines(&text, lines).to_vec(),
            None => text,
        })
    }

    /// What was added since; nothing where nothing was.
    fn more(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        self.file.read_until(b'\n', &mut text)?;
        if text.ends_with(b"\n") {
            return Ok(Some(text));
        }
        // A line is written whole: half of one is looked at again.
        self.file.seek_relative(-i64::try_from(text.len()).unwrap_or(0))?;
        if !text.is_empty() || !self.is_set_aside() {
            return Ok(None);
        }
        *self = Self::open(self.path.clone())?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(Some(Vec::new()))
    }

    fn is_set_aside(&self) -> bool {
        let inode = |metadata: io::Result<std::fs::Metadata>| metadata.ok().map(|metadata| metadata.ino());
        let now = inode(Path::metadata(&self.path));
        now.is_some() && now != inode(self.file.get_ref().metadata())
    }
}

fn last_lines(text: &[u8], lines: usize) -> &[u8] {
    let end = text.strip_suffix(b"\n").unwrap_or(text);
    let starts = end.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    match lines.checked_sub(1) {
        None => &[],
        Some(before) => starts.map(|(at, _)| at + 1).nth(before).map_or(text, |at| &text[at..]),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    #[test]
    fn only_the_last_lines_where_that_is_asked_for() {
        let text = b"a\nb\nc\n";
        for (lines, want) in [(0, &b""[..]), (1, b"c\n"), (2, b"b\nc\n"), (3, text), (9, text)] {
            assert_eq!(last_lines(text, lines), want, "{lines}");
        }
        assert_eq!(last_lines(b"", 3), b"");
    }

    #[test]
    fn what_is_added_is_read_once_and_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seat.log");
        fs::write(&path, "one\n").unwrap();
        let mut log = Log::open(path.clone()).unwrap();
        assert_eq!(log.last(None).unwrap(), b"one\n");
        assert_eq!(log.more().unwrap(), None);
        let add = |text: &str| {
            let mut file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        add("tw");
        assert_eq!(log.more().unwrap(), None, "half a line");
        add("o\n");
        assert_eq!(log.more().unwrap().unwrap(), b"two\n");
        fs::rename(&path, dir.path().join("seat.log.1")).unwrap();
        assert_eq!(log.more().unwrap(), None);
        add("three\n");
        assert_eq!(log.more().unwrap().unwrap(), b"", "the new file");
        assert_eq!(log.more().unwrap().unwrap(), b"three\n");
    }
}
