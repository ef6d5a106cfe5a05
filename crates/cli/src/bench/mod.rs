//! `shmkit bench`: how fast it is on this machine, in a few seconds.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;
use shmkit::tracker::DIRECTORY;

use self::work::{Bench, Work};
use crate::print::{Terminal, print, print_json};
use crate::signals;
use crate::status;
use crate::table::{Table, number};
use crate::top::si;

mod machine;
mod plot;
mod work;

use self::machine::Machine;

/// Measure how fast it is on this machine: locks, a value, a pipe, a queue, a segment's making.
///
/// With a process at the other end, in rounds whose order is another one each time; it takes some seconds. The spread says how far
/// the middle half of the rounds lies apart, and beside it is told how long a cache line takes to the other process and back, on
/// which everything between two processes depends. Compare figures of one run only.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if all was measured, 1 if not; 130, 143 or 129 if SIGINT, SIGTERM or SIGHUP ended it.\n\nExamples:\n  shmkit bench\n  shmkit bench --rounds 3 --json | jq .figures\n  shmkit bench --svg shmkit.svg"
)]
pub(crate) struct Args {
    /// How often each is measured.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Draw the figures into this file, too.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Where the segment's file is that is made and removed.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

/// How long a sample takes, about.
const SAMPLE: Duration = Duration::from_millis(10);

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let report = signals::tidily(|| measure(args))?;
    if let Some(path) = &args.svg {
        plot::draw(path, &report)?;
    }
    if args.json {
        print_json(&report)?;
    } else {
        print(&report.text(Terminal::here()))?;
    }
    Ok(status::SUCCESS)
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rounds: u32,
    /// How long all of it took.
    seconds: f64,
    figures: Vec<Figure>,
    /// A cache line, to the other process and back.
    line: Quartiles,
}

#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    what: &'static str,
    /// Of one, in nanoseconds.
    nanos: Quartiles,
    /// How far the middle half lies apart, as a part of the median.
    spread: f64,
    per_second: f64,
}

/// The middle of some figures, and where the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Quartiles {
    lower: f64,
    median: f64,
    upper: f64,
}

impl Quartiles {
    /// Of one figure at least.
    fn of(figures: &mut [f64]) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |part: f64| figures[((figures.len() - 1) as f64 * part).round() as usize];
        Self { lower: at(0.25), median: at(0.5), upper: at(0.75) }
    }
}

fn measure(args: &Args) -> anyhow::Result<Report> {
    let began = Instant::now();
    let machine = Machine::this();
    let mut bench = Bench::new(&args.directory)?;
    let mut counts = Vec::new();
    for line in Work::ALL {
        signals::look()?;
        counts.push(calibrate(&mut bench, line)?);
    }
    let mut samples = vec![Vec::new(); Work::ALL.len()];
    let mut order: Vec<usize> = (0..Work::ALL.len()).collect();
    for round in 0..args.rounds {
        shuffle(&mut order, round);
        for &n in &order {
            signals::look()?;
            let took = bench.sample(Work::ALL[n], counts[n])?;
            samples[n].push(took.as_nanos() as f64 / f64::from(counts[n]));
        }
    }
    bench.end()?;
    let mut quartiles = samples.iter_mut().map(|samples| Quartiles::of(samples));
    let mut figures = Vec::new();
    let mut line = None;
    for which in Work::ALL {
        let Some(nanos) = quartiles.next() else { break };
        match which.name() {
            None => line = Some(nanos),
            Some(what) => figures.push(Figure {
                what,
                nanos,
                spread: (nanos.upper - nanos.lower) / nanos.median,
                per_second: 1e9 / nanos.median,
            }),
        }
    }
    let line = line.unwrap_or(Quartiles { lower: 0.0, median: 0.0, upper: 0.0 });
    let seconds = began.elapsed().as_secs_f64();
    Ok(Report { machine, rounds: args.rounds, seconds, figures, line })
}

/// How many of it take about as long as a sample should.
fn calibrate(bench: &mut Bench, line: Work) -> anyhow::Result<u32> {
    let mut count = 16;
    loop {
        let took = bench.sample(line, count)?.max(Duration::from_nanos(1));
        if took >= SAMPLE / 4 || count >= 1 << 26 {
            let wanted = f64::from(count) * SAMPLE.as_secs_f64() / took.as_secs_f64();
            return Ok((wanted as u32).clamp(1, 1 << 28));
        }
        count *= 4;
    }
}

/// Brings them into another order, which is the same in each run.
fn shuffle(order: &mut [usize], round: u32) {
    let mut random = u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for n in (1..order.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        order.swap(n, (random >> 11) as usize % (n + 1));
    }
}

impl Report {
    fn text(&self, terminal: Terminal) -> String {
        let mut rows = Table::new(&["what", "median", "middle half", "spread", "a second"]);
        for figure in &self.figures {
            let Quartiles { lower, median, upper } = figure.nanos;
            rows.add_row([
                figure.what.into(),
                number(time(median)),
                number(format!("{} to {}", time(lower), time(upper))),
                number(format!("{:.0}%", figure.spread * 100.0)),
                number(si(figure.per_second)),
            ]);
        }
        let mut out = terminal.wrap(&format!("{}\n\n", self.machine));
        out += &rows.text(terminal);
        let Quartiles { lower, median, upper } = self.line;
        out += &terminal.wrap(&format!(
            "\n{} rounds, each in another order, in {:.1} s. The machine's noise: a cache line takes {} to the other process and back, the middle half {} to {}.\n",
            self.rounds,
            self.seconds,
            time(median),
            time(lower),
            time(upper),
        ));
        out
    }
}

/// `12.3 ns`, `4.5 µs`, `1.2 ms`.
fn time(nanos: f64) -> String {
    match nanos {
        ..999.5 => format!("{nanos:.1} ns"),
        ..999_500.0 => format!("{:.1} µs", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_another_order_of_all() {
        let mut orders = std::collections::BTreeSet::new();
        for round in 0..20 {
            let mut order: Vec<usize> = (0..8).collect();
            shuffle(&mut order, round);
            orders.insert(order.clone());
            order.sort_unstable();
            assert_eq!(order, (0..8).collect::<Vec<_>>());
        }
        assert!(orders.len() >= 19, "{} orders of 20", orders.len());
    }

    #[test]
    fn the_middle_half_lies_between_the_quartiles() {
        let mut figures: Vec<f64> = (1..=9).rev().map(f64::from).collect();
        let expected = Quartiles { lower: 3.0, median: 5.0, upper: 7.0 };
        assert_eq!(Quartiles::of(&mut figures), expected);
        let of_one = Quartiles { lower: 4.0, median: 4.0, upper: 4.0 };
        assert_eq!(Quartiles::of(&mut [4.0]), of_one);
    }
}
