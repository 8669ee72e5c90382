//! The report of `lbpool analyze`: how requests spread, what moves, what breaks, in pictures.
//!
//! A [`Run`] holds what was measured; [`files`] makes of it a page, charts, tables and raw data. Nothing here asks a server or reads a clock,
//! so that the same run gives the same files, byte for byte. What is compared with a measurement is either [`theory`] or, in the
//! self-check, the [`Oracle`]: a table built from the servers' names.

mod algorithm;
mod charts;
mod font;
pub mod keys;
mod measured;
mod number;
mod oracle;
mod output;
mod palette;
mod png;
mod raster;
mod scene;
pub mod stats;
mod svg;
pub mod theory;
mod timeline;

pub use algorithm::Algorithm;
pub use keys::Keys;
pub use measured::{About, Change, ChangeKind, Check, Failed, Flow, Kill, Run, Sample, Setup, Spread};
pub use number::grouped;
pub use oracle::Oracle;
pub use output::{File, files};
