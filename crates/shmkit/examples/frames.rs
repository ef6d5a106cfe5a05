//! A data loader: worker processes load pictures into a pool of frames of 8 MiB, and the trainer reads them where they
//! lie. Only the number of a frame goes through a pipe, and no frame is ever copied, or on a stack: here it has 256 KiB.
//! One worker is killed half-way through a picture; another one loads it again.
//!
//! `cargo run -p shmkit --example frames`

use std::collections::VecDeque;
use std::error::Error;
use std::process::{Child, Command};
use std::thread::Builder;
use std::time::Duration;

use shmkit::{
    Mutex, ObjectError, Objects, Options, PipeError, Receiver, Segment, Sender, ShareSegment,
    ShmSafe,
};

/// A picture of 8 MiB, as it comes from a decoder.
type Frame = [u8; 8 << 20];

type Failure = Box<dyn Error + Send + Sync>;

const WORKERS: usize = 2;
/// Frames in the pool: two for each worker, so that it loads one while the trainer looks at the other.
const FRAMES: u32 = 4;
const PICTURES: u32 = 10;
/// Less than a frame.
const STACK: usize = 256 << 10;
/// For a picture: a worker that hangs is not waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Which picture goes into which frame.
#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[repr(C)]
struct Job {
    picture: u32,
    frame: u32,
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let who = match args.next().as_deref() {
        Some("load") => Some(args.next().ok_or("load WHO")?),
        _ => None,
    };
    let run = move || who.map_or_else(train, |who| load(&who));
    Builder::new().stack_size(STACK).spawn(run)?.join().map_err(|_| "panicked")?
}

/// The frames: each is made of zeros where it lies, by whoever comes first.
fn pool(segment: &Segment) -> Result<Vec<Mutex<Frame>>, ObjectError> {
    (0..FRAMES).map(|frame| segment.mutex_zeroed(&format!("frame {frame}"))).collect()
}

struct Worker {
    child: Child,
    jobs: Sender<Job>,
    done: Receiver<Job>,
    /// What it was given and has not given back.
    at: Vec<Job>,
}

fn train() -> Result<(), Failure> {
    let segment = Options::new((FRAMES as u64 + 1) * size_of::<Frame>() as u64).anonymous()?;
    let pool = pool(&segment)?;
    let mut workers = Vec::new();
    for who in 0..WORKERS {
        let jobs = segment.pipe(&format!("jobs {who}"), FRAMES.into())?.sender()?;
        let done = segment.pipe(&format!("done {who}"), FRAMES.into())?.receiver()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["load", &who.to_string()]);
        let child = command.share_segment("loader", &segment)?.spawn()?;
        workers.push(Worker { child, jobs, done, at: Vec::new() });
    }

    let mut pictures: VecDeque<u32> = (0..PICTURES).collect();
    let mut free: VecDeque<u32> = (0..FRAMES).collect();
    let mut seen = [0; PICTURES as usize];
    let mut brightness = 0;
    let mut to_kill = true;
    while seen.contains(&0) {
        for worker in &mut workers {
            while worker.at.len() < 2 && !pictures.is_empty() {
                let Some(frame) = free.pop_front() else { break };
                let job = Job { picture: pictures.pop_front().expect("there is one"), frame };
                worker.at.push(job);
                match worker.jobs.send(job).map_err(|error| error.error) {
                    // What it was given is taken back below.
                    Err(PipeError::PeerDied { .. }) => break,
                    sent => sent?,
                }
            }
        }
        if std::mem::take(&mut to_kill) {
            // The first worker stops in the middle of its second picture.
            segment.event("half-way")?.wait_timeout(LIMIT)?;
            workers[0].child.kill()?;
            workers[0].child.wait()?;
        }
        let next = workers.iter().position(|worker| !worker.at.is_empty());
        let next = next.ok_or("nobody is left to load")?;
        match workers[next].done.recv_timeout(LIMIT) {
            Ok(job) => {
                workers[next].at.retain(|&other| other != job);
                // It was given back whole: nobody died with it.
                let frame = pool[job.frame as usize].lock()?;
                brightness += frame.iter().map(|&pixel| u64::from(pixel)).sum::<u64>();
                seen[job.picture as usize] += 1;
                free.push_back(job.frame);
            }
            Err(PipeError::PeerDied { .. }) => {
                let dead = workers.remove(next);
                println!("a worker was killed: what it had is loaded by the other one");
                for job in dead.at {
                    pictures.push_front(job.picture);
                    free.push_back(job.frame);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    for mut worker in workers {
        worker.jobs.close();
        let ended = worker.child.wait()?;
        if !ended.success() {
            return Err(format!("a worker failed: {ended}").into());
        }
    }
    let size = size_of::<Frame>() >> 20;
    println!("{PICTURES} pictures of {size} MiB through {FRAMES} frames, each seen once");
    let expected: u64 = (0..PICTURES).map(|picture| u64::from(shade(picture)) << 23).sum();
    if seen != [1; PICTURES as usize] || brightness != expected {
        return Err(format!("{seen:?}, brightness {brightness} for {expected}").into());
    }
    Ok(())
}

/// Loads pictures until there are no more.
fn load(who: &str) -> Result<(), Failure> {
    let segment = Segment::inherited("loader")?;
    let pool = pool(&segment)?;
    let mut jobs = segment.pipe::<Job>(&format!("jobs {who}"), FRAMES.into())?.receiver()?;
    let mut done = segment.pipe::<Job>(&format!("done {who}"), FRAMES.into())?.sender()?;
    for count in 1.. {
        let job = match jobs.recv() {
            Ok(job) => job,
            Err(PipeError::Closed) => break,
            Err(error) => return Err(error.into()),
        };
        // Half a picture of somebody who was killed is no worse than an old one: it is written over.
        let mut frame = pool[job.frame as usize].lock_or_repair(|_| {})?;
        let (upper, lower) = frame.split_at_mut(size_of::<Frame>() / 2);
        upper.fill(shade(job.picture));
        if who == "0" && count == 2 {
            segment.event("half-way")?.set()?;
            std::thread::sleep(LIMIT * 6);
            return Err("it was not killed".into());
        }
        lower.fill(shade(job.picture));
        drop(frame);
        done.send(job)?;
    }
    Ok(())
}

/// What a picture shows: one shade of grey.
fn shade(picture: u32) -> u8 {
    (picture * 16 + 1) as u8
}
