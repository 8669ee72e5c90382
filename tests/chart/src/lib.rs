//! The chart as its tests and its README's generator see it: rendered by helm, parsed as plain JSON values.

pub mod object;
pub mod render;
pub mod rules;
pub mod values;

use std::path::PathBuf;

pub use object::Object;
pub use render::{lint, render, value_sets};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The folder of the chart.
#[must_use]
pub fn chart() -> PathBuf {
    root().join("charts/lbpool")
}
