//! A task in a module that nobody outside names.

use shmkit::task;

#[task]
pub(crate) fn double(number: u64) -> u64 {
    number * 2
}
