//! What is shown: a row for each thing, in the order that was asked for.

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use shmkit::pool::look::Look;
use shmkit::pool::raw::WorkerState;
use shmkit::tracker::Inspection;

/// What rows are sorted by; those that have no such number, by what they are sorted by otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Sort {
    /// What happens most: messages and tasks a second, threads that wait, bytes that were left.
    #[default]
    Busy,
    /// Bytes a second.
    Bytes,
    /// How full it is.
    Fill,
    /// How many threads wait.
    Waiting,
    /// How often it was found held.
    Held,
    /// Segment and object.
    Name,
}

/// All that is shown.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Rows {
    pub(super) totals: Totals,
    pub(super) flows: Vec<Flow>,
    pub(super) locks: Vec<Lock>,
    pub(super) pools: Vec<Pool>,
    pub(super) orphans: Vec<Orphan>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) segments: usize,
    /// Of these: anonymous, or unlinked and mapped still.
    pub(super) unnamed: usize,
    /// Files that are called like segments and could not be looked into.
    pub(super) unread: usize,
    /// In bytes.
    pub(super) resident: u64,
    pub(super) living: usize,
    pub(super) dead: usize,
    /// Processes of which the kernel does not tell this user what they wait for.
    pub(super) unseen: usize,
    /// Between the two looks that rates come of.
    pub(super) seconds: Option<f64>,
}

/// A pipe or a queue.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Flow {
    pub(super) segment: String,
    pub(super) object: String,
    pub(super) kind: String,
    /// Messages a second; `null` where that cannot be told.
    pub(super) per_second: Option<f64>,
    pub(super) bytes_per_second: Option<f64>,
    /// What lies in it: messages; or bytes, in a pipe of messages of any length. Of a broadcast, what the slowest has to receive.
    pub(super) inside: u64,
    pub(super) of: u64,
    /// 0 to 1.
    pub(super) fill: Option<f64>,
    /// Most threads that a look found asleep at it.
    pub(super) waiting: usize,
    pub(super) closed: bool,
}

/// A lock, or something else that threads wait at.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Lock {
    pub(super) segment: String,
    pub(super) object: String,
    pub(super) kind: String,
    pub(super) holders: Vec<Holder>,
    /// The share of looks that found it held: 0 to 1.
    pub(super) held: f64,
    /// Most threads that a look found asleep at it.
    pub(super) waiting: usize,
    /// The share of looks that found a thread asleep at it: 0 to 1.
    pub(super) waited_for: f64,
    /// For how many seconds each look has found the same thread asleep, of the longest one.
    pub(super) longest_wait: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) alive: bool,
    /// For so long each look has found it to hold it.
    pub(super) seconds: f64,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Pool {
    pub(super) segment: String,
    /// Calls a second.
    pub(super) per_second: Option<f64>,
    /// Tasks that wait for a worker.
    pub(super) queued: u64,
    pub(super) of: u64,
    pub(super) workers: usize,
    pub(super) busy: usize,
    /// For how many seconds a worker is at its call, of the one that is at it for longest.
    pub(super) longest: Option<f64>,
}

/// A segment that nobody lives in.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Orphan {
    pub(super) segment: String,
    pub(super) content: String,
    /// In bytes, as the next.
    pub(super) size: u64,
    pub(super) resident: u64,
    /// Participants that were killed in it.
    pub(super) dead: usize,
}

impl Pool {
    pub(super) fn new(inspection: &Inspection, pool: &Look, per_second: Option<f64>) -> Self {
        let busy = pool.workers.iter().filter(|who| matches!(who.state, WorkerState::Busy(_)));
        let began = pool.workers.iter().filter_map(|who| who.task);
        let began = began.map(|task| task.started).filter(|&started| started > 0).min();
        Self {
            segment: inspection.name.clone(),
            per_second,
            queued: pool.queued,
            of: pool.cells,
            workers: pool.workers.len(),
            busy: busy.count(),
            longest: began.and_then(seconds_since),
        }
    }
}

/// Seconds since a moment of the monotonic clock, in nanoseconds.
pub(crate) fn seconds_since(nanos: u64) -> Option<f64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).ok()?;
    let now = now.tv_sec() as f64 * 1e9 + now.tv_nsec() as f64;
    Some(((now - nanos as f64) / 1e9).max(0.0))
}

impl Rows {
    /// Keeps the rows in which `text` is found.
    pub(super) fn filter(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let has = |texts: &[&str]| texts.iter().any(|has| has.contains(text));
        let place = |segment: &str, object: &str| format!("{segment}/{object}");
        self.flows.retain(|row| has(&[&place(&row.segment, &row.object), &row.kind]));
        self.locks.retain(|row| {
            let mut holders = row.holders.iter();
            has(&[&place(&row.segment, &row.object), &row.kind])
                || holders.any(|who| has(&[&who.command, &who.pid.to_string()]))
        });
        self.pools.retain(|row| has(&[&row.segment]));
        self.orphans.retain(|row| has(&[&row.segment, &row.content]));
    }

    /// Sorts all rows, those with the most first, but names; or the other way round.
    pub(super) fn sort(&mut self, by: Sort, reverse: bool) {
        let place = |segment: &String, object: &String| (segment.clone(), object.clone());
        let number = |number: Option<f64>| number.unwrap_or(-1.0);
        let flow = |row: &Flow| match by {
            Sort::Bytes => number(row.bytes_per_second),
            Sort::Fill => number(row.fill),
            Sort::Waiting | Sort::Held => row.waiting as f64,
            Sort::Busy | Sort::Name => {
                number(row.per_second).max(number(row.bytes_per_second) / 8.0)
            }
        };
        let lock = |row: &Lock| match by {
            Sort::Held | Sort::Fill => row.held,
            _ => row.waiting as f64 + row.waited_for + row.held / 16.0,
        };
        let pool = |row: &Pool| match by {
            Sort::Fill | Sort::Waiting => row.queued as f64,
            _ => number(row.per_second),
        };
        let orphan = |row: &Orphan| row.resident as f64;
        let is_name = by == Sort::Name;
        order(&mut self.flows, flow, |row| place(&row.segment, &row.object), is_name, reverse);
        order(&mut self.locks, lock, |row| place(&row.segment, &row.object), is_name, reverse);
        order(&mut self.pools, pool, |row| (row.segment.clone(), String::new()), is_name, reverse);
        let name = |row: &Orphan| (row.segment.clone(), String::new());
        order(&mut self.orphans, orphan, name, is_name, reverse);
    }
}

fn order<T>(
    rows: &mut [T],
    most: impl Fn(&T) -> f64,
    name: impl Fn(&T) -> (String, String),
    is_name: bool,
    reverse: bool,
) {
    rows.sort_by(|one, other| {
        let by_name = name(one).cmp(&name(other));
        let by_most = most(other).total_cmp(&most(one));
        let order = if is_name { by_name } else { by_most.then(by_name) };
        if reverse { order.reverse() } else { order }
    });
}
