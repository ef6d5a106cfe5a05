//! `shmkit watch`: cleans up when somebody dies.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use shmkit::tracker::{DIRECTORY, Outcome, Tracker, Watch, Watched, Watching};

use crate::print::{complain, print, print_json};
use crate::status;
use crate::words::shown;

/// Clean up as soon as somebody dies.
///
/// Removes a segment of this user when its last participant is dead, and releases what a dead process had registered:
/// semaphores, plain shared memory, sockets, files, folders, commands. It sleeps until the kernel says that somebody has died.
/// There is one watcher for each user and directory: if one is at work, this ends at once.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if a watcher is at work, 1 if none can be, 128 and the signal's number if a signal ended it.\n\nExample:\n  shmkit watch --detach"
)]
pub(crate) struct Args {
    /// Go on in the background, until there is nothing to watch: nobody who has asked for a watcher, and no segment in use.
    #[arg(long)]
    detach: bool,
    /// Print JSON: a document for each thing that is cleaned up.
    #[arg(long)]
    json: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.detach {
        let watching = Tracker::in_directory(&args.directory)?.start()?;
        if watching == Watching::Restarted {
            complain("the last watcher was killed: another one is at work");
        }
        return Ok(status::SUCCESS);
    }
    foreground(&args.directory, args.json)
}

/// Watches until a signal ends it, or says that a watcher is at work already.
pub(crate) fn foreground(directory: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let mut printed = Ok(());
    Watch::new().directory(directory).run(|watched| {
        let event = Event::new(&watched);
        let now = if json { print_json(&event) } else { print(&event.line()) };
        if printed.is_ok() {
            printed = now;
        }
    })?;
    printed?;
    complain("a watcher is at work already");
    Ok(status::SUCCESS)
}

#[derive(Debug, Serialize)]
struct Event {
    kind: String,
    name: String,
    outcome: String,
}

impl Event {
    fn new(watched: &Watched<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match watched {
            Watched::Segment { name } => {
                Self { kind: "segment".into(), name: text(name), outcome: "removed".into() }
            }
            Watched::Registered { kind, name, outcome } => {
                Self { kind: kind.to_string(), name: text(name), outcome: outcome_of(*outcome) }
            }
            _ => Self { kind: "?".into(), name: String::new(), outcome: String::new() },
        }
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}\n", self.kind, shown(&self.name), self.outcome)
    }
}

/// What became of something that the dead had registered, in words.
pub(crate) fn outcome_of(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "released".into(),
        Outcome::Gone => "gone".into(),
        Outcome::Replaced => "left alone: another bears the name".into(),
        Outcome::Failed(errno) => {
            format!("failed: {}", std::io::Error::from_raw_os_error(errno))
        }
        _ => "?".into(),
    }
}
