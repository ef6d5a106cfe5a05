//! A bar that shows how far a pool has come, on a terminal.
//!
//! `cargo run -p shmkit --example progress`

use std::time::Duration;

use indicatif::ProgressBar;
use shmkit::{Pool, task};

const TASKS: u64 = 200;

#[task]
fn work(number: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(number % 20));
    number
}

#[shmkit::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(4)?;
    let bar = ProgressBar::new(TASKS);
    let all: Vec<_> = (0..TASKS).map(|number| pool.submit(work, (number,))).collect();
    while pool.completed() < TASKS {
        bar.set_position(pool.completed());
        std::thread::sleep(Duration::from_millis(20));
    }
    bar.finish_and_clear();
    let sum: u64 = all.into_iter().map(|task| task.wait()).sum::<Result<_, _>>()?;
    println!("{} tasks, whose answers add up to {sum}", pool.completed());
    Ok(())
}
