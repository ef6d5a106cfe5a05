//! A storm: `cargo xtask storm`.
//!
//! Two hundred processes make segments, join them, and register what is no segment, and are killed at random, and so is
//! the watcher. At the end nothing is left, and nothing was removed that somebody alive had.

mod director;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Kills one of two hundred processes every few milliseconds, while all create, attach and register.
///
/// Exits with 0 if nothing was left behind and nothing was removed that was in use.
#[derive(Debug, Parser)]
#[command(name = "storm", version)]
struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// For how long
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
    /// How many processes at a time
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=900))]
    processes: u64,
    /// Seed of who is killed when, and of who does what [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Clean up by a sweep at the end instead of by a watcher all the time
    #[arg(long)]
    no_watcher: bool,
    /// For scripts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One of the processes
    #[command(hide = true)]
    Worker {
        folder: PathBuf,
        seed: u64,
        #[arg(action = clap::ArgAction::Set)]
        is_watched: bool,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Role::Worker { folder, seed, is_watched }) = args.role {
        worker::run(&folder, seed, is_watched);
        return Ok(ExitCode::SUCCESS);
    }
    let plan = director::Plan {
        time: Duration::try_from_secs_f64(args.seconds)?,
        processes: args.processes as usize,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
        is_watched: !args.no_watcher,
    };
    let report = director::run(&plan)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
