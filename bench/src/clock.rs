//! The clock that everything is measured with.

use rustix::time::{ClockId, Timespec, clock_gettime};

pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of a clock that only goes forward.
pub fn nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |part: i64| u64::try_from(part).unwrap_or(0);
    part(now.tv_sec) * SECOND + part(now.tv_nsec)
}

/// The same as the kernel takes it for a time-out.
pub fn timespec(nanos: u64) -> Timespec {
    let part = |part: u64| i64::try_from(part).unwrap_or(i64::MAX);
    Timespec {
        tv_sec: part(nanos / SECOND),
        tv_nsec: part(nanos % SECOND),
    }
}
