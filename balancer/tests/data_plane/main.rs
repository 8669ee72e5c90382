//! The data plane over real sockets, against small scripted members.

// For clippy: helpers are tests too, and may panic.
#![cfg(test)]

mod away;
mod basics;
mod bodies;
mod epochs;
mod failures;
mod hanging;
mod json_keys;
mod load;
mod rfc9112;
mod shutdown;
mod support;
mod tls;
mod tunnels;
