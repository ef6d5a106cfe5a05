//! Faults seeded into the code itself, each with the check that must catch it.
//!
//! A fault is a few lines of a source file, and what a careless hand would have written instead. The workspace is
//! copied, one fault at a time is put into the copy, and its check is run there: it must fail. Before that, every
//! check must pass in the copy without a fault, or it proves nothing.

mod check;
mod list;
mod report;
mod seed;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use self::check::{Check, Outcome};
use self::list::Fault;
use self::report::{Report, Row};
use self::tree::Tree;

/// A check that takes so many times as long as without a fault hangs.
const SLOWER: u32 = 8;
/// It has so long at least.
const SHORTEST: Duration = Duration::from_secs(40);

/// Which faults are tried, and how the result is shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the faults whose name contains one of these
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// List the faults
    #[arg(long)]
    list: bool,
    /// For scripts
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut faults = list::read()?;
    faults.retain(|fault| {
        args.names.is_empty() || args.names.iter().any(|name| fault.name.contains(name.as_str()))
    });
    if faults.is_empty() {
        bail!("no fault has such a name: --list names them all");
    }
    if args.list {
        for Fault { name, what, check, .. } in &faults {
            println!("{name:34} {what} [{check}]");
        }
        return Ok(());
    }
    let tree = Tree::copy()?;
    let checks: BTreeSet<&Check> = faults.iter().map(|fault| &fault.check).collect();
    let bar = ProgressBar::new((checks.len() + faults.len()) as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")?);
    let began = Instant::now();
    let mut sound = BTreeMap::new();
    for check in checks {
        bar.set_message(format!("without a fault: {check}"));
        sound.insert(check, check.run(&tree, check::LIMIT)?);
        bar.inc(1);
    }
    let mut rows = Vec::new();
    for fault in &faults {
        bar.set_message(fault.name.clone());
        let row = match &sound[&fault.check] {
            (Outcome::Passed, took) => one(fault, &tree, (*took * SLOWER).max(SHORTEST))?,
            (other, _) => Row::useless(fault, other),
        };
        if bar.is_hidden() {
            // Whoever ends a long run that nobody watches has what it found until then.
            eprintln!("{row}");
        }
        rows.push(row);
        bar.inc(1);
    }
    bar.finish_and_clear();
    // Wrong code leaves what sound code would not. The sound sweep removes it, and nothing that somebody lives in. It is not
    // built for nothing: that took longer than some faults.
    if has_segments()? {
        let sweep = ["run", "--quiet", "--package", "shmkit-cli", "--", "gc", "--yes"];
        // What it says is no part of the report.
        crate::run(crate::cargo(sweep).stdout(std::io::stderr()))?;
    }
    let report = Report::new(rows, began.elapsed());
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    match report.survived {
        0 => Ok(()),
        survived => bail!("{survived} of {} faults were not caught", faults.len()),
    }
}

/// Returns whether anything in the folder of segments is called like one.
fn has_segments() -> Result<bool> {
    for entry in std::fs::read_dir("/dev/shm")? {
        if entry?.file_name().as_encoded_bytes().starts_with(b"shmkit.") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Puts one fault into the copy, runs its check, and takes it out again.
fn one(fault: &Fault, tree: &Tree, limit: Duration) -> Result<Row> {
    let began = Instant::now();
    let seeded = fault.seed(tree)?;
    let outcome = fault.check.run(tree, limit);
    drop(seeded);
    Ok(Row::new(fault, &outcome?.0, began.elapsed()))
}
