//! Three processes find an old table; one of them migrates it, and is killed half-way: another one does it again.
//!
//! `cargo run -p shmkit --example migration`
//!
//! With a flag in shared memory the table would now stay half-migrated: either nobody does it again, or everybody waits for
//! the dead. A `Once` is done when it is done, and goes to the next one if whoever was at it dies.

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{AtomicArray, Objects, Options, Segment, ShareSegment};

const ROWS: usize = 100;
/// How long anybody waits for anybody.
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        return serve(&Segment::inherited("table")?);
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let rows = segment.atomic_array::<u64>("rows", ROWS)?;
    for row in 0..ROWS {
        rows.at(row)?.store(old(row));
    }

    let mut first = start(&segment)?;
    segment.event("half-way")?.wait_timeout(LIMIT)?;
    first.kill()?;
    first.wait()?;
    for mut server in [start(&segment)?, start(&segment)?] {
        let ended = server.wait()?;
        if !ended.success() {
            return Err(format!("a server failed: {ended}").into());
        }
    }
    let migrated = rows.to_vec().iter().enumerate().filter(|&(row, &is)| is == new(row)).count();
    println!("{migrated} of {ROWS} rows migrated, once");
    if migrated == ROWS { Ok(()) } else { Err("the table is spoilt".into()) }
}

fn serve(segment: &Segment) -> Result<(), Box<dyn Error>> {
    let rows = segment.atomic_array::<u64>("rows", ROWS)?;
    let half_way = segment.event("half-way")?;
    let mut done = Ok(());
    segment.once("migration")?.call_once_force(|state| {
        if state.failures() > 0 {
            println!("somebody was killed half-way: again, from the beginning");
        }
        done = migrate(&rows, || {
            if state.failures() == 0 {
                half_way.set()?;
                std::thread::sleep(2 * LIMIT); // Killed here.
            }
            Ok(())
        });
    })?;
    done?;
    // Whoever did it: from here on the table is new.
    let first = rows.at(0)?.load();
    if first == new(0) { Ok(()) } else { Err(format!("row 0 is {first}").into()) }
}

/// Writes every row anew. It may be run again at any point: a row is made from its number, not from what stands there.
fn migrate(
    rows: &AtomicArray<u64>,
    half_way: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    for row in 0..ROWS / 2 {
        rows.at(row)?.store(new(row));
    }
    half_way()?;
    for row in ROWS / 2..ROWS {
        rows.at(row)?.store(new(row));
    }
    Ok(())
}

fn old(row: usize) -> u64 {
    row as u64
}

fn new(row: usize) -> u64 {
    1000 + 10 * row as u64
}

fn start(segment: &Segment) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.arg("serve").share_segment("table", segment)?.spawn()?)
}
