//! The process at the other end.

fn main() {}
