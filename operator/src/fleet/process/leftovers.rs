//! Members that outlived their parent: found by the files they are written down in, and ended at the next start.
//!
//! The guard ends a member with its parent, but not what the member itself has started; and where there is no guard
//! nothing ends. A process id may be somebody else's by then, so a process counts as ours only where it started
//! when ours did or carries our mark in its environment.

use std::{
    fs, io,
    path::{Path, PathBuf},
};
#[cfg(target_os = "linux")]
use std::{thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// Variable that each member and whatever it starts carries: the member's uid.
pub(super) const MARK: &str = "LBPOOL_MEMBER_UID";

/// A process that becomes the program which it runs has no environment for an instant, and a read of it may end in the middle:
/// what is not found counts as missing once the same was read twice. So many looks at most.
#[cfg(target_os = "linux")]
const LOOKS: u32 = 1_000;
/// Pause between two such looks.
#[cfg(target_os = "linux")]
const LOOK: Duration = Duration::from_millis(1);

/// A running member, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its process id, and that of its group.
    pub pid: u32,
    /// When it started, in the system's own terms.
    pub started: String,
    /// Its uid.
    pub uid: String,
    /// Its name, for whoever reads the file.
    pub name: String,
}

/// A member's file: written when it starts, removed when it is reaped, left behind when we are killed.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
}

impl Record {
    /// Writes down a member that has just started.
    pub fn write(dir: &Path, pid: u32, uid: &str, name: &str) -> io::Result<Self> {
        let entry = Entry {
            pid,
            started: started(pid).unwrap_or_default(),
            uid: uid.to_owned(),
            name: name.to_owned(),
        };
        let path = dir.join(format!("{pid}.json"));
        fs::write(&path, serde_json::to_vec(&entry)?)?;
        Ok(Self { path })
    }

    /// The member has been reaped.
    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "a member's record is gone already");
        }
    }
}

/// Ends the members that an earlier process left behind in `dir` and forgets them. Returns their names.
pub(super) fn reap(dir: &Path) -> io::Result<Vec<String>> {
    let mut ended = Vec::new();
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    for path in paths {
        // A file cut short by a full disk names nobody.
        if let Some(entry) = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Entry>(&text).ok())
            && runs(&entry)
            && let Some(group) = i32::try_from(entry.pid).ok().and_then(Pid::from_raw)
            && kill_process_group(group, Signal::KILL).is_ok()
        {
            ended.push(entry.name);
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(ended)
}

/// Whether the member, or something that it started in its group, still runs.
#[cfg(target_os = "linux")]
fn runs(entry: &Entry) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    let pids = processes.filter_map(|process| process.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mark = format!("{MARK}={}", entry.uid);
    pids.filter_map(|pid| Some((pid, Stat::of(pid)?))).any(|(pid, stat)| {
        let same = pid == entry.pid && stat.started == entry.started;
        // A dead one whose new parent has not reaped it yet is nothing to end.
        stat.group == entry.pid && !stat.dead && (same || carries(pid, &mark))
    })
}

#[cfg(target_os = "linux")]
fn carries(pid: u32, mark: &str) -> bool {
    let mut before = Vec::new();
    for _ in 0..LOOKS {
        let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        if environ.split(|&byte| byte == 0).any(|it| it == mark.as_bytes()) {
            return true;
        }
        if !environ.is_empty() && environ == before {
            return false;
        }
        before = environ;
        thread::sleep(LOOK);
    }
    false
}

#[cfg(target_os = "linux")]
fn started(pid: u32) -> Option<String> {
    Some(Stat::of(pid)?.started)
}

/// What `/proc/<pid>/stat` says.
#[cfg(target_os = "linux")]
struct Stat {
    dead: bool,
    group: u32,
    started: String,
}

#[cfg(target_os = "linux")]
impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is a name in parentheses that may hold spaces and parentheses itself.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        Some(Self {
            dead: matches!(*fields.first()?, "Z" | "X"),
            group: fields.get(2)?.parse().ok()?,
            started: (*fields.get(19)?).to_owned(),
        })
    }
}

#[cfg(not(target_os = "linux"))]
fn runs(entry: &Entry) -> bool {
    !entry.started.is_empty() && started(entry.pid).is_some_and(|started| started == entry.started)
}

#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> Option<String> {
    let out = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &pid.to_string()])
        .output()
        .ok()?;
    let started = String::from_utf8(out.stdout).ok()?.trim().to_owned();
    (!started.is_empty()).then_some(started)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_name_may_look_like_fields() {
        let stat = Stat::parse("7 (a) R 1 (b) S 1 42 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9876 0 0").unwrap();
        assert_eq!((stat.dead, stat.group, stat.started.as_str()), (false, 42, "9876"));
    }

    #[test]
    fn a_member_left_behind_is_ended_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        Record::write(dir.path(), child.id(), "u-1", "m-0-abcde").unwrap();
        assert_eq!(reap(dir.path()).unwrap(), ["m-0-abcde"]);
        assert!(!child.wait().unwrap().success());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_process_that_took_over_the_id_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        let record = Record::write(dir.path(), child.id(), "u-1", "m-0-abcde").unwrap();
        let text = fs::read_to_string(&record.path).unwrap();
        let mut entry: Entry = serde_json::from_str(&text).unwrap();
        entry.started.push('1');
        fs::write(&record.path, serde_json::to_vec(&entry).unwrap()).unwrap();
        assert_eq!(reap(dir.path()).unwrap(), [""; 0]);
        assert!(child.try_wait().unwrap().is_none(), "still running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_member_started_is_ended_though_the_member_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("grandchild");
        let script = format!("sleep 1000 & echo $! > {}", pid_file.display());
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env(MARK, "u-7")
            .process_group(0)
            .spawn()
            .unwrap();
        Record::write(dir.path(), child.id(), "u-7", "m-0-abcde").unwrap();
        child.wait().unwrap();
        let grandchild: u32 = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        assert!(Stat::of(grandchild).is_some());
        assert_eq!(reap(dir.path()).unwrap(), ["m-0-abcde"]);
    }
}
