//! The data plane: routes each key to the member that owns it.

fn main() {}
