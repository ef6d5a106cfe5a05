//! How shmkit measures: ratios against named peers, taken in the same run.
//!
//! A *group* is a piece of work that several candidates do. Every *round* runs all candidates once, in an order that
//! is shuffled anew, and compares ours with each peer of the same round: on a machine whose cores drift apart and
//! whose host takes time away, only such ratios mean anything. Reported are medians and quartiles, and beside them
//! the machine's noise: how much the yardstick's own samples spread, and how long a cache line takes to the other
//! core and back.

mod cli;
mod group;
mod limit;
mod machine;
mod plot;
mod report;
mod shared;
mod two;

pub use crate::cli::run;
pub use crate::group::{Candidate, Fact, Group, Outcome, Quartiles, Ratio, Sample, Settings};
pub use crate::shared::Shared;
pub use crate::two::{Start, time_processes, time_threads, time_with_child};
