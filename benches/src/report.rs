//! Showing the figures to people and to scripts.

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Color, Table, presets};
use serde::Serialize;

use crate::machine::Machine;
use crate::{Outcome, Quartiles};

/// Prints a table of all outcomes.
pub(crate) fn print_table(machine: &Machine, rounds: u32, outcomes: &[Outcome]) {
    println!("{machine}");
    println!(
        "{rounds} rounds, shuffled; medians, with the middle half of the rounds behind them.\n"
    );
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "work",
        "ours ns",
        "peer",
        "peer ns",
        "ours/peer",
        "limit",
        "noise",
        "line ns",
    ]);
    for outcome in outcomes {
        for ratio in &outcome.ratios {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let limit = match (ratio.limit, ratio.kept) {
                (Some(limit), Some(true)) => right(format!("{limit:.2} kept")).fg(Color::Green),
                (Some(limit), _) => right(format!("{limit:.2} MISSED")).fg(Color::Red),
                (None, _) => right(String::new()),
            };
            let r = ratio.ratio;
            table.add_row([
                Cell::new(format!("{}: {}", outcome.group, outcome.ours)),
                right(format!("{:.1}", outcome.nanos.median)),
                Cell::new(ratio.peer),
                right(format!("{:.1}", ratio.nanos.median)),
                right(format!("{:.2} [{:.2} {:.2}]", r.median, r.lower, r.upper)),
                limit,
                right(format!("{:.0}%", ratio.nanos.spread() * 100.0)),
                right(format!("{:.0}", outcome.cache_line.median)),
            ]);
        }
    }
    println!("{table}");
    print_facts(outcomes);
    println!(
        "noise: how far the middle half of the peer's own samples spreads; line: a cache line's round trip."
    );
    let missed = outcomes.iter().flat_map(|o| &o.ratios).filter(|r| r.kept == Some(false)).count()
        + outcomes.iter().flat_map(|o| &o.facts).filter(|f| f.kept == Some(false)).count();
    if missed > 0 {
        println!("{missed} of our limits missed.");
    }
}

/// Prints what else there is to say, if there is.
fn print_facts(outcomes: &[Outcome]) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["work", "figure", "ours", "peer", "theirs", "ours/peer", "limit"]);
    for outcome in outcomes {
        for fact in &outcome.facts {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let limit = fact.limit.as_deref().unwrap_or_default();
            let limit = match fact.kept {
                Some(true) => right(format!("{limit}: kept")).fg(Color::Green),
                Some(false) => right(format!("{limit}: MISSED")).fg(Color::Red),
                None => right(String::new()),
            };
            let spread = |q: Option<Quartiles>| {
                right(q.map_or_else(String::new, |q| {
                    format!("{:.2} [{:.2} {:.2}]", q.median, q.lower, q.upper)
                }))
            };
            table.add_row([
                Cell::new(format!("{}: {}", outcome.group, outcome.ours)),
                Cell::new(fact.fact),
                spread(Some(fact.ours)),
                Cell::new(fact.peer),
                spread(fact.theirs),
                spread(fact.ratio),
                limit,
            ]);
        }
    }
    if !table.is_empty() {
        println!("{table}");
    }
}

/// Prints the ratios as a table in Markdown.
pub(crate) fn print_markdown(machine: &Machine, rounds: u32, outcomes: &[Outcome]) {
    println!("{machine}; {rounds} rounds, shuffled; medians, and the middle half of the rounds.\n");
    println!("| work | ours, ns | peer | theirs, ns | ours / theirs | limit |");
    println!("| --- | ---: | --- | ---: | ---: | --- |");
    for outcome in outcomes {
        for ratio in &outcome.ratios {
            let limit = match (ratio.limit, ratio.kept) {
                (Some(limit), Some(true)) => format!("{limit:.2}, kept"),
                (Some(limit), _) => format!("{limit:.2}, **missed**"),
                (None, _) => String::new(),
            };
            let (ours, theirs, r) = (outcome.nanos.median, ratio.nanos.median, ratio.ratio);
            println!(
                "| {} | {ours:.1} | {} | {theirs:.1} | {:.2} ({:.2} to {:.2}) | {limit} |",
                outcome.group, ratio.peer, r.median, r.lower, r.upper
            );
        }
    }
}

/// Prints the same for scripts.
///
/// # Errors
///
/// If standard output cannot be written.
pub(crate) fn print_json(machine: &Machine, rounds: u32, outcomes: &[Outcome]) -> Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        machine: &'a Machine,
        rounds: u32,
        outcomes: &'a [Outcome],
    }
    serde_json::to_writer_pretty(std::io::stdout().lock(), &Report { machine, rounds, outcomes })?;
    println!();
    Ok(())
}
