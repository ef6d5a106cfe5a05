//! `cargo xtask versus`: `raw_sync` 0.1.5 and `shared_memory` 0.12.4 beside shmkit, in one run.
//!
//! They promise nothing when a process dies: a killed owner keeps their mutex for ever, a killed waiter wedges their
//! event. What is compared is the work both can do while everybody lives.

use anyhow::Result;

mod event;
mod life;
mod mutex;
mod theirs;

fn main() -> Result<()> {
    shmkit_benches::run(|| Ok(vec![mutex::group()?, event::group()?, life::group()]))
}
