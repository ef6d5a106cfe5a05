//! Calls in calls: a pool in a task is refused with the reason; a task in a process of its own starts others, and one that starts
//! itself comes to an end.
//!
//! `cargo run -p shmkit --example nested`

use shmkit::{Failure, Pool, Process, task};

#[task]
fn square(x: u64) -> u64 {
    x * x
}

#[task]
fn pool_in_a_pool(x: u64) -> Result<u64, Failure> {
    Ok(Pool::new(2)?.map(square, 0..x)?.iter().sum())
}

#[task]
fn process_in_a_process(x: u64) -> Result<u64, Failure> {
    Ok(Process::spawn(square, (x,))?.join()? + 1)
}

/// How deep this goes.
#[task]
fn for_ever(depth: u32) -> Result<u32, Failure> {
    match Process::spawn(for_ever, (depth + 1,)) {
        Ok(process) => process.join()?,
        Err(refused) => {
            println!("{refused}");
            Ok(depth)
        }
    }
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let refused = Pool::new(1)?.submit(pool_in_a_pool, (10,)).wait()?.unwrap_err();
    println!("{refused}: {}", refused.causes().join(": "));
    println!("{}", Process::spawn(process_in_a_process, (3,))?.join()??);
    println!("{} deep", Process::spawn(for_ever, (1,))?.join()??);
    Ok(())
}
