//! `cargo xtask bench`: shmkit's figures, as ratios against named peers in one run; `cargo xtask bench instructions`
//! counts instead of timing, and `cargo xtask bench waiting` shows how one hands over to another, and has a thousand
//! processes wait for one thing ([`crowd`], alone with `bench crowd`). `bench idle` measures what a thousand idle readers use up
//! ([`idle`]).

use anyhow::Result;

#[cfg(boost)]
mod boost;
mod broadcast;
mod cells;
mod contended;
mod crowd;
mod directory;
mod duplex;
mod futex;
mod handover;
mod heap;
mod idle;
mod instructions;
mod manager;
mod map;
mod mutex;
mod pool;
mod process;
mod pthread;
mod python;
mod queue;
mod redis;
mod ring;
mod segment;
mod served;
mod takeover;
mod waiting;

fn main() -> Result<()> {
    shmkit::init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("instructions") => return instructions::run(),
        Some(instructions::COUNTED) => return instructions::work(&args[1..]),
        Some(process::BARE) => return process::answer(),
        Some("crowd") => return crowd::run(args.get(1).map(String::as_str)),
        Some("idle") => return idle::run(),
        _ => {}
    }
    shmkit_benches::run(|| {
        let groups = [
            mutex::groups()?,
            contended::groups()?,
            takeover::groups()?,
            waiting::groups()?,
            handover::groups()?,
            ring::groups()?,
            duplex::groups()?,
            queue::groups()?,
            broadcast::groups()?,
            segment::groups()?,
            heap::groups()?,
            map::groups()?,
            served::groups()?,
            cells::groups()?,
            directory::groups()?,
            process::groups(),
            pool::groups()?,
            manager::groups(),
        ];
        Ok(groups.into_iter().flatten().collect())
    })?;
    match args.first().map(String::as_str) {
        Some("waiting") => crowd::run(None),
        _ => Ok(()),
    }
}
