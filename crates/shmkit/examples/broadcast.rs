//! One step of a model, a tensor, to four workers, in place; one of them is killed, which holds nobody up, and another comes.
//!
//! `cargo run -p shmkit --example broadcast`

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{Broadcast, BroadcastError, BroadcastSpec, Objects, Options, Segment, Start};

/// Half a megabyte.
type Tensor = [f32; 1 << 17];

/// How many of them there is room for.
const STEPS_AHEAD: u64 = 4;
const STEPS: u32 = 200;
const WORKERS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name] = args.as_slice() {
        return work(role, &Segment::open(name)?);
    }
    let name = format!("example-broadcast-{}", std::process::id());
    let segment = Options::new(4 << 20).create(&name)?;
    let spec = BroadcastSpec::new(STEPS_AHEAD).subscribers(WORKERS as u32 + 1);
    let steps: Broadcast<Tensor> = segment.broadcast("steps", spec)?;
    let sums = segment.atomic_array::<u64>("steps received", WORKERS)?;
    let start = |role: &str| Command::new(std::env::current_exe()?).args([role, &name]).spawn();

    let mut workers: Vec<Child> = Vec::new();
    for number in 0..WORKERS {
        workers.push(start(&number.to_string())?);
    }
    let mut idle = start("idle")?; // It comes, and receives nothing.
    while steps.subscribers() < WORKERS + 1 {
        std::thread::sleep(Duration::from_millis(1));
    }

    let mut publisher = steps.publisher()?;
    for step in 0..STEPS {
        if step == STEPS_AHEAD as u32 {
            // There is no room: who is alive is waited for.
            let full = publisher.try_reserve().map(drop);
            println!("with an idle worker: {}", full.unwrap_err());
            idle.kill()?;
            idle.wait()?;
        }
        let mut draft = publisher.reserve_timeout(Duration::from_secs(10))?;
        draft.fill(step as f32); // where the workers read it
        draft.publish()?;
    }
    drop(publisher); // so the workers go home
    for mut worker in workers {
        worker.wait()?;
    }
    let received = sums.to_vec();
    println!("steps received: {received:?}");
    if received == [u64::from(STEPS); WORKERS] { Ok(()) } else { Err("a step is missing".into()) }
}

fn work(role: &str, segment: &Segment) -> Result<(), Box<dyn Error>> {
    let steps: Broadcast<Tensor> = segment.find("steps")?;
    let mut subscriber = steps.subscribe(Start::Newest)?;
    let Ok(number) = role.parse::<usize>() else {
        std::thread::sleep(Duration::from_secs(60)); // It is killed here.
        return Ok(());
    };
    let received = segment.atomic_array::<u64>("steps received", WORKERS)?;
    loop {
        match subscriber.peek() {
            Ok(step) => {
                received.at(number)?.fetch_add(u64::from(step_of(&step)? < STEPS));
                step.release()?;
            }
            Err(BroadcastError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Works on a step: here, looks that it is one, and whole.
fn step_of(step: &Tensor) -> Result<u32, Box<dyn Error>> {
    let [first, last] = [step[0], step[step.len() - 1]];
    if first == last { Ok(first as u32) } else { Err("a torn step".into()) }
}
