//! Conditions that are awaited.

use std::{thread, time::Duration};
use tokio::time::Instant;

/// Often enough for figures in tenths of a second, and a small load for the API server.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until `check` gives a value. The panic otherwise says what was waited for, and what was seen last.
pub fn wait_for<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(last) if began.elapsed() > limit => panic!("not within {limit:?}: {what}. Seen last: {last}"),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
