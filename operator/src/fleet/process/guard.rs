//! What stands between the parent and a member for an instant, so that no member outlives its parent.
//!
//! A process asks the kernel to be killed when its parent ends, and the request lasts through `exec`. It has to be
//! made by the child itself, between fork and exec; safe code can not run there, so the child starts as our own
//! executable with the hidden command `__guard`, makes the request and becomes the member.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
};

/// The hidden command that runs [`exec`].
pub const COMMAND: &str = "__guard";

/// Becomes the program that `args` name, as a process that is killed when the process `PARENT_PID` ends:
/// `PARENT_PID [--] PROGRAM [ARG ..]`, what follows the hidden command. Returns only when that failed.
///
/// The signal is sent when the *thread* that made this process ends: the parent starts its members from a thread that
/// lives as long as it does.
pub fn exec(args: impl IntoIterator<Item = OsString>) -> io::Error {
    let mut args = args.into_iter().peekable();
    let parent = args.next().and_then(|parent| parent.to_str()?.parse::<u32>().ok());
    args.next_if(|arg| arg == "--");
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: __guard PARENT_PID -- PROGRAM [ARG ..]",
        );
    };
    if let Err(error) = bind_to(parent) {
        return error;
    }
    let error = Command::new(&program).args(args).exec();
    io::Error::new(error.kind(), format!("{}: {error}", Path::new(&program).display()))
}

/// The arguments that make `executable` run `program` under guard.
pub(super) fn arguments(program: &OsStr) -> [OsString; 4] {
    [
        COMMAND.into(),
        std::process::id().to_string().into(),
        "--".into(),
        program.into(),
    ]
}

#[cfg(target_os = "linux")]
fn bind_to(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // A parent that ended before the request was made sends nothing any more; then another process adopted us.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
    if now == Some(parent) {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "process {parent} has ended: its member does not start"
        )))
    }
}

/// Elsewhere leftovers are found and ended at the next start.
#[cfg(not(target_os = "linux"))]
fn bind_to(_: u32) -> io::Result<()> {
    Ok(())
}
