//! The sample server: /home, /heartbeat, /docs.

fn main() {}
