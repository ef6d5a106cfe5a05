//! A table that many look at and few change: prices, of which each has a net and a gross figure that belong together.
//!
//! Readers look at the table together. One of them is killed while it looks: nobody minds. A writer is killed half-way:
//! everybody is told, and the next writer repairs.
//!
//! `cargo run -p shmkit --example prices`

use std::error::Error;
use std::io::{BufRead, BufReader, stdin};
use std::process::{Child, Command, Stdio};

use shmkit::{LockError, Objects, Options, RwLock, Segment, ShareSegment};

/// Net and gross price of each article, in cents; gross is always net and a fifth.
type Prices = [[u64; 2]; 16];

const READERS: usize = 3;
const CHANGES: u64 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(role) = std::env::args().nth(1) {
        let segment = Segment::inherited("prices")?;
        let prices = segment.rwlock("prices", [[0; 2]; 16])?;
        return match role.as_str() {
            "read" => read(prices),
            "die-reading" => hold(prices.read()?),
            _ => {
                let mut table = prices.write()?;
                table[7][0] = 1000; // and not the other
                hold(table)
            }
        };
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let prices = segment.rwlock("prices", [[0_u64; 2]; 16])?;

    // Both are inside when they say so.
    let mut reader = start(&segment, "die-reading")?;
    wait_for_line(&mut reader)?;
    kill(reader)?;
    let mut writer = start(&segment, "die-writing")?;
    wait_for_line(&mut writer)?;
    kill(writer)?;

    // Whoever only reads is told as well, and leaves the repair to who may write.
    assert!(matches!(prices.read(), Err(LockError::OwnerDied(_))));
    match prices.write() {
        Err(LockError::OwnerDied(mut table)) => {
            table.iter_mut().for_each(|price| price[1] = gross(price[0]));
            table.make_consistent();
            println!(
                "a reader was killed, and nobody minds; a writer was, in the middle: repaired"
            );
        }
        other => return Err(format!("the dead writer was not noticed: {other:?}").into()),
    }

    let readers: Result<Vec<_>, _> = (0..READERS).map(|_| start(&segment, "read")).collect();
    let mut readers = readers?;
    for reader in &mut readers {
        wait_for_line(reader)?;
    }
    for change in 0..CHANGES {
        let mut table = prices.write()?;
        let article = change as usize % table.len();
        table[article] = [change, gross(change)];
    }
    for mut reader in readers {
        drop(reader.stdin.take());
        let ended = reader.wait()?;
        if !ended.success() {
            return Err(format!("a reader failed: {ended}").into());
        }
    }
    println!("{READERS} readers saw whole prices only");
    Ok(())
}

fn gross(net: u64) -> u64 {
    net + net / 5
}

/// Looks at the table again and again until it is told to stop.
fn read(prices: RwLock<Prices>) -> Result<(), Box<dyn Error>> {
    println!("reading");
    let (done, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let end = stdin().lines().next();
        let _ = done.send(end.is_none());
    });
    while told.try_recv().is_err() {
        let table = prices.read()?;
        for &[net, sum] in table.iter() {
            assert_eq!(gross(net), sum, "half a price");
        }
    }
    Ok(())
}

/// Says that it is inside, and stays until it is killed.
fn hold<G>(guard: G) -> Result<(), Box<dyn Error>> {
    println!("inside");
    std::thread::sleep(std::time::Duration::from_secs(20));
    drop(guard);
    Ok(())
}

fn start(segment: &Segment, role: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(role).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command.share_segment("prices", segment)?.spawn()?)
}

fn wait_for_line(child: &mut Child) -> Result<(), Box<dyn Error>> {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().ok_or("no stdout")?).read_line(&mut line)?;
    if line.is_empty() { Err("a child ended early".into()) } else { Ok(()) }
}

fn kill(mut child: Child) -> Result<(), Box<dyn Error>> {
    child.kill()?;
    child.wait()?;
    Ok(())
}
