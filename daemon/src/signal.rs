//! The end of a process: the first signal asks for an orderly one, the second gets an immediate one.

use std::{
    io, process,
    sync::{Arc, mpsc},
    thread,
};

use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

/// Exit code of a process that a second signal ended: what a shell shows for SIGINT.
const EXIT_AT_ONCE: i32 = 130;

/// A request to end, shared by all who may ask for it and all who act on it.
///
/// It is asked for once and never taken back. A `Shutdown` of its own (`default`) hears no signals: tests and parts
/// of a process use it.
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use lbpool_daemon::{Cause, Shutdown};
///
/// let shutdown = Shutdown::default();
/// let other = shutdown.clone();
/// other.request(Cause::Command);
/// assert_eq!(shutdown.requested().await, Cause::Command);
/// # });
/// ```
#[derive(Clone, Debug, Default)]
pub struct Shutdown(Arc<watch::Sender<Option<Cause>>>);

/// Who asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// SIGTERM: a supervisor, or `kill`.
    Terminate,
    /// SIGINT: ctrl-c.
    Interrupt,
    /// A command of the process itself.
    Command,
    /// A part of the process failed, without which the rest is of no use.
    Failure,
}

/// Why signals can not be heard.
#[derive(Debug, thiserror::Error)]
#[error("can not listen for SIGTERM and SIGINT")]
pub struct Error(#[from] io::Error);

// === impl Shutdown ===

impl Shutdown {
    /// A request that SIGTERM and SIGINT make too. The second signal ends the process with code 130 at once.
    ///
    /// Signals are heard on a thread of their own, so that the second one works even while everything else hangs.
    /// They are heard from the moment this returns.
    ///
    /// # Errors
    /// The operating system refuses a thread or a handler.
    pub fn on_signals() -> Result<Self, Error> {
        let shutdown = Self::default();
        let (ready, outcome) = mpsc::sync_channel(1);
        let listener = shutdown.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || listener.listen(&ready))?;
        outcome.recv().map_err(io::Error::other)??;
        Ok(shutdown)
    }

    /// Asks for the end. `false`: someone else did before.
    #[expect(
        clippy::must_use_candidate,
        reason = "most who ask do not care whether they were first"
    )]
    pub fn request(&self, cause: Cause) -> bool {
        self.0.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(cause);
            first
        })
    }

    /// Who asked for the end, if someone did.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        *self.0.borrow()
    }

    /// Waits until someone asks for the end.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn requested(&self) -> Cause {
        let mut changes = self.0.subscribe();
        loop {
            if let Some(cause) = *changes.borrow_and_update() {
                return cause;
            }
            // The sender lives in `self`: this can not fail while someone waits.
            if changes.changed().await.is_err() {
                return Cause::Failure;
            }
        }
    }

    fn listen(self, ready: &mpsc::SyncSender<io::Result<()>>) {
        let Ok(runtime) = runtime::Builder::new_current_thread().enable_io().build() else {
            return; // `ready` is dropped: the caller gets an error
        };
        runtime.block_on(async {
            let (mut terminate, mut interrupt) = match handlers() {
                Ok(both) => both,
                Err(error) => return drop(ready.send(Err(error))),
            };
            if ready.send(Ok(())).is_err() {
                return;
            }
            self.request(next(&mut terminate, &mut interrupt).await);
            next(&mut terminate, &mut interrupt).await;
            process::exit(EXIT_AT_ONCE);
        });
    }
}

fn handlers() -> io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> Cause {
    tokio::select! {
        _ = terminate.recv() => Cause::Terminate,
        _ = interrupt.recv() => Cause::Interrupt,
    }
}

// === impl Cause ===

impl Cause {
    /// The cause in a line of the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Command => "command",
            Self::Failure => "failure",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn every_holder_hears_the_first_cause() {
        let shutdown = Shutdown::default();
        let early = shutdown.clone();
        let (heard, first) = tokio::join!(early.requested(), async { shutdown.request(Cause::Command) });
        assert!(first);
        assert!(!shutdown.request(Cause::Failure), "only the first counts");
        assert_eq!((heard, shutdown.requested().await), (Cause::Command, Cause::Command));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_told_to_end_unasked() {
        let shutdown = Shutdown::default();
        assert!(timeout(Duration::from_secs(9), shutdown.requested()).await.is_err());
        assert_eq!(shutdown.cause(), None);
    }
}
