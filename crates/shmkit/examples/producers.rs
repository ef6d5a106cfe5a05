//! Five processes count and put what they have counted into one queue, each with a last item that says so; their parent adds up.
//!
//! `cargo run -p shmkit --example producers`

use std::time::Duration;

use shmkit::{Failure, New, Process, Queue, task};

/// What an item is: a number, or the end of a producer.
const NUMBER: u64 = 1;
const END: u64 = 0;

#[task]
fn produce(queue: Queue<[u64; 2]>, number: u64) -> Result<(), Failure> {
    let counted = (0..1_000_000_u64).filter(|n| n % 5 == number).count();
    queue.put([NUMBER, counted as u64])?;
    queue.put([END, number])?;
    Ok(())
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let queue = Queue::new(64_u64)?;
    let five = (0..5)
        .map(|number| Process::spawn(produce, (queue.clone(), number)))
        .collect::<Result<Vec<_>, _>>()?;
    let (mut total, mut ends) = (0, 0);
    while ends < 5 {
        // Nobody waits for a producer that was killed.
        match queue.get_timeout(Duration::from_secs(10))? {
            [NUMBER, counted] => total += counted,
            _ => ends += 1,
        }
    }
    for process in five {
        process.join()??;
    }
    println!("{total}");
    Ok(())
}
