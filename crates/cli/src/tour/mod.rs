//! `shmkit tour`: counts real text in parallel, while workers are killed, and compares.
//!
//! ```text
//! conduct  the whole parallel count: a pool of processes, of which two are killed
//! work     what each of them does with a chunk, and what they share
//! single   the same in one process    report, render: both side by side, and the verdict
//! ```

mod conduct;
mod render;
mod report;
mod single;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::report::Report;
use crate::print::{Terminal, is_dumb, print, print_json};
use crate::signals;
use crate::text::plan::Plan;
use crate::text::walk;
use crate::words::{grouped, plural};

/// The longest wait for anything. Nobody is ever waited for as long as this, unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often somebody looks around who waits.
const LOOK: Duration = Duration::from_millis(20);

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
        let (files, chunks) = (listing.files.len() as u64, plan.chunks.len() as u64);
        let (files, chunks) = (plural(files, "file"), plural(chunks, "chunk"));
        let (bytes, workers) = (grouped(total), plural(args.workers.into(), "worker"));
        let mut text = format!("counting {files}, {bytes} bytes, in {chunks} with {workers}\n");
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
    let single = single::count(&listing.files, &plan, &parallel.read.outcomes, progress);
    bar.finish_and_clear();

    let report = Report::new(args.workers, !args.no_kill, listing, &plan, parallel, single);
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
    let target = match args.json || is_dumb() {
        true => ProgressDrawTarget::hidden(),
        // Hidden by itself where that is not a terminal.
        false => ProgressDrawTarget::stderr(),
    };
    ProgressBar::with_draw_target(Some(bytes), target).with_style(style).with_message(who)
}
