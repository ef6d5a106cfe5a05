//! `shmkit deadlocks` and `shmkit wait-chains`: who waits for whom.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use shmkit::tracker::{DIRECTORY, Deadlock, Holder, Waiting, Waits};

use crate::print::{Terminal, complain, print, print_json};
use crate::segments::waits;
use crate::status;
use crate::words::shown;

/// Find processes that wait for each other in a circle.
///
/// The kernel is asked what each thread sleeps on, and the objects who holds them: nobody is stopped, and nothing is
/// changed. It tells root, and otherwise of processes that this user may trace.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if there is no circle, 1 if that could not be seen, 6 if there is one.\n\nExamples:\n  shmkit deadlocks\n  shmkit deadlocks --dot | dot -Tsvg > deadlocks.svg"
)]
pub(crate) struct DeadlocksArgs {
    /// Print JSON.
    #[arg(long, conflicts_with = "dot")]
    json: bool,
    /// Print all waits as a graph in the language of Graphviz, the circles in red.
    #[arg(long)]
    dot: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

/// Show what a process waits for, whom that keeps waiting, and so on.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if it could be seen, 1 if not.\n\nExample:\n  shmkit wait-chains 4711"
)]
pub(crate) struct ChainsArgs {
    /// The process.
    pid: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

pub(crate) fn deadlocks(args: &DeadlocksArgs) -> anyhow::Result<ExitCode> {
    let waits = look(&args.directory, |waits| !waits.deadlocks().is_empty())?;
    let found = waits.deadlocks();
    if args.json {
        print_json(&Report::new(&waits, &found))?;
    } else if args.dot {
        print(&dot(&waits, &found))?;
    } else {
        print(&sentences(&waits, &found, Terminal::here()))?;
    }
    say_unseen(&waits);
    if found.is_empty() && !waits.unseen.is_empty() {
        return Ok(status::FAILURE);
    }
    Ok(status::findings(!found.is_empty()))
}

pub(crate) fn chains(args: &ChainsArgs) -> anyhow::Result<ExitCode> {
    let waits = look(&args.directory, |waits| !waits.chain(args.pid).is_empty())?;
    let chain = waits.chain(args.pid);
    let is_unseen = waits.unseen.contains_key(&args.pid);
    if args.json {
        let chain: Vec<_> =
            chain.iter().map(|(depth, waiting)| Step::new(*depth, waiting)).collect();
        print_json(&chain)?;
    } else {
        let mut out = String::new();
        for (depth, waiting) in &chain {
            let indent = "  ".repeat(*depth);
            out.push_str(&format!("{indent}{}\n", sentence(&waits, waiting)));
        }
        if chain.is_empty() && !is_unseen {
            out = format!("{} waits for nothing in a segment\n", args.pid);
        }
        print(&Terminal::here().wrap(&out))?;
    }
    say_unseen(&waits);
    Ok(if is_unseen { status::FAILURE } else { status::SUCCESS })
}

/// Who sleeps for long wakes now and then, to ask whether the others live: it is looked again until there is something.
const LOOKS: u32 = 8;
const BETWEEN: Duration = Duration::from_millis(2);

/// Looks until what is seen is enough, or it has looked often enough.
fn look(directory: &Path, is_enough: impl Fn(&Waits) -> bool) -> anyhow::Result<Waits> {
    for _ in 1..LOOKS {
        let seen = waits(directory)?;
        if is_enough(&seen) {
            return Ok(seen);
        }
        thread::sleep(BETWEEN);
    }
    Ok(waits(directory)?)
}

/// Says to standard error of whom the kernel did not tell.
fn say_unseen(waits: &Waits) {
    for (pid, error) in &waits.unseen {
        let advice = match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                ": run as root, or allow tracing (sysctl kernel.yama.ptrace_scope=0)"
            }
            _ => "",
        };
        complain(&format!("what process {pid} waits for cannot be seen: {error}{advice}"));
    }
}

fn sentences(waits: &Waits, found: &[Deadlock], terminal: Terminal) -> String {
    let mut out = String::new();
    for Deadlock { waits: circle, certain, .. } in found {
        let head = if *certain { "a deadlock" } else { "a circle, which another thread may end" };
        out.push_str(&format!("{head}:\n"));
        for waiting in circle {
            out.push_str(&format!("  {}\n", sentence(waits, waiting)));
        }
    }
    if found.is_empty() {
        let wait = match waits.waiting.len() {
            1 => "1 thread waits".to_owned(),
            n => format!("{n} threads wait"),
        };
        out.push_str(&format!("no circle: {wait}\n"));
    }
    terminal.wrap(&out)
}

