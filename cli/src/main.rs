//! The command lbpool: a pool on this machine.

fn main() {}
