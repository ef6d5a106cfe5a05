//! Clerks that share a printer: an `RLock` keeps their pages apart, a `Lock` stands for the paper.
//!
//! `cargo run -p shmkit --example printer`
//!
//! Whoever prints holds the printer, also while a box on its page holds it again. A clerk is killed in the middle of a page:
//! the next one is told so, and takes a new sheet. The paper is taken by the printer and given back by somebody else: a
//! `Lock` may be released by anybody.

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{Acquired, Objects, Options, RLock, Segment, ShareSegment};

/// How deep the boxes on a page go.
const BOXES: u32 = 3;
/// How long anybody waits for anybody.
const LIMIT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let role = std::env::args().nth(1);
    if let Some(role) = role {
        let segment = Segment::inherited("office")?;
        return match role.as_str() {
            "clerk" => print_page(&segment, || Ok(())),
            "unlucky" => print_page(&segment, || {
                segment.event("inside the last box")?.set()?;
                std::thread::sleep(2 * LIMIT); // Killed here.
                Ok(())
            }),
            _ => Ok(segment.lock("paper")?.release()?), // It refills.
        };
    }
    let segment = Options::new(1 << 14).anonymous()?;
    let (printer, paper) = (segment.rlock("printer")?, segment.lock("paper")?);

    let mut unlucky = start(&segment, "unlucky")?;
    segment.event("inside the last box")?.wait_timeout(LIMIT)?;
    println!("the printer is busy: {}", printer.try_acquire().is_err());
    unlucky.kill()?;
    unlucky.wait()?;
    finish(start(&segment, "clerk")?)?;

    paper.acquire()?; // Out of paper,
    finish(start(&segment, "refill")?)?; // until somebody else says that it is not.
    println!("refilled by somebody else: {}", !paper.locked());
    Ok(())
}

fn print_page(
    segment: &Segment,
    in_the_last_box: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let printer = segment.rlock("printer")?;
    let page = printer.lock_timeout(LIMIT)?;
    match page.acquired() {
        Acquired::Clean => {}
        Acquired::OwnerDied(_) => println!("a page was left unfinished: a new sheet"),
    }
    print_box(&printer, BOXES, in_the_last_box)?;
    println!("a page with {BOXES} boxes");
    Ok(())
}

/// Holds the printer for itself, whether or not the caller does.
fn print_box(
    printer: &RLock,
    inside: u32,
    in_the_last_box: impl FnOnce() -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let _mine = printer.lock_timeout(LIMIT)?;
    if inside > 1 {
        return print_box(printer, inside - 1, in_the_last_box);
    }
    debug_assert_eq!(printer.depth(), BOXES + 1);
    in_the_last_box()
}

fn start(segment: &Segment, role: &str) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.arg(role).share_segment("office", segment)?.spawn()?)
}

fn finish(mut child: Child) -> Result<(), Box<dyn Error>> {
    let ended = child.wait()?;
    if ended.success() { Ok(()) } else { Err(format!("a process failed: {ended}").into()) }
}
