//! The shmkit command: see what shared memory does, and what is left of it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod gc;
mod ls;
mod report;
mod tour;

/// Shared-memory IPC that survives kill -9.
#[derive(Debug, Parser)]
#[command(name = "shmkit", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Tour(tour::Args),
    /// A worker process of the tour, which starts it.
    #[command(name = "tour-worker", hide = true)]
    TourWorker(tour::worker::Args),
    Ls(ls::Args),
    Gc(gc::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Tour(args) => tour::run(args),
        Command::TourWorker(args) => tour::worker::run(args),
        Command::Ls(args) => ls::run(&args),
        Command::Gc(args) => gc::run(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("shmkit: {error:#}");
        ExitCode::from(2)
    })
}
