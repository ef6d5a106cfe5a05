//! `cargo xtask bench`: shmkit's figures, as ratios against named peers in one run.

use anyhow::Result;

mod contended;
mod mutex;
mod pthread;
mod ring;
mod segment;
mod takeover;

fn main() -> Result<()> {
    let groups = [
        mutex::groups()?,
        contended::groups()?,
        takeover::groups()?,
        ring::groups()?,
        segment::groups()?,
    ];
    shmkit_benches::run(groups.into_iter().flatten().collect())
}
