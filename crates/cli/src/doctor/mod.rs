//! `shmkit doctor`: whether this machine, and this user on it, give shared memory what it needs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use shmkit::tracker::DIRECTORY;

use crate::print::{Terminal, print, print_json};
use crate::status;
use crate::table::Table;
use crate::words::{count, shown};

mod directory;
mod kernel;
mod limits;
mod logout;
mod works;

/// Say what is wrong, or will be, with shared memory on this machine, and what mends it.
///
/// Nothing is changed. To see whether locks work in the directory, a segment of one page is made there and removed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if nothing is wrong, 1 if it could not be said, 6 if something is.\n\nExample:\n  shmkit doctor --json | jq '.findings[].mend'"
)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let report = Report::of(&args.directory);
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.text(Terminal::here()))?;
    }
    Ok(status::findings(!report.findings.is_empty()))
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    /// What was looked at.
    what: &'static str,
    /// What was found.
    found: String,
}

/// What should be mended.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(flatten)]
    check: Check,
    /// What comes of it.
    why: String,
    /// One line that mends it.
    mend: String,
}

/// All that was looked at.
#[derive(Debug, Default, Serialize)]
struct Report {
    findings: Vec<Finding>,
    fine: Vec<Check>,
}

impl Report {
    fn of(at: &Path) -> Self {
        let mut this = Self::default();
        directory::look(at, &mut this);
        works::look(at, &mut this);
        limits::look(&mut this);
        kernel::look(&mut this);
        logout::look(&mut this);
        this
    }

    /// Says that something is as it should be, or just how it is.
    fn fine(&mut self, what: &'static str, found: impl Into<String>) {
        self.fine.push(Check { what, found: found.into() });
    }

    /// Says that something is not.
    fn finding(
        &mut self,
        what: &'static str,
        found: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let check = Check { what, found: found.into() };
        self.findings.push(Finding { check, why: why.into(), mend: mend.into() });
    }

    fn text(&self, terminal: Terminal) -> String {
        let mut rows = Table::new(&["what", "found"]);
        for Check { what, found } in &self.fine {
            rows.add_row([(*what).into(), shown(found).into()]);
        }
        let mut out = rows.text(terminal);
        for Finding { check: Check { what, found }, why, mend } in &self.findings {
            let text = format!("\n{what}: {}\n  {}\n  mend it: {mend}\n", shown(found), shown(why));
            out.push_str(&terminal.wrap(&text));
        }
        let sum = match self.findings.len() {
            0 => "\nnothing is wrong\n".to_owned(),
            n => format!("\n{}\n", count(n, "finding")),
        };
        out + &sum
    }
}
