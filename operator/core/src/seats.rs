//! The seats of a pool: a pure function of its spec.

use lbpool_api::MemberName;

/// A seat: a name that lasts, and its share of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its name.
    pub name: MemberName,
    /// Its weight.
    pub weight: u32,
}
