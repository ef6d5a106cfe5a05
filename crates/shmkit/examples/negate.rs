//! A child process sets a value and negates an array in place.
//!
//! `cargo run -p shmkit --example negate`

use shmkit::{Array, Failure, New, Process, Value, task};

#[task]
fn negate(number: Value<f64>, row: Array<i64>) -> Result<(), Failure> {
    number.set(std::f64::consts::PI)?;
    row.update_all(|row| row.iter_mut().for_each(|n| *n = -*n))?;
    Ok(())
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let number = Value::new(0.0)?;
    let row = Array::new((0..10).collect::<Vec<i64>>())?;
    println!("before: {:?}", row.to_vec()?);
    Process::spawn(negate, (number.clone(), row.clone()))?.join()??;
    println!("{:.7}", number.get()?);
    println!("after:  {:?}", row.to_vec()?);
    match row.iter()?.eq((0..10).map(|n: i64| -n)) {
        true => Ok(()),
        false => Err(Failure::new("expected the negated numbers")),
    }
}
