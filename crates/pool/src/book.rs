//! What the parent knows of its tasks and workers, and nobody else needs to.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmkit_process::TaskError;

use crate::Retry;
use crate::answers::Packed;
use crate::luggage::{Answer, Luggage};
use crate::member::{Corpse, Member};

/// Who is told what became of calls. Its calls are numbered by whoever makes it.
pub(crate) trait Sink: Send + Sync {
    /// Takes an outcome. The book is locked: it keeps it, and hands back what is to be done when it is not, if somebody is to
    /// be told who does not wait.
    fn take(self: Arc<Self>, news: News) -> Option<Later>;
}

/// What is done when the book is not locked.
pub(crate) type Later = Box<dyn FnOnce() + Send>;

/// What became of some calls.
#[derive(Debug)]
pub(crate) enum News {
    /// So many calls from this one on have these answers.
    Answers { first: usize, calls: usize, packed: Packed },
    /// This call has no answer, for this reason.
    Failed { index: usize, error: TaskError },
}

/// Calls that are in one cell.
pub(crate) struct Order {
    pub(crate) task: &'static str,
    pub(crate) print: u64,
    pub(crate) sink: Arc<dyn Sink>,
    /// The first call's number to its sink.
    pub(crate) first: usize,
    /// Where the arguments of each call end.
    pub(crate) ends: Vec<usize>,
    /// The arguments: kept only if they may be needed again.
    pub(crate) bytes: Vec<u8>,
    /// What goes with the arguments and is more than bytes.
    pub(crate) luggage: Option<Luggage>,
    pub(crate) limit: Option<Duration>,
    pub(crate) retry: Retry,
    /// How many workers have died with the first call.
    pub(crate) deaths: u32,
    /// Why its worker was killed.
    pub(crate) killed: Option<Killed>,
}

/// Why a worker was killed by its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    Overran,
    Cancelled,
}

impl Order {
    pub(crate) fn calls(&self) -> usize {
        self.ends.len()
    }

    /// Forgets the first `n` calls: they were told.
    pub(crate) fn skip(&mut self, n: usize) {
        let Some(&end) = n.checked_sub(1).and_then(|last| self.ends.get(last)) else { return };
        self.first += n;
        self.ends.drain(..n);
        self.ends.iter_mut().for_each(|at| *at -= end);
        self.bytes.drain(..end.min(self.bytes.len()));
        self.deaths = 0;
    }
}

/// What the parent knows of a cell.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) generation: u32,
    /// `None`: it is free, or has been told of.
    pub(crate) order: Option<Order>,
}

/// How far a pool has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// It takes no tasks any more, and does those that it has.
    Closed,
    /// It does nothing any more, for this reason.
    Broken(String),
    /// It has no workers any more.
    Ended,
}

/// What the parent knows.
pub(crate) struct Book {
    pub(crate) phase: Phase,
    pub(crate) free: Vec<u32>,
    pub(crate) slots: Vec<Slot>,
    /// By their places.
    pub(crate) members: Vec<Option<Member>>,
    pub(crate) corpses: Vec<Corpse>,
    /// What workers have sent that goes with answers which are not told yet.
    pub(crate) brought: HashMap<Answer, Vec<OwnedFd>>,
    /// How many workers there are to be now, and at least.
    pub(crate) wanted: usize,
    pub(crate) least: usize,
    /// Since when there are more than needed.
    pub(crate) slack_since: Option<Instant>,
    /// How many cells have an order.
    pub(crate) under_way: usize,
    /// How many of them have a limit.
    pub(crate) limited: usize,
    /// How many of them have luggage.
    pub(crate) laden: usize,
    /// How many calls were answered, whatever the answer.
    pub(crate) completed: u64,
    /// Somebody takes out of `finished`.
    pub(crate) is_draining: bool,
    /// It has been told to look around.
    pub(crate) has_news: bool,
    /// How many wait for it.
    pub(crate) sleepers: usize,
    /// How many calls have somebody who is to be told and does not wait.
    pub(crate) watched: usize,
    /// The thread that takes for them is there.
    pub(crate) has_taker: bool,
    /// How many workers in a row have ended before they came, and when the last one has.
    pub(crate) lost: u32,
    pub(crate) lost_at: Option<Instant>,
    /// How many workers have ended that had come.
    pub(crate) ended: u64,
}

impl Book {
    pub(crate) fn new(cells: u32, places: usize, workers: usize) -> Self {
        Self {
            phase: Phase::Open,
            // The first ones first.
            free: (0..cells).rev().collect(),
            slots: (0..cells).map(|_| Slot::default()).collect(),
            members: (0..places).map(|_| None).collect(),
            corpses: Vec::new(),
            brought: HashMap::new(),
            wanted: workers,
            least: workers,
            slack_since: None,
            under_way: 0,
            limited: 0,
            laden: 0,
            completed: 0,
            is_draining: false,
            has_news: false,
            sleepers: 0,
            watched: 0,
            has_taker: false,
            lost: 0,
            lost_at: None,
            ended: 0,
        }
    }

    /// Why no task is taken, if none is.
    pub(crate) fn refusal(&self) -> Option<TaskError> {
        match &self.phase {
            Phase::Open => None,
            Phase::Broken(why) => Some(TaskError::Broken(why.clone())),
            Phase::Closed | Phase::Ended => Some(TaskError::Closed),
        }
    }

    /// Puts an order into its cell.
    pub(crate) fn begin(&mut self, number: u32, order: Order) -> u32 {
        self.under_way += 1;
        self.limited += usize::from(order.limit.is_some());
        self.laden += usize::from(order.luggage.is_some());
        let slot = &mut self.slots[number as usize];
        slot.order = Some(order);
        slot.generation
    }

    /// Takes an order out of its cell: it was told of, or is to be.
    pub(crate) fn finish(&mut self, number: u32) -> Option<Order> {
        let order = self.slots.get_mut(number as usize)?.order.take()?;
        self.under_way -= 1;
        self.limited -= usize::from(order.limit.is_some());
        self.laden -= usize::from(order.luggage.is_some());
        Some(order)
    }

    /// How many workers there are, those included whose end is not settled.
    pub(crate) fn living(&self) -> usize {
        self.members.iter().flatten().count()
    }

    /// How many of them do not leave after their task.
    pub(crate) fn staying(&self) -> usize {
        self.members.iter().flatten().filter(|member| !member.leaves).count()
    }
}