/// `4711 (cook) waits for the mutex "pan" of "kitchen", which 4712 (cook) holds`.
fn sentence(waits: &Waits, waiting: &Waiting) -> String {
    let Waiting { pid, thread, segment, object, kind, holders, .. } = waiting;
    let process = waits.processes.get(pid);
    let command = process.map(|process| shown(&process.command)).unwrap_or_default();
    let thread = match process {
        Some(process) if process.threads > 1 => {
            format!(", thread {thread} of {}", process.threads)
        }
        _ => String::new(),
    };
    let what = format!("the {kind} \"{}\" of \"{}\"", shown(object), shown(segment));
    let mut out = format!("{pid} ({command}{thread}) waits for {what}");
    if !holders.is_empty() {
        let all: Vec<_> = holders.iter().map(|holder| holder_text(holder, *pid)).collect();
        let verb = if matches!(kind.name(), "pipe" | "frames") { "uses, too" } else { "holds" };
        out.push_str(&format!(", which {} {verb}", all.join(" and ")));
    }
    out
}

fn holder_text(holder: &Holder, waiter: u32) -> String {
    let Holder { pid, command, is_alive, .. } = holder;
    match (is_alive, *pid == waiter) {
        (true, true) => "it itself".to_owned(),
        (true, false) => format!("{pid} ({})", shown(command)),
        (false, _) => format!("{pid} ({}), who is dead,", shown(command)),
    }
}

/// All waits as a graph: processes, and an edge to each living one that keeps another waiting.
fn dot(waits: &Waits, found: &[Deadlock]) -> String {
    let mut out = String::from("digraph waits {\n");
    for (pid, process) in &waits.processes {
        let label = quoted(&format!("{pid} ({})", shown(&process.command)));
        out.push_str(&format!("  {pid} [label={label}];\n"));
    }
    for waiting in &waits.waiting {
        let in_circle = |to: u32| {
            let on = |circle: &Deadlock| {
                let pids: Vec<_> = circle.waits.iter().map(|waiting| waiting.pid).collect();
                let at = circle.waits.iter().position(|other| is_same(other, waiting));
                at.is_some_and(|at| pids[(at + 1) % pids.len()] == to)
            };
            found.iter().any(on)
        };
        let label = quoted(&format!("{}/{}", shown(&waiting.segment), shown(&waiting.object)));
        for holder in waiting.holders.iter().filter(|holder| holder.is_alive) {
            let color = if in_circle(holder.pid) { ", color=red" } else { "" };
            out.push_str(&format!("  {} -> {} [label={label}{color}];\n", waiting.pid, holder.pid));
        }
    }
    out + "}\n"
}

fn is_same(one: &Waiting, other: &Waiting) -> bool {
    let key = |waiting: &Waiting| (waiting.thread, waiting.segment.clone(), waiting.object.clone());
    key(one) == key(other)
}

/// A text in the language of Graphviz, whose only special characters these are.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[derive(Debug, Serialize)]
struct Report {
    deadlocks: Vec<Circle>,
    waiting: Vec<Step>,
    /// Processes of which the kernel does not tell, and why.
    unseen: Vec<(u32, String)>,
}

#[derive(Debug, Serialize)]
struct Circle {
    /// No other thread can end it.
    certain: bool,
    waits: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Step {
    /// How far from the first process it is.
    depth: usize,
    pid: u32,
    thread: u32,
    segment: String,
    object: String,
    kind: String,
    holders: Vec<By>,
}

#[derive(Debug, Serialize)]
struct By {
    id: String,
    pid: u32,
    command: String,
    alive: bool,
}

impl Report {
    fn new(waits: &Waits, found: &[Deadlock]) -> Self {
        let steps = |waits: &[Waiting]| waits.iter().map(|waiting| Step::new(0, waiting)).collect();
        let circle =
            |found: &Deadlock| Circle { certain: found.certain, waits: steps(&found.waits) };
        Self {
            deadlocks: found.iter().map(circle).collect(),
            waiting: steps(&waits.waiting),
            unseen: waits.unseen.iter().map(|(&pid, error)| (pid, error.to_string())).collect(),
        }
    }
}

impl Step {
    fn new(depth: usize, waiting: &Waiting) -> Self {
        let by = |holder: &Holder| By {
            id: holder.id.to_string(),
            pid: holder.pid,
            command: holder.command.clone(),
            alive: holder.is_alive,
        };
        Self {
            depth,
            pid: waiting.pid,
            thread: waiting.thread,
            segment: waiting.segment.clone(),
            object: waiting.object.clone(),
            kind: waiting.kind.to_string(),
            holders: waiting.holders.iter().map(by).collect(),
        }
    }
}
