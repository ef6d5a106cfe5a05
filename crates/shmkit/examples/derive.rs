//! Types of one's own in shared memory, and a program that was built from an older definition of one.
//!
//! `cargo run -p shmkit --example derive`

use std::error::Error;
use std::process::Command;

use shmkit::{Checked, Objects, Options, Pad, Segment, ShareSegment, ShmSafe, Value};

/// A measurement. Without `_pad` the compiler says which bytes belong to no field.
#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[repr(C)]
struct Reading {
    at: u64,
    celsius: f32,
    quality: Checked<Quality>,
    _pad: Pad<3>,
}

/// Not every byte is one, so that it is checked when it is read.
#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[repr(u8)]
enum Quality {
    Poor = 1,
    Good,
}

/// What the program was last year.
mod last_year {
    use shmkit::ShmSafe;

    #[derive(Clone, Copy, ShmSafe)]
    #[repr(C)]
    pub(crate) struct Reading {
        at: u32,
        celsius: f32,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("new") => return improve(),
        Some("old") => return be_refused(),
        _ => {}
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let quality = Quality::Poor.into();
    let first = Reading { at: 7, celsius: 21.5, quality, _pad: Pad::ZERO };
    let last = segment.value("last", first)?;
    for program in ["new", "old"] {
        let ended = Command::new(std::env::current_exe()?)
            .arg(program)
            .share_segment("derive", &segment)?
            .status()?;
        if !ended.success() {
            return Err(format!("the {program} program: {ended}").into());
        }
    }
    println!("quality: {:?}", last.get()?.quality.get()?);
    Ok(())
}

/// A program of the same definition.
fn improve() -> Result<(), Box<dyn Error>> {
    let last: Value<Reading> = Segment::inherited("derive")?.find("last")?;
    last.update(|reading| reading.quality.set(Quality::Good))?;
    Ok(())
}

/// A program of another one.
fn be_refused() -> Result<(), Box<dyn Error>> {
    let segment = Segment::inherited("derive")?;
    match segment.find::<Value<last_year::Reading>>("last") {
        Ok(_) => Err("a reading of last year was found".into()),
        Err(error) => {
            println!("{error}");
            Ok(())
        }
    }
}
