//! A child process negates an array in place.
//!
//! `cargo run -p shmkit --example negate`

use std::error::Error;
use std::process::Command;

use shmkit::{Array, Objects, Options, Segment, ShareSegment};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("child") {
        return negate();
    }
    let segment = Options::new(4096).anonymous()?;
    let row = segment.array::<i64>("row", (0..10).collect::<Vec<_>>())?;
    println!("before: {:?}", row.to_vec()?);
    let ended = Command::new(std::env::current_exe()?)
        .arg("child")
        .share_segment("negate", &segment)?
        .status()?;
    println!("after:  {:?}", row.to_vec()?);
    if !ended.success() || !row.iter()?.eq((0..10).map(|n: i64| -n)) {
        return Err(format!("expected the negated numbers; the child: {ended}").into());
    }
    Ok(())
}

fn negate() -> Result<(), Box<dyn Error>> {
    let segment = Segment::inherited("negate")?;
    // It must be there, of whatever length.
    let row = segment.find::<Array<i64>>("row")?;
    row.update_all(|row| row.iter_mut().for_each(|n| *n = -*n))?;
    Ok(())
}
