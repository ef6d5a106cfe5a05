//! Four processes share the work. One call kills the process that runs it: that costs its answer, and no other.
use shmkit::{Pool, TaskError, task};

/// How many steps a number takes to 1, if an odd one is tripled and one added, and an even one halved.
#[task]
fn collatz(number: u64) -> usize {
    if number == 13 {
        std::process::abort();
    }
    let next = |n: &u64| Some(if n.is_multiple_of(2) { n / 2 } else { 3 * n + 1 });
    std::iter::successors(Some(number), next).take_while(|n| *n != 1).count()
}

#[shmkit::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (index, answer) in Pool::new(4)?.imap_unordered(collatz, 1..=27).with_index() {
        match answer {
            Ok(steps) => println!("{}: {steps}", index + 1),
            Err(TaskError::WorkerDied(death)) => println!("{}: {death}", index + 1),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
