//! `cargo xtask bench`: shmkit's figures, as ratios against named peers in one run.

use anyhow::Result;

mod mutex;
mod pthread;
mod ring;
mod segment;

fn main() -> Result<()> {
    let groups = [mutex::groups()?, ring::groups()?, segment::groups()?];
    shmkit_benches::run(groups.into_iter().flatten().collect())
}
