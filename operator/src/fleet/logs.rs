//! What members print: to a file per seat, and as prefixed lines to a terminal.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use lbpool_api::MemberName;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc::{self, error::TrySendError},
};

use super::Error;

/// Where a log file is set aside and a new one begun. One old file is kept.
const ROTATE_AT: u64 = 10 * 1024 * 1024;
/// Where a line without an end is cut.
const LINE_MAX: usize = 16 * 1024;
/// How much of the last line a message quotes.
const QUOTE_MAX: usize = 200;

/// The log files of a pool, each open as long as somebody writes to it.
#[derive(Debug)]
pub(super) struct SeatLogs {
    dir: PathBuf,
    open: HashMap<MemberName, Weak<SeatLog>>,
}

/// The log file of a seat: shared by the instances that sit in it one after the other, and for a while side by side.
#[derive(Debug)]
pub(super) struct SeatLog {
    path: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
    rotate_at: u64,
    failing: bool,
}

/// Where one instance's output goes.
#[derive(Clone, Debug)]
pub(super) struct Output {
    prefix: Arc<str>,
    log: Arc<SeatLog>,
    terminal: Option<mpsc::Sender<String>>,
    last: Arc<Mutex<String>>,
}

/// Cuts what one instance prints into lines. Lines are never mixed; the terminal loses lines rather than holding up the
/// member.
#[derive(Debug)]
pub(super) struct Lines {
    output: Output,
    pending: Vec<u8>,
    lost: u64,
}

// === impl SeatLogs ===

impl SeatLogs {
    /// Log files in a folder.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            open: HashMap::new(),
        }
    }

    /// The log of a seat.
    pub fn open(&mut self, seat: &MemberName) -> Result<Arc<SeatLog>, Error> {
        if let Some(log) = self.open.get(seat).and_then(Weak::upgrade) {
            return Ok(log);
        }
        let path = self.dir.join(format!("{seat}.log"));
        let log = Arc::new(SeatLog::open(path.clone()).map_err(|source| Error::File { path, source })?);
        self.open.retain(|_, log| log.strong_count() > 0);
        self.open.insert(seat.clone(), Arc::downgrade(&log));
        Ok(log)
    }
}

// === impl SeatLog ===

impl SeatLog {
    /// Opens or goes on with the log of a seat.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        Self::rotating(path, ROTATE_AT)
    }

    fn rotating(path: PathBuf, rotate_at: u64) -> io::Result<Self> {
        let file = append(&path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            path,
            open: Mutex::new(Open {
                file,
                size,
                rotate_at,
                failing: false,
            }),
        })
    }

    /// Appends whole lines. A disk that is full loses lines and ends nothing.
    pub fn write(&self, lines: &[u8]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let done = open.write(&self.path, lines);
        if let Err(error) = &done
            && !open.failing
        {
            tracing::warn!(path = %self.path.display(), %error, "can not write a member's log: lines are lost");
        }
        open.failing = done.is_err();
    }
}

impl Open {
    fn write(&mut self, path: &std::path::Path, lines: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + lines.len() as u64 > self.rotate_at {
            let mut old = path.as_os_str().to_owned();
            old.push(".1");
            fs::rename(path, old)?;
            self.file = append(path)?;
            self.size = 0;
        }
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }
}

// === impl Lines ===

impl Lines {
    /// Lines of one stream.
    pub fn new(output: Output) -> Self {
        Self {
            output,
            pending: Vec::with_capacity(LINE_MAX),
            lost: 0,
        }
    }

    /// Takes what was printed next.
    #[cfg(feature = "docker")]
    pub fn feed(&mut self, printed: &[u8]) {
        self.pending.extend_from_slice(printed);
        self.pass_on();
    }

    /// Passes on what is whole; a line without an end is cut.
    fn pass_on(&mut self) {
        let pending = &mut self.pending;
        let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        if whole > 0 {
            self.output.emit(&pending[..whole], &mut self.lost);
            pending.drain(..whole);
        } else if pending.len() >= LINE_MAX {
            pending.push(b'\n');
            self.output.emit(pending, &mut self.lost);
            pending.clear();
        }
    }

    /// Nothing follows: what is left is a line.
    pub fn end(mut self) {
        if !self.pending.is_empty() {
            self.pending.push(b'\n');
            self.output.emit(&self.pending, &mut self.lost);
        }
    }
}

