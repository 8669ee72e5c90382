//! What a pool needs, decided without I/O: validate, plan, roll out, report.
//!
//! A pass over a pool is five steps; the three in the middle are here and are pure functions of their arguments:
//! observe (I/O), [`validate`](validate::validate), [`plan`](plan::plan), apply (I/O), [`status`](status::status).
//! Time is an argument: the same input gives the same plan, on any machine, in any order. What a driver owes for it is
//! written in [`observed`].

pub mod assignment;
pub mod build;
pub mod diff;
pub mod edit;
mod fingerprint;
pub mod forecast;
pub mod observed;
pub mod plan;
pub mod rollout;
pub mod seats;
pub mod status;
#[cfg(test)]
mod testing;
pub mod validate;

pub use fingerprint::protocol;
pub use forecast::{Forecast, forecast};
pub use observed::{
    BalancerReport, Balancing, Departure, Instance, InstanceId, Observed, Phase, UnreadyBalancer, departures,
};
pub use plan::{Action, Plan, Reason, plan};
pub use status::status;
pub use validate::{ValidPool, validate};
