//! What is left to do: shared by the threads of the tour that attend to one worker each.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::message::order;
use super::parking::Place;

/// A kill that the tour made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kill {
    pub(super) place: Place,
    /// Which worker, and its process.
    pub(super) worker: u64,
    pub(super) pid: u32,
    /// From the kill to the moment when the tour's receive said that the peer is dead.
    pub(super) seen: Option<Duration>,
    /// Chunks that were handed out again because of it.
    pub(super) again: u64,
}

/// What one worker did, as far as it reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) worker: u64,
    pub(super) pid: u32,
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

/// A kill that is planned, or ordered.
#[derive(Debug)]
struct Plan {
    place: Place,
    /// Not before so many chunks were handed out.
    from: u64,
    /// The worker it was ordered of.
    ordered: Option<u64>,
    made: bool,
}

#[derive(Debug)]
struct State {
    queue: VecDeque<u64>,
    /// Chunks handed out, again included.
    handed_out: u64,
    finished: Vec<bool>,
    unfinished: usize,
    plans: Vec<Plan>,
    /// The number of the next worker.
    next: u64,
    /// Workers that may still be started.
    starts_left: u64,
    living: u32,
    kills: Vec<Kill>,
    /// Workers that died or failed and were not killed by the tour.
    lost: u64,
    done: Vec<Done>,
    again: u64,
    bytes: u64,
    /// When a chunk was finished or a worker ended last.
    progress: Instant,
    failure: Option<anyhow::Error>,
}

/// The work, and who has which part of it.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

/// What [`Board::take`] has for a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) chunk: u64,
    pub(super) order: u64,
}

impl Board {
    /// A board with `chunks` chunks to count, for `starts` workers at most; with the two kills if `kill`.
    pub(super) fn new(chunks: u64, starts: u64, kill: bool) -> Self {
        let plan = |place, from| Plan { place, from, ordered: None, made: false };
        let plans = match kill {
            true => vec![plan(Place::Mutex, chunks / 4), plan(Place::Pipe, chunks / 2)],
            false => Vec::new(),
        };
        let state = State {
            queue: (0..chunks).collect(),
            handed_out: 0,
            finished: vec![false; chunks as usize],
            unfinished: chunks as usize,
            plans,
            next: 0,
            starts_left: starts,
            living: 0,
            kills: Vec::new(),
            lost: 0,
            done: Vec::new(),
            again: 0,
            bytes: 0,
            progress: Instant::now(),
            failure: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked takes the tour down with it; no state here is half-changed by a panic.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Returns the number of a worker to start, or `None` if there have been too many.
    pub(super) fn start(&self) -> Option<u64> {
        let mut state = self.lock();
        state.starts_left = state.starts_left.checked_sub(1)?;
        state.living += 1;
        state.next += 1;
        Some(state.next - 1)
    }

    /// Returns a chunk for `worker`, if there is one to count, or a kill that needs one.
    pub(super) fn take(&self, worker: u64) -> Option<Given> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.unfinished == 0 {
            // Whoever was to be killed in an update died before of something else, and there is no update left.
            state.plans.retain(|plan| plan.place != Place::Mutex || plan.ordered.is_some());
        }
        let due = |plan: &&mut Plan| plan.ordered.is_none() && state.handed_out >= plan.from;
        // One after the other, and each of another worker: whoever dies can do no more.
        let busy = state.plans.iter().any(|plan| plan.ordered == Some(worker));
        let plan = state.plans.iter_mut().find(|plan| plan.ordered.is_none()).filter(due);
        let plan = plan.filter(|_| !busy);
        let chunk = match state.queue.pop_front() {
            Some(chunk) => chunk,
            // The work was over too soon. A finished chunk serves to be reported once more.
            None if state.unfinished == 0
                && plan.as_ref().is_some_and(|plan| plan.place == Place::Pipe) =>
            {
                0
            }
            None => return None,
        };
        let mut given = Given { chunk, order: order::COUNT };
        if let Some(plan) = plan {
            plan.ordered = Some(worker);
            given.order = match plan.place {
                Place::Mutex => order::DIE_IN_MUTEX,
                Place::Pipe => order::DIE_IN_PIPE,
            };
        }
        state.handed_out += 1;
        Some(given)
    }

    /// Notes that `chunk` is counted: reported, or found in the record.
    pub(super) fn finish(&self, chunk: u64) {
        let mut state = self.lock();
        if let Some(finished) = state.finished.get_mut(chunk as usize)
            && !std::mem::replace(finished, true)
        {
            state.unfinished -= 1;
            state.progress = Instant::now();
            self.changed.notify_all();
        }
    }

    /// Puts a chunk back that a dead worker had got and not finished.
    pub(super) fn hand_out_again(&self, chunk: u64) {
        let mut state = self.lock();
        state.queue.push_front(chunk);
        state.again += 1;
        self.changed.notify_all();
    }

    /// Notes that a worker is gone, with what it did, and how if the tour killed it.
    pub(super) fn gone(&self, done: Done, kill: Option<Kill>, lost: bool) {
        let mut state = self.lock();
        state.living -= 1;
        state.lost += u64::from(lost);
        state.progress = Instant::now();
        state.done.push(done);
        for plan in state.plans.iter_mut().filter(|plan| plan.ordered == Some(done.worker)) {
            match kill {
                Some(kill) if kill.place == plan.place => plan.made = true,
                // It died before it came to be killed: somebody else will be.
                _ => plan.ordered = None,
            }
        }
        state.kills.extend(kill);
        self.changed.notify_all();
    }

    /// Notes that `worker` did not come to where it was to be killed: somebody else will be.
    pub(super) fn spare(&self, worker: u64) {
        let mut state = self.lock();
        for plan in state.plans.iter_mut().filter(|plan| plan.ordered == Some(worker)) {
            plan.ordered = None;
        }
    }

    /// Adds bytes that were reported.
    pub(super) fn count_bytes(&self, bytes: u64) {
        self.lock().bytes += bytes;
    }

    /// Returns whether every chunk is counted and every kill made, or the tour failed.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.failure.is_some()
            || (state.unfinished == 0 && state.plans.iter().all(|plan| plan.made))
    }

