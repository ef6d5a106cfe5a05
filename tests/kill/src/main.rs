//! The kill harness.

fn main() {}
