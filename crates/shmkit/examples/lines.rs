//! Ten processes print a line each, one at a time, count what they have printed, and begin when they are all told to.
//!
//! `cargo run -p shmkit --example lines`

use shmkit::{Event, Failure, LockError, Mutex, New, NewPlain, Process, task};

#[task]
fn hello(number: u32, printed: Mutex<u32>, begin: Event) -> Result<(), Failure> {
    begin.wait()?;
    // Held while the line is printed.
    let mut printed = printed.lock().map_err(LockError::detach)?;
    println!("hello world {number}");
    *printed += 1;
    Ok(())
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let (printed, begin) = (Mutex::new(0)?, Event::new()?);
    let ten: Vec<_> = (0..10)
        .map(|number| Process::spawn(hello, (number, printed.clone(), begin.clone())))
        .collect::<Result<_, _>>()?;
    begin.set()?;
    for process in ten {
        process.join()??;
    }
    println!("{} lines", *printed.lock().map_err(LockError::detach)?);
    Ok(())
}
