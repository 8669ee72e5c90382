//! The data plane over real sockets, against small scripted members.

mod away;
mod basics;
mod bodies;
mod epochs;
mod failures;
mod load;
mod shutdown;
mod support;
