//! Where routing documents come from.

pub mod document;
pub mod file;
pub mod names;
