//! What the documentation of Python's `multiprocessing` shows of a `Pool`: `map`, `starmap`, `apply_async` with a callback.
//!
//! `cargo run -p shmkit --example squares`

use std::sync::mpsc;
use std::time::Duration;

use shmkit::{Pool, TaskError, task};

#[task]
fn square(x: u64) -> u64 {
    x * x
}

#[task]
fn power(x: u64, n: u32) -> u64 {
    x.pow(n)
}

#[task]
fn sleep(seconds: u64) -> u64 {
    std::thread::sleep(Duration::from_secs(seconds));
    seconds
}

#[shmkit::main]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::new(4)?;
    println!("{:?}", pool.map(square, 0..10)?);
    println!("{:?}", pool.starmap(power, [(2, 5), (3, 2), (10, 3)])?);
    println!("{:?}", pool.imap(square, 0..10).collect::<Result<Vec<_>, _>>()?);

    // The callback is called by whichever thread takes the answer: it should not wait.
    let (send, receive) = mpsc::channel();
    let twenty =
        pool.submit(square, (20,)).then(move |answer| drop(send.send(format!("{answer:?}"))));
    println!("the callback was called with {}", receive.recv_timeout(Duration::from_secs(10))?);
    println!("{}", twenty.wait()?);

    let mut long = pool.submit(sleep, (600,));
    match long.wait_timeout(Duration::from_millis(100)) {
        Err(TaskError::TimedOut) => println!("it has not answered in time, and is killed"),
        other => println!("{other:?}"),
    }
    long.kill();
    println!("{}", long.wait().unwrap_err());
    Ok(())
}
