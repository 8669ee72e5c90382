//! Placement: which member owns a key.
//!
//! A [`Table`] is compiled once from the names and weights of a pool's members and then only read. It depends on nothing
//! else: not on the order in which the members are given (except for [`Algorithm::Classroom`], whose server ids are
//! positions), not on the tables before it, not on the machine. So every balancer that knows the same members routes
//! alike, which [`Table::digest`] proves in 64 bits.
//!
//! ```
//! # use lbpool_ring::{Member, Table};
//! let before = Table::build(&[Member::new("m-0"), Member::new("m-1"), Member::new("m-2")])?;
//! let owner = before.owner(before.hash(b"cart/42")).map(|index| &before.members()[index].name);
//!
//! // A member that joins takes its share of the keys, and no key moves between those that stay.
//! let after = Table::build(&[Member::new("m-0"), Member::new("m-1"), Member::new("m-2"), Member::new("m-3")])?;
//! assert!((after.moved_from(&before) - 0.25).abs() < 0.01);
//! # assert!(owner.is_some());
//! # Ok::<(), lbpool_ring::Error>(())
//! ```
//!
//! The exact definition, for whoever wants to compute a key's home in another language, is in docs/reference/placement.md;
//! `vectors/` beside this crate holds tables to check against.

mod classroom;
mod error;
mod maglev;
mod member;
mod rank;
mod rendezvous;
mod ring;
mod table;

#[cfg(test)]
mod tests;

pub use error::Error;
pub use member::{MAX_MEMBERS, MAX_WEIGHT, Member};
pub use rank::Rank;
pub use table::{Algorithm, Table, hash};
