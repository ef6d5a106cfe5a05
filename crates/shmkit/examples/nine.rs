//! Nine processes add 50 each to one value: 450.
//!
//! `cargo run -p shmkit --example nine`

#![forbid(unsafe_code)]

use shmkit::{Failure, New, Process, Value, task};

type Outcome<T> = Result<T, Failure>;

/// What each of the nine does.
#[task]
fn count(total: Value<i64>) -> Outcome<()> {
    for _ in 0..50 {
        // One step: a `get` and a `set` would lose the others' additions in between.
        total.update(|n| *n += 1)?;
    }
    Ok(())
}

#[shmkit::main]
fn main() -> Outcome<()> {
    let total = Value::new(0)?;
    let nine: Vec<_> = (1..10)
        .map(|n| Process::named(format!("Process-{n}")).spawn(count, (total.clone(),)))
        .collect::<Result<_, _>>()?;
    for process in nine {
        process.join()??;
    }
    println!("{}", total.get()?);
    if total.get()? != 450 { Err(Failure::new("expected 450")) } else { Ok(()) }
}
