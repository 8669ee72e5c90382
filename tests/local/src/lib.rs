//! What the tests of whole processes are made of.
//!
//! [`load`] asks without pause and checks every answer: its status, its body, and which server gave it. [`process`]
//! starts the real commands in a directory of their own, watches their processes, and leaves nothing behind. Each file
//! in `tests/` proves one promise with both.

pub mod process;

pub use lbpool_load as load;
