//! A members file: the routing document as a file that is read again when it was replaced.
//!
//! Looks at the file instead of being told: that works on every file system, through bind mounts and symbolic links,
//! and whether the file is renamed into place or written over. A file that is being written is left alone until it
//! looks the same twice.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use lbpool_api::RoutingDocument;
use tokio::time::{Instant, sleep_until};

use super::{
    document::{self, Addresses},
    look::{Look, blocking, look},
};

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(500);
/// Time between the two looks that must show the same.
const SETTLE: Duration = Duration::from_millis(100);
/// Largest file that is read: 1,024 members with long names have a quarter of it.
const SIZE_MAX: u64 = 1 << 20;

/// A members file and what was last read from it.
#[derive(Debug)]
pub struct MembersFile {
    path: PathBuf,
    period: Duration,
    next: Instant,
    /// How it looked when it was last read, whatever came of it.
    read: Look,
    /// How it looked the last time, where that differs from `read`.
    changing: Option<Look>,
    /// What it said, as it was written.
    said: Option<RoutingDocument>,
    epoch: u64,
}

/// Why a members file is not usable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is missing, or may not be read.
    #[error("{file}: can not be read")]
    Read {
        /// Its name, as the user gave it.
        file: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is larger than any routing document.
    #[error("{file}: is larger than {SIZE_MAX} bytes: is it the right file?")]
    Size {
        /// Its name, as the user gave it.
        file: String,
    },
    /// It is no text.
    #[error("{file}: is no UTF-8 text: is it the right file?")]
    Text {
        /// Its name, as the user gave it.
        file: String,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Document(#[from] document::Error),
}

// === impl MembersFile ===

impl MembersFile {
    /// The file at `path` and what it says now.
    ///
    /// # Errors
    /// It can not be read, or what it says is wrong.
    pub fn open(path: &Path) -> Result<(Self, RoutingDocument), Error> {
        let (read, said) = load(path);
        let mut file = Self {
            path: path.to_owned(),
            period: PERIOD,
            next: Instant::now() + PERIOD,
            read,
            changing: None,
            said: None,
            epoch: 0,
        };
        let said = said?;
        file.epoch = said.epoch.max(1);
        file.said = Some(said.clone());
        let document = RoutingDocument {
            epoch: file.epoch,
            ..said
        };
        Ok((file, document))
    }

    /// With another time between two looks.
    #[must_use]
    pub fn every(self, period: Duration) -> Self {
        Self {
            period,
            next: Instant::now() + period,
            ..self
        }
    }

    /// Waits until the file was written anew, and returns what it says, with an epoch above all before. `None`: it says
    /// what it said when it was last right.
    ///
    /// Cancel safe: a change that was seen but not returned is seen again.
    ///
    /// # Errors
    /// What it says now is wrong, or it can no longer be read. Each such state is told once; what was said before
    /// should stay in use.
    pub async fn changed(&mut self) -> Result<Option<RoutingDocument>, Error> {
        loop {
            sleep_until(self.next).await;
            let path = self.path.clone();
            let now = blocking(move || look(&path)).await;
            if now == self.read {
                self.changing = None;
                self.next = Instant::now() + self.period;
            } else if self.changing.as_ref() != Some(&now) {
                self.changing = Some(now);
                self.next = Instant::now() + SETTLE.min(self.period);
            } else {
                return self.reload().await;
            }
        }
    }

    /// Reads the file at once. `None`: it says what it said before.
    ///
    /// # Errors
    /// What it says is wrong, or it can not be read. What was said before should stay in use.
    pub async fn reload(&mut self) -> Result<Option<RoutingDocument>, Error> {
        let path = self.path.clone();
        let (read, said) = blocking(move || load(&path)).await;
        self.read = read;
        self.changing = None;
        self.next = Instant::now() + self.period;
        let said = said?;
        if self.said.as_ref() == Some(&said) {
            return Ok(None);
        }
        // A writer that counts is believed while its number grows; otherwise we count.
        self.epoch = if said.epoch > self.epoch {
            said.epoch
        } else {
            self.epoch + 1
        };
        self.said = Some(said.clone());
        Ok(Some(RoutingDocument {
            epoch: self.epoch,
            ..said
        }))
    }

    /// An epoch above all before, for a document that changed for another reason than its file.
    pub const fn count(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    /// What the file said could not be used: it counts as a change when it is read again.
    pub fn refuse(&mut self) {
        self.said = None;
    }
}

/// How the file looked before it was read, and what it said: a write in between is seen by the next look.
fn load(path: &Path) -> (Look, Result<RoutingDocument, Error>) {
    (look(path), read(path))
}

fn read(path: &Path) -> Result<RoutingDocument, Error> {
    let file = path.display().to_string();
    let mut bytes = Vec::new();
    let read = fs::File::open(path).and_then(|open| open.take(SIZE_MAX + 1).read_to_end(&mut bytes));
    if let Err(source) = read {
        return Err(Error::Read { file, source });
    }
    if bytes.len() as u64 > SIZE_MAX {
        return Err(Error::Size { file });
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Error::Text { file });
    };
    Ok(document::parse(&file, &text, Addresses::Here)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    const ONE: &str = "pool: web\nmembers: [{name: a, address: '10.0.0.1:80'}]\n";
    const TWO: &str = "pool: web\nmembers: [{name: a, address: '10.0.0.1:80'}, {name: b, address: '10.0.0.2:80'}]\n";

    struct Fixture {
        dir: TempDir,
        file: MembersFile,
        first: RoutingDocument,
    }

    impl Fixture {
        fn new(text: &str) -> Self {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("members.yaml");
            fs::write(&path, text).unwrap();
            let (file, first) = MembersFile::open(&path).unwrap();
            Self {
                dir,
                file: file.every(Duration::from_millis(20)),
                first,
            }
        }

        fn write(&self, text: &str) {
            fs::write(self.dir.path().join("members.yaml"), text).unwrap();
        }

        fn replace(&self, text: &str) {
            let new = self.dir.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, self.dir.path().join("members.yaml")).unwrap();
        }

        async fn changed(&mut self) -> Result<RoutingDocument, Error> {
            let read = timeout(Duration::from_secs(10), self.file.changed())
                .await
                .expect("the change is seen");
            read.map(|document| document.expect("it says something else"))
        }
    }

    #[tokio::test]
    async fn a_file_written_over_and_one_renamed_into_place_are_both_seen() {
        let mut fixture = Fixture::new(ONE);
        assert_eq!((fixture.first.epoch, fixture.first.members.len()), (1, 1));
        fixture.write(TWO);
        let second = fixture.changed().await.unwrap();
        assert_eq!((second.epoch, second.members.len()), (2, 2));
        fixture.replace(ONE);
        let third = fixture.changed().await.unwrap();
        assert_eq!((third.epoch, third.members.len()), (3, 1));
    }

    #[tokio::test]
    async fn a_symbolic_link_that_is_turned_is_seen() {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("one"), ONE).unwrap();
        fs::write(at("two"), TWO).unwrap();
        std::os::unix::fs::symlink(at("one"), at("members.yaml")).unwrap();
        let (file, _) = MembersFile::open(&at("members.yaml")).unwrap();
        std::os::unix::fs::symlink(at("two"), at("link")).unwrap();
        fs::rename(at("link"), at("members.yaml")).unwrap();
        let mut file = file.every(Duration::from_millis(20));
        assert_eq!(
            file.changed().await.unwrap().map(|document| document.members.len()),
            Some(2)
        );
    }

    #[tokio::test]
    async fn a_wrong_file_is_told_once_and_a_right_one_after_it_counts() {
        let mut fixture = Fixture::new(ONE);
        fixture.write("pool: web\nmembers: [{name: a, address: nowhere}]\n");
        let error = fixture.changed().await.unwrap_err().to_string();
        assert!(error.contains("members.yaml: members[0].address"), "{error}");
        assert!(
            timeout(Duration::from_millis(300), fixture.file.changed())
                .await
                .is_err(),
            "told once"
        );
        fixture.write(TWO);
        assert_eq!(fixture.changed().await.unwrap().epoch, 2);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_told_once_and_its_return_with_the_same_words_is_no_change() {
        let mut fixture = Fixture::new(ONE);
        fs::remove_file(fixture.dir.path().join("members.yaml")).unwrap();
        assert!(matches!(fixture.changed().await, Err(Error::Read { .. })));
        fixture.write(ONE);
        assert_eq!(
            timeout(Duration::from_secs(10), fixture.file.changed())
                .await
                .unwrap()
                .unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn a_writer_that_counts_is_believed_while_its_epoch_grows() {
        let mut fixture = Fixture::new(&format!("epoch: 7\n{ONE}"));
        assert_eq!(fixture.first.epoch, 7);
        fixture.write(&format!("epoch: 20\n{TWO}"));
        assert_eq!(fixture.changed().await.unwrap().epoch, 20);
        fixture.write(&format!("epoch: 19\n{ONE}"));
        assert_eq!(fixture.changed().await.unwrap().epoch, 21);
        fixture.write(TWO);
        assert_eq!(fixture.changed().await.unwrap().epoch, 22);
    }

    #[tokio::test]
    async fn a_reload_on_request_does_not_wait_for_the_next_look() {
        let fixture = Fixture::new(ONE);
        let mut file = MembersFile {
            period: Duration::from_hours(1),
            ..fixture.file
        };
        assert_eq!(file.reload().await.unwrap(), None);
        fs::write(fixture.dir.path().join("members.yaml"), TWO).unwrap();
        assert_eq!(file.reload().await.unwrap().map(|document| document.epoch), Some(2));
    }

    #[test]
    fn what_is_no_members_file_is_told_by_name() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("m.yaml");
        let message = |path: &Path| MembersFile::open(path).unwrap_err().to_string();
        assert!(message(&path).ends_with("m.yaml: can not be read"));
        assert!(message(dir.path()).ends_with("can not be read"), "a folder");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(message(&path).contains("no UTF-8"));
        fs::write(&path, vec![b' '; 2 << 20]).unwrap();
        assert!(message(&path).contains("larger"));
        fs::write(&path, "").unwrap();
        assert!(message(&path).contains("m.yaml"), "{}", message(&path));
    }
}
