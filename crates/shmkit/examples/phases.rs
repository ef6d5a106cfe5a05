//! Workers that go forward step by step together, and notice it when one of them is killed.
//!
//! `cargo run -p shmkit --example phases`
//!
//! Each worker smooths its part of a rod's temperatures from the old row into the new one; between two steps all meet at
//! a barrier, where the last one to arrive swaps the rows. One worker is killed on the way: the others are told, wait
//! for the event that says that there is another, and repeat the step.

use std::error::Error;
use std::process::{Child, Command};

use shmkit::{BarrierError, Objects, Options, Segment, ShareSegment};

const WORKERS: usize = 3;
const CELLS: usize = 30;
const STEPS: u64 = 200;
/// At this step one worker is killed.
const FATAL: u64 = 70;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("work") {
        return work(&args.next().ok_or("work WHO")?);
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let rows =
        [segment.atomic_array::<f64>("row 0", CELLS)?, segment.atomic_array("row 1", CELLS)?];
    rows[0].at(0)?.store(100.0);
    let meeting = segment.barrier("meeting", WORKERS as u32)?;
    let (step, again) = (segment.atomic("step", 0_u64)?, segment.event("again")?);
    let mut workers =
        (0..WORKERS).map(|who| start(&segment, who)).collect::<Result<Vec<_>, _>>()?;

    // The victim waits at this step, and says so.
    segment.event("at the fatal step")?.wait()?;
    workers[1].kill()?;
    workers[1].wait()?;
    // The others notice it: who sleeps at a barrier asks every few milliseconds who is alive.
    let told = segment.counting_semaphore("told", 0)?;
    for _ in 1..WORKERS {
        told.acquire()?;
    }
    println!("a worker was killed at step {}, and the others were told", step.load());
    meeting.reset()?;
    workers[1] = start(&segment, 1)?;
    again.set()?;

    for mut worker in workers {
        let ended = worker.wait()?;
        if !ended.success() {
            return Err(format!("a worker failed: {ended}").into());
        }
    }
    let sum: f64 = rows[(step.load() % 2) as usize].to_vec().iter().sum();
    println!("{} steps; the heat is still {sum:.3}", step.load());
    Ok(())
}

fn start(segment: &Segment, who: usize) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(["work", &who.to_string()]).share_segment("phases", segment)?.spawn()?)
}

fn work(who: &str) -> Result<(), Box<dyn Error>> {
    let who: usize = who.parse()?;
    let segment = Segment::inherited("phases")?;
    let rows =
        [segment.atomic_array::<f64>("row 0", CELLS)?, segment.atomic_array("row 1", CELLS)?];
    let meeting = segment.barrier("meeting", WORKERS as u32)?;
    // Registered: killed anywhere, and not only at the barrier, it is missed.
    let mut party = meeting.party()?;
    let step = segment.atomic("step", 0_u64)?;
    // Made by whichever worker comes first.
    let share = *segment.once_cell::<f64>("share")?.get_or_init(|| 0.25)?;
    while step.load() < STEPS {
        let now = step.load();
        let (old, new) = (&rows[(now % 2) as usize], &rows[((now + 1) % 2) as usize]);
        for cell in who * CELLS / WORKERS..(who + 1) * CELLS / WORKERS {
            let at = |i: usize| old.at(i.min(CELLS - 1)).map(|cell| cell.load());
            let here = at(cell)?;
            let flow = at(cell.saturating_sub(1))? - here + at(cell + 1)? - here;
            new.at(cell)?.store(here + share * flow);
        }
        if now == FATAL && who == 1 && !segment.event("again")?.is_set() {
            segment.event("at the fatal step")?.set()?;
            std::thread::sleep(std::time::Duration::from_secs(20));
        }
        // The last one to arrive moves on, for all, before anybody goes on.
        let met = party.wait_with(|| step.compare_exchange(now, now + 1).map(|_| ()));
        match met {
            Ok(_) => {}
            Err(shmkit::ActionError::Barrier(
                BarrierError::PartyDied(_) | BarrierError::Broken,
            )) => {
                segment.counting_semaphore("told", 0)?.release(1)?;
                segment.event("again")?.wait()?;
            }
            Err(error) => return Err(format!("worker {who}: {error:?}").into()),
        }
    }
    Ok(())
}
