//! `shmkit tour`: counts real text in parallel, while workers are killed, and compares.
//!
//! ```text
//! walk     which files                plan     cut into pieces and chunks
//! shared   the segment's objects      record   what the mutex guards, and its redo journal
//! conduct  the whole parallel count:  board    what is left to do
//!          a thread for each worker:  attend   starts, feeds, hears, kills, replaces it
//!          a process for each:        worker   counts chunks
//!                                     message: what they say, parking: where they are killed
//! single   the same in one process    report, render, verdict: both side by side
//! ```
//!
//! A chunk counts exactly once, whoever is killed at whatever instruction: see [`record`].

mod attend;
mod board;
mod conduct;
mod count;
mod ledger;
mod left;
mod message;
mod outcome;
mod parking;
mod plan;
mod record;
mod render;
mod report;
mod shared;
mod single;
mod verdict;
mod walk;
pub(crate) mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::plan::Plan;
use self::render::{grouped, plural};
use self::report::Report;
use crate::print::{Terminal, is_dumb, print, print_json};
use crate::signals;

/// The segment's name among what a worker inherits.
const KEY: &str = "tour";

/// The longest wait for anything. Nobody is ever waited for as long as this, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Count text with several processes, while some of them are killed
///
/// Worker processes count bytes, lines, words and byte values of the files, over shared memory. While they run, one is
/// killed with SIGKILL half-way through an update that it holds the mutex for, and another half-way through filling
/// its pipe. The survivors recover and finish. Then one process counts the same files, and both are compared.
///
/// A word is what ASCII white space separates. Files are counted as long as they were when they were listed; those
/// that cannot be read, or vanish or shrink, are named and left out on both sides. Symbolic links below a folder are
/// not followed.
///
/// Exit status: 0 if every figure agrees and nothing is left; 1 if not, if a file that was named could not be counted
/// to its end, or if the tour could not be made; 2 if the command line is wrong; 130, 143 or 129 if SIGINT, SIGTERM or
/// SIGHUP ended it.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  shmkit tour --workers 2 src README.md")]
pub(crate) struct Args {
    /// Files, and folders with everything below them. Without: every *.rs, *.toml and *.md below the current folder,
    /// except below `target` and folders whose names begin with a dot
    paths: Vec<PathBuf>,

    /// Number of worker processes
    #[arg(long, short, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,

    /// Kill nobody
    #[arg(long)]
    no_kill: bool,
}

/// Makes the tour, and prints the report.
///
/// # Errors
///
/// If there is nothing to count, or the parallel count could not be brought to its end.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let listing = walk::list(&args.paths)?;
    let plan = Plan::cut(&listing.files, args.workers);
    let total = listing.files.iter().map(|file| file.size).sum();
    let terminal = Terminal::here();
    if !args.json {
        let files = plural(listing.files.len() as u64, "file");
        let chunks = plural(plan.chunks.len() as u64, "chunk");
        let workers = plural(args.workers.into(), "worker");
        let mut text =
            format!("counting {files}, {} bytes, in {chunks} with {workers}\n", grouped(total));
        if args.paths.is_empty() {
            text += "(every *.rs, *.toml and *.md below, without `target` and dot-folders)\n";
        }
        print(&terminal.wrap(&text))?;
    }
    let bar = bar(&args, total, "workers");
    let parallel = signals::tidily(|| {
        conduct::count(&listing.files, &plan, args.workers, !args.no_kill, &bar)
    });
    bar.finish_and_clear();
    let parallel = parallel.context("the tour with workers failed")?;

    let bar = self::bar(&args, total, "one process");
    let progress = |bytes| bar.inc(bytes);
    let single = single::count(&listing.files, &plan.pieces, &parallel.outcomes, progress);
    bar.finish_and_clear();

    let left = conduct::leftovers(&parallel);
    let report =
        Report::new(args.workers, !args.no_kill, &listing, &plan, &parallel, &single, left);
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.text(terminal))?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A progress bar on the terminal, if there is one.
fn bar(args: &Args, bytes: u64, who: &'static str) -> ProgressBar {
    let style = "{msg:12} {wide_bar} {bytes}/{total_bytes} {eta}";
    let style = ProgressStyle::with_template(style).expect("the template is right");
    // Standard error; hidden by itself where that is not a terminal.
    let target = if args.json || is_dumb() {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    ProgressBar::with_draw_target(Some(bytes), target).with_style(style).with_message(who)
}
