//! A consumer is killed over its work, and another one takes its end over: no job is lost, and one at most is done twice. Then the
//! producer hands its end over to another process, which goes on, and the consumer notices nothing.
//!
//! `cargo run -p shmkit --example takeover`

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{Objects, Options, PipeError, Segment};

const JOBS: usize = 100;
/// The consumer is killed over this one.
const FATAL: usize = 30;
/// From here on another process sends.
const HANDED_OVER: usize = 60;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["consume", name, life] => return consume(&Segment::open(name)?, life == "mortal"),
        ["produce", name] => return send(&Segment::open(name)?, HANDED_OVER..JOBS),
        _ => {}
    }
    let name = format!("example-takeover-{}", std::process::id());
    let segment = Options::new(1 << 18).create(&name)?;
    let jobs = segment.frames("jobs", 4096)?;
    let begun = segment.atomic_array::<u32>("begun", JOBS)?;
    segment.event("over the fatal one")?;

    let mut first = start(&["consume", &name, "mortal"])?;
    let mut sender = jobs.sender()?;
    for job in 0..HANDED_OVER {
        if job == FATAL + 1 {
            // It has begun to work on it, and has not released it.
            segment.event("over the fatal one")?.wait_timeout(LONG)?;
            first.kill()?;
            first.wait()?;
            println!(
                "a consumer is killed over job {FATAL}: what it had not released is still there"
            );
        }
        sender.send_timeout(format!("job {job}").as_bytes(), LONG)?;
    }
    let mut second = start(&["consume", &name, "immortal"])?;

    // Dropped, the end would be closed, and the consumer told so.
    sender.hand_over()?;
    let mut other = start(&["produce", &name])?;
    println!("the producer has handed its end over to another process");
    for child in [&mut other, &mut second] {
        if !child.wait()?.success() {
            return Err("a child has failed".into());
        }
    }

    let begun = begun.to_vec();
    let twice: Vec<usize> = (0..JOBS).filter(|job| begun[*job] == 2).collect();
    println!("{} jobs were worked on, of them twice: {twice:?}", begun.len());
    if twice == [FATAL] && begun.iter().sum::<u32>() as usize == JOBS + 1 {
        Ok(())
    } else {
        Err(format!("so often each was begun: {begun:?}").into())
    }
}

fn start(args: &[&str]) -> Result<Child, Box<dyn Error>> {
    Ok(Command::new(std::env::current_exe()?).args(args).spawn()?)
}

/// Claims the end that somebody has handed over, and goes on.
fn send(segment: &Segment, jobs: std::ops::Range<usize>) -> Result<(), Box<dyn Error>> {
    let mut sender = segment.frames("jobs", 4096)?.sender()?;
    for job in jobs {
        sender.send_timeout(format!("job {job}").as_bytes(), LONG)?;
    }
    Ok(()) // Dropped: the end of file.
}

/// Works on what comes, and releases it when it is done. `recv` would release it first: a kill could lose one, and none came twice.
fn consume(segment: &Segment, is_mortal: bool) -> Result<(), Box<dyn Error>> {
    let begun = segment.atomic_array::<u32>("begun", JOBS)?;
    let mut receiver = segment.frames("jobs", 4096)?.receiver()?;
    loop {
        let message = match receiver.peek_timeout(LONG) {
            Ok(message) => message,
            Err(PipeError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let job = std::str::from_utf8(message.bytes())?.trim_start_matches("job ").parse()?;
        begun.at(job)?.fetch_add(1);
        if is_mortal && job == FATAL {
            segment.event("over the fatal one")?.set()?;
            std::thread::sleep(LONG); // It is killed here.
        }
        message.release()?;
    }
}
