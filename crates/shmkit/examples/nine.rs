//! Nine processes add 50 each to one value: 450.
//!
//! `cargo run -p shmkit --example nine`

use std::error::Error;
use std::process::Command;

use shmkit::{Objects, Options, Segment, ShareSegment};

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("child") {
        return add();
    }
    let segment = Options::new(4096).anonymous()?;
    let total = segment.value("total", 0_u64)?;
    let mut children = Vec::new();
    for _ in 0..9 {
        let mut command = Command::new(std::env::current_exe()?);
        children.push(command.arg("child").share_segment("nine", &segment)?.spawn()?);
    }
    for mut child in children {
        let ended = child.wait()?;
        if !ended.success() {
            return Err(format!("a child failed: {ended}").into());
        }
    }
    println!("{}", total.get()?);
    if total.get()? != 450 { Err("expected 450".into()) } else { Ok(()) }
}

/// What each of the nine does.
fn add() -> Result<(), Box<dyn Error>> {
    let segment = Segment::inherited("nine")?;
    let total = segment.value("total", 0_u64)?;
    for _ in 0..50 {
        // One step: a `get` and a `set` would lose the others' additions in between.
        total.update(|n| *n += 1)?;
    }
    Ok(())
}
