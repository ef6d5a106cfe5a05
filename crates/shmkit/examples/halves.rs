//! Four processes change the parts of a shared array where it lies. One of them is killed at its part: the error says which
//! elements that has, and all others are done.
//!
//! `cargo run -p shmkit --example halves`

use shmkit::{Array, ArrayPart, Failure, New, Pool, task};

#[task]
fn halve(part: ArrayPart<f64>) -> Result<(), Failure> {
    part.update(|numbers| numbers.iter_mut().for_each(|number| *number /= 2.0))?;
    Ok(())
}

#[task]
fn halve_or_die(part: ArrayPart<f64>) -> Result<(), Failure> {
    if part.range().contains(&700) {
        std::process::abort();
    }
    halve(part)
}

#[task]
fn sum(part: ArrayPart<f64>) -> Result<f64, Failure> {
    Ok(part.to_vec()?.iter().sum())
}

#[shmkit::main]
fn main() -> Result<(), Failure> {
    let numbers = Array::new(vec![8.0; 1000])?;
    let pool = Pool::new(4)?;

    pool.par_for_each(halve, &numbers)?;
    let sums = pool.par_map(sum, &numbers)?.into_iter().collect::<Result<Vec<_>, _>>()?;
    println!("{} parts, {} in all", sums.len(), sums.iter().sum::<f64>());

    match pool.par_for_each(halve_or_die, &numbers) {
        Ok(()) => return Err(Failure::new("somebody has died")),
        Err(error) => println!("{} parts are done, and {error}", error.done()),
    }
    println!("number 0 is {}, number 700 is {}", numbers.get(0)?, numbers.get(700)?);
    Ok(())
}
