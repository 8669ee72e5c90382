//! The report's files: figures from a fixed seed, what a failed experiment leaves, and the page in a browser.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of a test")]

mod browser;
mod figures;
mod files;
mod page;
mod sample;
