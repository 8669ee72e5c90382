//! Where routing documents come from.

pub mod document;
pub mod file;
pub mod index;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub(crate) mod look;
pub mod names;
pub mod stored;
