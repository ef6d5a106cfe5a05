//! `shmkit top`: what goes on in all segments, as it goes on.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use shmkit::tracker::DIRECTORY;

use self::keys::{State, Then};
use self::rows::{Rows, Sort};
use self::section::Section;
use self::seen::Seen;
use crate::print::{Terminal, is_dumb, print, print_json};
use crate::signals::{self, Interrupted};
use crate::status;
use crate::table::{Cell, Table, number};

mod keys;
mod rows;
mod section;
mod seen;
mod view;

pub(crate) use self::rows::seconds_since;
pub(crate) use self::section::{si, span};

/// Between two looks at locks, if they are quick.
const GLANCE: Duration = Duration::from_millis(100);
/// Looks take such a part of the time at most.
const PART: u32 = 20;
/// For so long at most nobody looks whether a signal has come.
const PATIENCE: Duration = Duration::from_millis(50);

/// Show what goes on: pipes and queues, locks, pools, and what was left behind.
///
/// Segments are looked at, never joined. No lock counts its owners, so that it costs nothing when nobody looks: for locks it
/// says in which share of some looks a second they were found held and waited for, and for how long each look has found the
/// same holder and the same thread asleep. What threads sleep on the kernel tells root, and otherwise of processes that this user
/// may trace. Segments without a name, a pool's above all, are called by a process that has them and its descriptor; they are shown
/// if no other directory is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: q quits, tab and 1 to 4 look at another section, s sorts by something else, r the other way round, / filters, p pauses, arrows scroll.\n\nExit status: 0 if it could be seen, 1 if not; 130, 143 or 129 if SIGINT, SIGTERM or SIGHUP ended it.\n\nExamples:\n  shmkit top\n  shmkit top --once --sort waiting\n  shmkit top --json --filter kitchen | jq .locks"
)]
pub(crate) struct Args {
    /// Print what goes on for one interval, and end.
    #[arg(long)]
    once: bool,
    /// Print JSON: a document for each interval.
    #[arg(long)]
    json: bool,
    /// Seconds from one look at everything to the next.
    #[arg(long, default_value = "1", value_parser = interval)]
    interval: Duration,
    /// What comes first.
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Show only what has this in its name, its kind, or its holder's name or number.
    #[arg(long, default_value = "")]
    filter: String,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

fn interval(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "a number of seconds was expected")?;
    let least = 0.05;
    if !(least..=3600.0).contains(&number) {
        return Err(format!("{least} to 3600 seconds were expected"));
    }
    Ok(Duration::from_secs_f64(number))
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.once || args.json {
        signals::tidily(|| list(args))?;
        return Ok(status::SUCCESS);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        bail!("this is no terminal to draw on: use --once, or --json");
    }
    if is_dumb() {
        bail!("this terminal cannot move its cursor (TERM): use --once, or --json");
    }
    signals::tidily(|| {
        // Before the screen changes: an error is to be read.
        let seen = Seen::new(&args.directory)?;
        let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
        let ended = live(args, seen, &mut terminal);
        ratatui::try_restore().context("cannot give the terminal back")?;
        ended
    })?;
    Ok(status::SUCCESS)
}

/// How long until the next glance, if the last one has taken so long.
fn pause(took: Duration) -> Duration {
    GLANCE.max(took * PART)
}

fn state(args: &Args) -> State {
    State {
        sort: args.sort,
        filter: args.filter.clone(),
        plain: !Terminal::here().bold,
        ..State::default()
    }
}

fn rows(seen: &mut Seen, state: &State) -> Rows {
    let mut rows = seen.rows();
    rows.sort(state.sort, state.reverse);
    rows
}

/// Looks at everything when the time has come, and at locks meanwhile.
struct Clock {
    interval: Duration,
    look: Instant,
    glance: Instant,
}

impl Clock {
    fn new(interval: Duration) -> Self {
        let now = Instant::now();
        Self { interval, look: now + interval, glance: now + GLANCE }
    }

    /// How long there is nothing to do.
    fn rest(&self) -> Duration {
        self.look.min(self.glance).saturating_duration_since(Instant::now()).min(PATIENCE)
    }

    /// Does what is due. Returns whether there are new rows.
    fn tick(&mut self, seen: &mut Seen) -> anyhow::Result<bool> {
        let now = Instant::now();
        if now >= self.look {
            seen.look()?;
            self.look = now + self.interval.max(pause(seen.took));
            self.glance = Instant::now() + GLANCE;
            return Ok(true);
        }
        if now >= self.glance {
            seen.glance();
            self.glance = Instant::now() + pause(now.elapsed());
        }
        Ok(false)
    }
}

fn list(args: &Args) -> anyhow::Result<()> {
    let mut seen = Seen::new(&args.directory)?;
    let mut clock = Clock::new(args.interval);
    let state = state(args);
    loop {
        signals::look()?;
        thread::sleep(clock.rest());
        if !clock.tick(&mut seen)? {
            continue;
        }
        let mut rows = rows(&mut seen, &state);
        rows.filter(&state.filter);
        if args.json {
            print_json(&rows)?;
        } else {
            print(&text(&rows, Terminal::here()))?;
        }
        if args.once {
            return Ok(());
        }
    }
}

fn text(rows: &Rows, terminal: Terminal) -> String {
    let mut out = terminal.wrap(&format!("{}\n", rows.totals.text()));
    for section in rows.sections().iter().filter(|section| !section.rows.is_empty()) {
        out.push('\n');
        out.push_str(&table(section).text(terminal));
    }
    out
}

fn table(section: &Section) -> Table {
    let headings: Vec<_> = section.columns.iter().map(|column| column.heading).collect();
    let mut table = Table::new(&headings);
    for row in &section.rows {
        let cells = row.iter().zip(section.columns);
        let cell = |(text, column): (&String, &section::Column)| -> Cell {
            if column.is_number { number(text) } else { text.clone().into() }
        };
        table.add_cells(cells.map(cell).collect());
    }
    table
}

fn live(args: &Args, mut seen: Seen, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
    let mut state = state(args);
    let mut clock = Clock::new(args.interval);
    let mut all = rows(&mut seen, &state);
    let mut is_changed = true;
    loop {
        signals::look()?;
        if is_changed {
            let mut shown = all.clone();
            shown.sort(state.sort, state.reverse);
            shown.filter(&state.filter);
            terminal.draw(|frame| view::draw(frame, &mut state, &shown))?;
        }
        is_changed = false;
        if event::poll(clock.rest()).context("cannot read the keys")? {
            match event::read().context("cannot read the keys")? {
                Event::Key(key) if !key.is_release() => match state.press(key) {
                    Then::GoOn => is_changed = true,
                    Then::Quit => return Ok(()),
                    Then::Interrupt => return Err(Interrupted::BY_KEY.into()),
                },
                Event::Resize(..) => is_changed = true,
                _ => {}
            }
        }
        if clock.tick(&mut seen)? && !state.paused {
            all = seen.rows();
            is_changed = true;
        }
    }
}
