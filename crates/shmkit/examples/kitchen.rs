//! A cook and two waiters: they wait for plates, and one of them is killed while it sleeps.
//!
//! `cargo run -p shmkit --example kitchen`
//!
//! With Python's `Condition` the cook's `notify` would now sleep for ever, with the lock in its hands. Here a notification
//! goes to who is alive.

use std::error::Error;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use shmkit::{Condvar, Mutex, Objects, Options, Segment, ShareSegment};

/// Plates that are cooked.
const PLATES: u32 = 5;
/// How long anybody waits for anybody.
const LIMIT: Duration = Duration::from_secs(10);

/// What the lock guards: plates on the counter, plates served, and whether the kitchen is closed (1).
type Counter = [u32; 3];
const READY: usize = 0;
const SERVED: usize = 1;
const CLOSED: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("waiter") {
        return serve(&Segment::inherited("kitchen")?);
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let (counter, changed) = things(&segment)?;
    let mut waiters = [start(&segment)?, start(&segment)?];
    until(|| changed.waiters() == 2)?;
    waiters[0].kill()?;
    waiters[0].wait()?;

    for plate in 1..=PLATES {
        let mut state = counter.lock()?;
        state[READY] += 1;
        changed.notify_one(&state)?;
        drop(state);
        until(|| counter.lock().is_ok_and(|state| state[SERVED] == plate))?;
    }
    let mut state = counter.lock()?;
    state[CLOSED] = 1;
    let told = changed.notify_all(&state)?;
    let served = state[SERVED];
    drop(state);
    let ended = waiters[1].wait()?;
    println!("{served} plates served by the other waiter; at the end {told} was told to go home");
    if !ended.success() || served != PLATES {
        return Err(format!("{served} of {PLATES} plates served").into());
    }
    Ok(())
}

fn serve(segment: &Segment) -> Result<(), Box<dyn Error>> {
    let (counter, changed) = things(segment)?;
    let mut state = counter.lock()?;
    loop {
        // The lock is given up while it sleeps, and held again when it looks.
        let busy = |state: &mut Counter| state[READY] == 0 && state[CLOSED] == 0;
        let (guard, still) = changed.wait_while_timeout(state, busy, LIMIT)?;
        state = guard;
        if still {
            return Err("nobody cooks".into());
        }
        if state[READY] == 0 {
            return Ok(());
        }
        state[READY] -= 1;
        state[SERVED] += 1;
    }
}

fn things(segment: &Segment) -> Result<(Mutex<Counter>, Condvar), Box<dyn Error>> {
    Ok((segment.mutex("counter", [0; 3])?, segment.condvar("changed")?))
}

fn start(segment: &Segment) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.arg("waiter").share_segment("kitchen", segment)?.spawn()?)
}

fn until(mut happened: impl FnMut() -> bool) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    while !happened() {
        if start.elapsed() > LIMIT {
            return Err("it never happened".into());
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}
