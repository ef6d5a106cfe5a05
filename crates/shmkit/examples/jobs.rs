//! Five producers, three consumers, one total; and a consumer that is killed with a job in its hands, which another one does.
//!
//! `cargo run -p shmkit --example jobs`

use std::error::Error;
use std::process::{Child, Command};
use std::time::Duration;

use shmkit::{Objects, Options, Queue, QueueError, Segment};

/// Jobs of each producer.
const EACH: u64 = 1000;
const PRODUCERS: u64 = 5;
const CONSUMERS: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name] = args.as_slice() {
        return work(role, &Segment::open(name)?);
    }
    let name = format!("example-jobs-{}", std::process::id());
    let segment = Options::new(1 << 16).create(&name)?;
    let jobs = segment.queue::<u64>("jobs", 64)?;
    let total = segment.atomic("total", 0_u64)?;
    let taken = segment.event("taken")?;
    let start = |role: &str| Command::new(std::env::current_exe()?).args([role, &name]).spawn();

    // This one takes a job, and will never be done with it.
    jobs.put(1)?;
    let mut greedy = start("greedy")?;
    taken.wait_timeout(Duration::from_secs(10))?;

    let mut others: Vec<Child> = Vec::new();
    for _ in 0..PRODUCERS {
        others.push(start("produce")?);
    }
    for _ in 0..CONSUMERS {
        others.push(start("consume")?);
    }
    greedy.kill()?;
    greedy.wait()?;
    for mut producer in others.drain(..PRODUCERS as usize) {
        producer.wait()?;
    }
    jobs.join_timeout(Duration::from_secs(20))?; // every job is done, the dead one's, too
    jobs.close()?; // so the consumers go home
    for mut consumer in others {
        consumer.wait()?;
    }
    println!("total {}, redelivered {}", total.load(), jobs.stats().redelivered);
    let expected = 1 + PRODUCERS * EACH * (EACH + 1) / 2;
    if total.load() == expected { Ok(()) } else { Err(format!("expected {expected}").into()) }
}

fn work(role: &str, segment: &Segment) -> Result<(), Box<dyn Error>> {
    let jobs: Queue<u64> = segment.find("jobs")?;
    match role {
        "produce" => (1..=EACH).try_for_each(|job| jobs.put(job))?,
        "consume" => {
            let total = segment.atomic("total", 0_u64)?;
            loop {
                match jobs.take() {
                    // Killed between these two, it would count twice: that is what "at least once" means.
                    Ok(job) => {
                        total.fetch_add(*job);
                        job.done()?;
                    }
                    Err(QueueError::Closed) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        _ => {
            let _job = jobs.take()?;
            segment.event("taken")?.set()?;
            std::thread::sleep(Duration::from_secs(60)); // It is killed here.
        }
    }
    Ok(())
}
