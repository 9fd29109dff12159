//! One binary for every story that needs a socket or a process.

fn main() {}
