//! A test binary: with the runner of `cargo test`, or of `cargo nextest`.

use shmkit::{Pool, task};

shmkit::early!();

#[task]
fn square(number: u64) -> u64 {
    number * number
}

#[test]
fn a_test_has_a_pool() {
    assert_eq!(Pool::new(2).unwrap().map(square, 0..4).unwrap(), [0, 1, 4, 9]);
}

#[test]
fn a_library_starts_processes_of_the_test() {
    assert_eq!(shmkit_linked::isolated(21).unwrap(), 42);
}
