//! Messages of any length between two processes: the child reads each order where it lies, and sends a bill as long as it is.
//!
//! `cargo run -p shmkit --example orders`

use std::error::Error;
use std::io::IoSlice;
use std::process::Command;
use std::time::Duration;

use shmkit::{Objects, Options, PipeError, Segment};

/// Bytes of each pipe.
const BYTES: u64 = 4096;
/// What nobody waits longer for.
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("child") {
        return cook(&args.next().ok_or("child NAME")?);
    }
    let name = format!("example-orders-{}", std::process::id());
    let segment = Options::new(1 << 16).create(&name)?;
    let mut orders = segment.frames("orders", BYTES)?.sender()?;
    let mut bills = segment.frames("bills", BYTES)?.receiver()?;
    let mut child = Command::new(std::env::current_exe()?).args(["child", &name]).spawn()?;

    orders.send(b"burger")?;
    orders.send_vectored(&[IoSlice::new(b"burger, "), IoSlice::new(b"cola")])?;
    let mut party = orders.reserve(1000)?; // Written where it lies.
    let dishes = b"burger, ".repeat(100);
    party.bytes()[..dishes.len()].copy_from_slice(&dishes);
    party.commit(dishes.len())?;
    drop(orders);

    let mut lengths = Vec::new();
    let end = loop {
        match bills.recv_timeout(LIMIT) {
            Ok(bill) => lengths.push(bill.len()),
            Err(end) => break end,
        }
    };
    println!("bills of {lengths:?} bytes; then: {end}");
    if !child.wait()?.success() || end != PipeError::Closed {
        return Err("the cook did not end in good order".into());
    }
    Ok(())
}

/// Sends a bill for each order: a hundred times as long, and so longer than the pipe.
fn cook(name: &str) -> Result<(), Box<dyn Error>> {
    let segment = Segment::open(name)?;
    let mut orders = segment.frames("orders", BYTES)?.receiver()?;
    let mut bills = segment.frames("bills", BYTES)?.sender()?;
    loop {
        let order = match orders.peek_timeout(LIMIT) {
            Ok(order) => order,
            Err(PipeError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        bills.send(&order.bytes().repeat(100))?;
        order.release()?; // Killed before this, another cook would get the order.
    }
}
