//! The command line of every benchmark.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::limit::watch;
use crate::machine::Machine;
use crate::report::{print_json, print_markdown, print_table};
use crate::{Group, Settings, plot};

/// Ratios against named peers, in one run, shuffled.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Only the groups whose name contains this
    filter: Option<String>,
    /// Rounds of every group
    #[arg(long, default_value_t = 31)]
    rounds: u32,
    /// Seed of the shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds that a sample may take: one that hangs fails its group, and the others go on
    #[arg(long, default_value_t = 60)]
    limit: u64,
    /// For scripts
    #[arg(long)]
    json: bool,
    /// As a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Draw the ratios into this file, too
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Makes groups, measures those that the command line asks for, and prints what came of them. If that is to be shown alone, or
/// is wrong, nothing is made: the process ends there.
///
/// # Errors
///
/// If no group is left, or one could not be measured: the others were, and are printed.
pub fn run<'g>(groups: impl FnOnce() -> Result<Vec<Group<'g>>>) -> Result<()> {
    let cli = Cli::parse();
    let groups = groups()?;
    watch(Duration::from_secs(cli.limit));
    let filter = cli.filter.as_deref().unwrap_or_default();
    let groups: Vec<_> = groups.into_iter().filter(|g| g.name().contains(filter)).collect();
    ensure!(!groups.is_empty(), "no group's name contains \"{filter}\"");
    let bar = if std::io::stderr().is_terminal() && !cli.json {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?;
        ProgressBar::new(u64::from(cli.rounds) * groups.len() as u64).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    let settings = Settings { rounds: cli.rounds, seed: cli.seed };
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for group in groups {
        let name = group.name();
        match group.measure(settings, &bar) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                bar.suspend(|| eprintln!("not measured: {error:#}"));
                failed.push(name);
            }
        }
    }
    bar.finish_and_clear();
    let machine = Machine::this();
    if let Some(path) = &cli.svg {
        plot::draw(path, &machine, cli.rounds, &outcomes)?;
    }
    if cli.json {
        print_json(&machine, cli.rounds, &outcomes)?;
    } else if cli.markdown {
        print_markdown(&machine, cli.rounds, &outcomes);
    } else {
        print_table(&machine, cli.rounds, &outcomes);
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}
