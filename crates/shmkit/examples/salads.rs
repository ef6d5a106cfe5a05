//! Burgers and salads: one cook does three things at a time, since most of making a burger is waiting; four others each make whole
//! salads, since a salad is work; and one washes the bowls that come back.
//!
//! `cargo run -p shmkit --example salads`

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use shmkit::{Failure, New, Pool, Process, Queue, QueueError, task};

const BURGERS: u32 = 12;
const SALADS: u32 = 40;

/// Work, for a processor of its own.
#[task]
fn make_salad(order: u32, bowls: Queue<u32>) -> Result<u32, Failure> {
    let chopped = (0..200_000_u64).fold(0, |sum, n| sum ^ n.wrapping_mul(order.into()));
    std::hint::black_box(chopped);
    bowls.put(order)?;
    Ok(order)
}

/// Washes until there are no bowls any more.
#[task]
fn wash(bowls: Queue<u32>) -> Result<u32, Failure> {
    let mut washed = 0;
    loop {
        match bowls.get() {
            Ok(_) => washed += 1,
            Err(QueueError::Closed) => return Ok(washed),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Three threads hand burgers on; each of them mostly waits.
fn make_burgers() -> u32 {
    let (raw, grilled) = mpsc::channel();
    let (bun, done) = mpsc::channel();
    let wait = || thread::sleep(Duration::from_millis(2));
    thread::scope(|kitchen| {
        kitchen.spawn(move || (0..BURGERS).try_for_each(|n| (wait(), raw.send(n)).1));
        kitchen.spawn(move || grilled.iter().try_for_each(|n| (wait(), bun.send(n)).1));
        done.iter().inspect(|_| wait()).count() as u32
    })
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let bowls = Queue::new(SALADS as u64)?;
    let washer = Process::spawn(wash, (bowls.clone(),))?;
    let cooks = Pool::new(4)?;
    let (burgers, salads) = thread::scope(|kitchen| {
        let burgers = kitchen.spawn(make_burgers);
        let salads = cooks.starmap_each(make_salad, (0..SALADS).map(|n| (n, bowls.clone())));
        (burgers.join(), salads)
    });
    let burgers = burgers.map_err(|_| Failure::new("the cook has panicked"))?;
    let salads = salads.into_iter().filter(|salad| matches!(salad, Ok(Ok(_)))).count();
    bowls.close()?;
    println!("{burgers} burgers, {salads} salads, {} bowls washed", washer.join()??);
    Ok(())
}
