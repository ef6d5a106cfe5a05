//! `shmkit gc`: removes the segments that nobody lives in.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use shmkit::tracker::{DIRECTORY, Fate, Released, Report, Sweep, Swept};

use crate::ls::File;
use crate::print::{Terminal, complain, print, print_json};
use crate::status;
use crate::table::{Table, number};
use crate::watch::{self, outcome_of};
use crate::words::{bytes, chain, count, shown};

/// Remove segments that nobody lives in.
///
/// Without --yes it only says what it would remove. What somebody lives in, a persistent segment and another program's
/// file are never touched; what is damaged, or another user's, only if that is asked for.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if everything was looked at and nothing is to be removed any more, 1 if something could not be read or removed, 6 if there is something to remove and --yes was not given; with --watch 128 and the signal's number when a signal ended it.\n\nExamples:\n  shmkit gc || shmkit gc --yes\n  shmkit gc --yes --watch"
)]
pub(crate) struct Args {
    /// Remove them.
    #[arg(short, long)]
    yes: bool,
    /// Then go on, and remove what nobody lives in any more as soon as its last participant dies: as `shmkit watch` does.
    #[arg(long, requires = "yes")]
    watch: bool,
    /// Also those that no program can use any more: cut off or written over, and nobody has a lock on them.
    #[arg(long)]
    damaged: bool,
    /// Also those of other users, as far as the system lets you: run as root.
    #[arg(long)]
    all_users: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let report = Sweep::new()
        .directory(&args.directory)
        .damaged(args.damaged)
        .all_users(args.all_users)
        .dry_run(!args.yes)
        .run()?;
    if args.json {
        print_json(&Json::new(args, &report))?;
    } else {
        print(&summary(args, &report, Terminal::here()))?;
    }
    if let Err(error) = &report.released {
        complain(&chain(error));
    }
    if args.watch {
        // It says what it cleans up; what could not be cleaned up was said above.
        return watch::foreground(&args.directory, args.json);
    }
    if report.failed().next().is_some() || report.released.is_err() {
        return Ok(status::FAILURE);
    }
    let is_left = report.dead().next().is_some() || !registered(&report).is_empty();
    Ok(status::findings(!args.yes && is_left))
}

#[derive(Debug, Serialize)]
struct Json {
    directory: String,
    dry_run: bool,
    /// How many segments were removed, or would be.
    dead: usize,
    /// What that freed, or would free, in bytes.
    bytes: u64,
    files: Vec<Looked>,
    /// What dead processes had registered.
    registered: Vec<Registered>,
}

#[derive(Debug, Serialize)]
struct Registered {
    kind: String,
    name: String,
    outcome: String,
}

/// What dead processes had registered, and what became of it.
fn registered(report: &Report) -> Vec<Registered> {
    let registered = |what: &Released| Registered {
        kind: what.kind.clone(),
        name: String::from_utf8_lossy(&what.name).into_owned(),
        outcome: what.outcome.map_or("removable".to_owned(), outcome_of),
    };
    report.released.iter().flatten().map(registered).collect()
}

#[derive(Debug, Serialize)]
struct Looked {
    #[serde(flatten)]
    file: File,
    /// In bytes.
    size: u64,
    verdict: &'static str,
    why: String,
}

impl Json {
    fn new(args: &Args, report: &Report) -> Self {
        let file = |swept: &Swept| Looked {
            file: File::new(&swept.name, &swept.path),
            size: swept.size,
            verdict: swept.fate.word(),
            why: swept.fate.to_string(),
        };
        Self {
            directory: args.directory.display().to_string(),
            dry_run: !args.yes,
            dead: report.dead().count(),
            bytes: report.dead().map(|swept| swept.size).sum(),
            files: report.files.iter().map(file).collect(),
            registered: registered(report),
        }
    }
}

fn summary(args: &Args, report: &Report, terminal: Terminal) -> String {
    let mut out = String::new();
    if !report.files.is_empty() {
        let mut rows = Table::new(&["name", "size", "verdict", "why"]);
        for swept in &report.files {
            let is_segment = !matches!(swept.fate, Fate::Foreign(_) | Fate::Unreadable(_));
            rows.add_row([
                File::new(&swept.name, &swept.path).shown.into(),
                number(if is_segment { bytes(swept.size) } else { "-".to_owned() }),
                swept.fate.word().into(),
                shown(swept.fate.to_string()).into(),
            ]);
        }
        out.push_str(&rows.text(terminal));
        out.push('\n');
    }
    let registered = registered(report);
    if !registered.is_empty() {
        let mut rows = Table::new(&["registered by the dead", "name", "outcome"]);
        for Registered { kind, name, outcome } in &registered {
            rows.add_row([shown(kind).into(), shown(name).into(), outcome.into()]);
        }
        out.push_str(&rows.text(terminal));
        out.push('\n');
    }
    let dead = report.dead().count();
    let size = bytes(report.dead().map(|swept| swept.size).sum());
    let sum = match (dead, args.yes) {
        (0, _) => {
            format!("nothing to remove in {}\n", shown(&args.directory))
        }
        (_, true) => format!("removed {}, {size}\n", count(dead, "segment")),
        (_, false) => {
            format!("would remove {}, {size}: run again with --yes\n", count(dead, "segment"))
        }
    };
    out.push_str(&terminal.wrap(&sum));
    out
}
