//! A pool of worker processes, each fed by a pipe of its own, and answering through another.
//!
//! `cargo run -p shmkit --example pool`

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use shmkit::{Objects, Options, PipeError, Segment, ShareSegment, ShmSafe};

const WORKERS: usize = 3;
const JOBS: u64 = 60;
/// Jobs that a worker may have in front of it, and answers that it may have behind it.
const AHEAD: u64 = 8;
/// For an answer: a worker that never comes to work is not waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// How many steps a number takes to 1, if an odd one is tripled and one added, and an even one halved.
#[derive(Clone, Copy, Debug, ShmSafe)]
#[repr(C)]
struct Answer {
    number: u64,
    steps: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("work") {
        return work(&args.next().ok_or("work WHO")?);
    }
    let segment = Options::new(1 << 16).anonymous()?;
    let mut children = Vec::new();
    let mut ends = Vec::new();
    for who in 0..WORKERS {
        let jobs = segment.pipe::<u64>(&format!("jobs {who}"), AHEAD)?.sender()?;
        let answers = segment.pipe::<Answer>(&format!("answers {who}"), AHEAD)?.receiver()?;
        ends.push((jobs, answers));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["work", &who.to_string()]);
        children.push(command.share_segment("pool", &segment)?.spawn()?);
    }

    // Each worker gets as many jobs as it may have ahead, and another one for every answer.
    let mut numbers = 1..=JOBS;
    for _ in 0..AHEAD {
        for (jobs, _) in &mut ends {
            jobs.send(numbers.next().ok_or("fewer jobs than places")?)?;
        }
    }
    let mut steps = vec![0; JOBS as usize + 1];
    let mut done = [0; WORKERS];
    'jobs: for who in (0..WORKERS).cycle() {
        let (jobs, answers) = &mut ends[who];
        let answer = answers.recv_timeout(LIMIT)?;
        steps[answer.number as usize] = answer.steps;
        done[who] += 1;
        match numbers.next() {
            Some(number) => jobs.send(number)?,
            None => break 'jobs,
        }
    }
    for (who, (jobs, mut answers)) in ends.into_iter().enumerate() {
        jobs.close();
        loop {
            match answers.recv_timeout(LIMIT) {
                Ok(answer) => {
                    steps[answer.number as usize] = answer.steps;
                    done[who] += 1;
                }
                Err(PipeError::Closed) => break,
                Err(error) => return Err(format!("worker {who}: {error}").into()),
            }
        }
    }
    for mut child in children {
        let ended = child.wait()?;
        if !ended.success() {
            return Err(format!("a worker failed: {ended}").into());
        }
    }
    let done: u64 = done.iter().sum();
    let most = steps.iter().max().ok_or("no jobs")?;
    println!("{done} jobs by {WORKERS} workers; the longest took {most} steps");
    if (1..).zip(&steps[1..]).any(|(number, steps)| collatz(number) != *steps) {
        return Err(format!("a wrong answer: {steps:?}").into());
    }
    Ok(())
}

/// Answers until the jobs end.
fn work(who: &str) -> Result<(), Box<dyn Error>> {
    let segment = Segment::inherited("pool")?;
    let mut jobs = segment.pipe::<u64>(&format!("jobs {who}"), AHEAD)?.receiver()?;
    let mut answers = segment.pipe::<Answer>(&format!("answers {who}"), AHEAD)?.sender()?;
    loop {
        match jobs.recv() {
            Ok(number) => answers.send(Answer { number, steps: collatz(number) })?,
            Err(PipeError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn collatz(mut number: u64) -> u64 {
    let mut steps = 0;
    while number != 1 {
        number = if number.is_multiple_of(2) { number / 2 } else { 3 * number + 1 };
        steps += 1;
    }
    steps
}