    /// Returns whether another worker than the one who asks is alive.
    pub(super) fn has_others(&self) -> bool {
        self.lock().living > 1
    }

    /// Gives up; the first failure is the one that is reported.
    pub(super) fn fail(&self, error: anyhow::Error) {
        let mut state = self.lock();
        state.failure.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Returns whether the tour has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.lock().failure.is_some()
    }

    /// Waits for a change, but not for long.
    pub(super) fn wait(&self, limit: Duration) {
        drop(self.changed.wait_timeout(self.lock(), limit));
    }

    /// Returns the bytes reported, and how long ago a chunk was finished or a worker ended.
    pub(super) fn progress(&self) -> (u64, Duration) {
        let state = self.lock();
        (state.bytes, state.progress.elapsed())
    }

    /// Returns what happened.
    ///
    /// # Errors
    ///
    /// If the tour failed.
    pub(super) fn end(self) -> anyhow::Result<End> {
        let state = self.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        match state.failure {
            Some(failure) => Err(failure),
            None => Ok(End {
                kills: state.kills,
                lost: state.lost,
                done: state.done,
                again: state.again,
            }),
        }
    }
}

/// What happened to the workers.
#[derive(Debug)]
pub(super) struct End {
    pub(super) kills: Vec<Kill>,
    pub(super) lost: u64,
    pub(super) done: Vec<Done>,
    pub(super) again: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(chunk: u64, order: u64) -> Option<Given> {
        Some(Given { chunk, order })
    }

    fn killed(board: &Board, worker: u64, place: Place) {
        let done = Done { worker, pid: 1, chunks: 0, bytes: 0 };
        board.gone(done, Some(Kill { place, worker, pid: 1, seen: None, again: 0 }), false);
    }

    #[test]
    fn one_chunk_is_enough_for_both_kills() {
        let board = Board::new(1, 3, true);
        assert_eq!(board.start(), Some(0));
        assert_eq!(board.take(0), given(0, order::DIE_IN_MUTEX));
        assert_eq!(board.take(0), None);
        killed(&board, 0, Place::Mutex);
        // The heir finished the chunk from the journal.
        board.finish(0);
        assert!(!board.is_over());
        assert_eq!(board.start(), Some(1));
        assert_eq!(board.take(1), given(0, order::DIE_IN_PIPE));
        killed(&board, 1, Place::Pipe);
        assert!(board.is_over());
        assert_eq!(board.end().unwrap().kills.len(), 2);
    }

    #[test]
    fn a_chunk_is_not_handed_out_twice_while_it_is_counted() {
        let board = Board::new(1, 9, true);
        board.start();
        board.start();
        assert_eq!(board.take(0), given(0, order::DIE_IN_MUTEX));
        // Else this worker may finish the chunk first, and the other never comes to be killed over it.
        assert_eq!(board.take(1), None);
        board.spare(0);
        board.finish(0);
        assert_eq!(
            board.take(1),
            given(0, order::DIE_IN_PIPE),
            "no update is left to be killed in"
        );
    }

    #[test]
    fn the_two_kills_are_of_two_workers() {
        let board = Board::new(2, 9, true);
        board.start();
        board.start();
        assert_eq!(board.take(0), given(0, order::DIE_IN_MUTEX));
        assert_eq!(board.take(0), given(1, order::COUNT), "it is going to die already");
        board.hand_out_again(1);
        assert_eq!(board.take(1), given(1, order::DIE_IN_PIPE));
    }

    #[test]
    fn a_kill_that_did_not_come_about_is_ordered_again() {
        let board = Board::new(4, 9, true);
        board.start();
        assert_eq!(board.take(0), given(0, order::COUNT));
        assert_eq!(board.take(0), given(1, order::DIE_IN_MUTEX));
        board.gone(Done { worker: 0, pid: 1, chunks: 0, bytes: 0 }, None, true);
        board.hand_out_again(1);
        board.start();
        assert_eq!(board.take(1), given(1, order::DIE_IN_MUTEX));
    }

    #[test]
    fn the_calm_version_is_over_when_everything_is_counted() {
        let board = Board::new(2, 2, false);
        board.start();
        assert_eq!(
            (board.take(0), board.take(0)),
            (given(0, order::COUNT), given(1, order::COUNT))
        );
        board.finish(1);
        board.finish(1);
        assert!(!board.is_over());
        board.finish(0);
        assert!(board.is_over() && !board.has_failed());
        assert_eq!((board.start(), board.start()), (Some(1), None));
    }
}
