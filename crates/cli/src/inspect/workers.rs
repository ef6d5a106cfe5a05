//! The workers of a pool, and what each is doing.

use serde::Serialize;
use shmkit::pool::look::Worker;
use shmkit::pool::raw::WorkerState;
use shmkit::tracker::{Entry, Inspection};

use crate::facts;
use crate::print::Terminal;
use crate::table::{Table, number};
use crate::top::{seconds_since, span};

#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Workers(Vec<One>);

#[derive(Debug, Serialize)]
struct One {
    place: u32,
    /// `null` as long as it has not come.
    pid: Option<u32>,
    state: &'static str,
    /// How many calls it has answered.
    answered: u64,
    /// The fingerprint of the task that it is at, which stands for name and signature.
    task: Option<String>,
    /// For how many seconds it is at its call.
    seconds: Option<f64>,
    /// How many calls the task is, and how many of them are answered.
    calls: Option<(u64, u64)>,
}

impl Workers {
    /// Nothing of what is no pool.
    pub(super) fn of(inspection: &Inspection, entry: &Entry) -> Option<Self> {
        let pool = facts::pool(inspection, entry)?;
        Some(Self(pool.workers.iter().map(One::of).collect()))
    }

    pub(super) fn text(&self, terminal: Terminal) -> String {
        let mut rows = Table::new(&["worker", "pid", "state", "answered", "task", "for", "calls"]);
        for worker in &self.0 {
            rows.add_row([
                number(worker.place),
                number(worker.pid.map(|pid| pid.to_string()).unwrap_or_default()),
                worker.state.into(),
                number(worker.answered),
                worker.task.clone().unwrap_or_default().into(),
                number(worker.seconds.map(span).unwrap_or_default()),
                worker.calls.map(|(of, done)| format!("{done} of {of}")).unwrap_or_default().into(),
            ]);
        }
        rows.text(terminal)
    }
}

impl One {
    fn of(worker: &Worker) -> Self {
        Self {
            place: worker.place,
            pid: (worker.pid != 0).then_some(worker.pid),
            state: match worker.state {
                WorkerState::Vacant => "vacant",
                WorkerState::Starting => "starting",
                WorkerState::Idle => "idle",
                WorkerState::Busy(_) => "busy",
                WorkerState::Condemned(_) => "condemned",
                WorkerState::Leaving => "leaving",
            },
            answered: worker.answered,
            task: worker.task.map(|task| format!("{:016x}", task.print)),
            seconds: worker
                .task
                .filter(|task| task.started > 0)
                .and_then(|task| seconds_since(task.started)),
            calls: worker.task.map(|task| (task.calls, task.answered)),
        }
    }
}