fn append(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Output {
    /// Output of one instance in the seat that `prefix` names.
    pub fn new(prefix: &str, log: Arc<SeatLog>, terminal: Option<mpsc::Sender<String>>) -> Self {
        Self {
            prefix: prefix.into(),
            log,
            terminal,
            last: Arc::default(),
        }
    }

    /// A line of ours, in the log only.
    pub fn note(&self, text: &str) {
        self.log
            .write(format!("--- {} {text}\n", jiff::Timestamp::now()).as_bytes());
    }

    /// The last line that was printed, cut to fit into a message.
    pub fn last_line(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (!last.is_empty()).then(|| last.clone())
    }

    /// Passes on what `stream` says until it ends.
    pub async fn pump(self, mut stream: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(self);
        while let Ok(1..) = stream.read_buf(&mut lines.pending).await {
            lines.pass_on();
        }
        lines.end();
    }

    fn emit(&self, lines: &[u8], lost: &mut u64) {
        self.log.write(lines);
        let text = String::from_utf8_lossy(lines);
        for line in text.lines() {
            self.show(line, lost);
        }
        if let Some(line) = text.lines().rfind(|line| !line.trim().is_empty()) {
            let mut quote = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *quote = line.trim().chars().take(QUOTE_MAX).collect();
        }
    }

    fn show(&self, line: &str, lost: &mut u64) {
        let Some(terminal) = &self.terminal else { return };
        if *lost > 0 {
            let note = format!("{} | ({lost} lines left out here; the log has them)", self.prefix);
            if terminal.try_send(note).is_err() {
                *lost += 1;
                return;
            }
            *lost = 0;
        }
        if let Err(TrySendError::Full(_)) = terminal.try_send(format!("{} | {line}", self.prefix)) {
            *lost += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(rotate_at: u64, room: usize) -> (tempfile::TempDir, Output, mpsc::Receiver<String>) {
        let dir = tempfile::tempdir().unwrap();
        let log = SeatLog::rotating(dir.path().join("seat.log"), rotate_at).unwrap();
        let (send, receive) = mpsc::channel(room);
        (dir, Output::new("seat", Arc::new(log), Some(send)), receive)
    }

    fn drain(mut lines: mpsc::Receiver<String>) -> Vec<String> {
        std::iter::from_fn(|| lines.try_recv().ok()).collect()
    }

    #[tokio::test]
    async fn lines_go_to_the_file_as_they_are_and_to_the_terminal_with_a_prefix() {
        let (dir, output, lines) = output(ROTATE_AT, 8);
        output.clone().pump(&b"one\ntwo\n\xff no end"[..]).await;
        assert_eq!(
            fs::read(dir.path().join("seat.log")).unwrap(),
            b"one\ntwo\n\xff no end\n"
        );
        assert_eq!(drain(lines), ["seat | one", "seat | two", "seat | \u{fffd} no end"]);
        assert_eq!(output.last_line().unwrap(), "\u{fffd} no end");
    }

    #[tokio::test]
    async fn a_terminal_that_does_not_keep_up_loses_lines_and_says_how_many() {
        let (dir, output, mut lines) = output(ROTATE_AT, 2);
        let mut lost = 0;
        output.emit(b"1\n2\n3\n4\n", &mut lost);
        assert_eq!(lost, 2);
        assert_eq!(
            [lines.recv().await.unwrap(), lines.recv().await.unwrap()],
            ["seat | 1", "seat | 2"]
        );
        output.emit(b"5\n", &mut lost);
        assert_eq!(
            drain(lines),
            ["seat | (2 lines left out here; the log has them)", "seat | 5"]
        );
        assert_eq!(fs::read(dir.path().join("seat.log")).unwrap(), b"1\n2\n3\n4\n5\n");
    }

    #[tokio::test]
    async fn a_line_without_end_is_cut_and_nothing_of_it_lost() {
        let (dir, output, _lines) = output(ROTATE_AT, 64);
        let endless = vec![b'x'; 3 * LINE_MAX + 5];
        output.pump(&endless[..]).await;
        let written = fs::read(dir.path().join("seat.log")).unwrap();
        assert_eq!(
            String::from_utf8(written.clone()).unwrap().matches('x').count(),
            endless.len()
        );
        assert!(
            written
                .split(|&byte| byte == b'\n')
                .all(|line| line.len() <= 2 * LINE_MAX)
        );
    }

    #[tokio::test]
    async fn a_full_log_is_set_aside_once() {
        let (dir, output, _lines) = output(10, 64);
        for line in ["first..\n", "second.\n", "third..\n"] {
            output.clone().pump(line.as_bytes()).await;
        }
        assert_eq!(fs::read(dir.path().join("seat.log")).unwrap(), b"third..\n");
        assert_eq!(fs::read(dir.path().join("seat.log.1")).unwrap(), b"second.\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
