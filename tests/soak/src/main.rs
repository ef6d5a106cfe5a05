//! A long mixed run: `cargo xtask soak`.
//!
//! Sixteen processes use every primitive of one segment at random. Every few milliseconds one of them is killed, and
//! another takes its seat. Each operation checks the invariant of its primitive; a witness beside the segment, which
//! is no part of what is tested, says who is inside.

mod director;
mod pool;
mod report;
mod toys;
mod witness;
mod worker;

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Kills one of sixteen processes every few milliseconds, while all use every primitive of one segment.
///
/// Exits with 0 if every invariant held, everybody got through, and nothing was left behind.
#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct Args {
    /// For how long
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// How many processes at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(2..=16))]
    processes: u64,
    /// Seed of who is killed when, and of who does what [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Use only the primitives whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Two pools of so many workers instead, one of which is killed every 5 ms: each task is answered once
    #[arg(long)]
    pool: bool,
    /// For scripts
    #[arg(long)]
    json: bool,
}

#[shmkit::main]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let time = Duration::try_from_secs_f64(args.minutes * 60.0)?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    // It draws when it is told to: a thread of its own would be a second one in a process that forks.
    let bar = ProgressBar::new(time.as_secs());
    bar.set_style(ProgressStyle::with_template("soak {bar:30} {pos}/{len} s {msg}")?);
    let mut progress = |gone: Duration, kills| {
        bar.set_position(gone.as_secs());
        bar.set_message(format!("{kills} kills"));
    };
    if args.pool {
        let report = pool::run(time, args.processes as u32, seed, &mut progress)?;
        bar.finish_and_clear();
        return show(&report, report.ok, args.json);
    }
    let plan = director::Plan { time, processes: args.processes as usize, seed, only: args.only };
    let report = director::run(&plan, &mut progress)?;
    bar.finish_and_clear();
    show(&report, report.ok, args.json)
}

fn show(report: &(impl Serialize + Display), ok: bool, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        println!("{report}");
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
