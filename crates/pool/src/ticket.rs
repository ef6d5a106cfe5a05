//! A task's answer, on its way from who takes it out of shared memory to who waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use serde::de::DeserializeOwned;
use shmkit_process::TaskError;

use crate::answers::{Packed, Reader};
use crate::book::{Later, News, Sink};

/// What is called with an answer.
type Then<T> = Box<dyn FnOnce(&Result<T, TaskError>) + Send>;

/// What both have: who waits, and whoever tells.
pub(crate) struct Ticket<T> {
    pub(crate) task: &'static str,
    name: Arc<str>,
    state: Mutex<State<T>>,
}

struct State<T> {
    answer: Answer<T>,
    waker: Option<Waker>,
    then: Vec<Then<T>>,
    /// The answer is theirs who are called with it, before anybody takes it.
    is_calling: bool,
    /// Somebody is to be told who does not wait, and the pool knows.
    is_watched: bool,
}

enum Answer<T> {
    None,
    Packed(Result<Packed, TaskError>),
    Here(Result<T, TaskError>),
    /// Lent to those who look at it.
    Lent,
    Taken,
}

/// Whether those are told who do not wait.
pub(crate) enum Listens {
    /// They are, from now on: the pool is to know.
    Now,
    /// They are, and the pool knows.
    Already,
    /// The answer has come before: nobody tells them.
    Late,
}

impl<T> State<T> {
    fn is_told(&self) -> bool {
        !self.is_calling && !matches!(self.answer, Answer::None | Answer::Lent)
    }
}

impl<T: DeserializeOwned + Send + 'static> Ticket<T> {
    pub(crate) fn new(task: &'static str, name: Arc<str>) -> Arc<Self> {
        let state = State {
            answer: Answer::None,
            waker: None,
            then: Vec::new(),
            is_calling: false,
            is_watched: false,
        };
        Arc::new(Self { task, name, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Whole, whatever panicked: every change to it is a store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpack(&self, packed: Result<Packed, TaskError>) -> Result<T, TaskError> {
        Reader::new(&mut packed?).next(self.task, &self.name)
    }

    /// The task was never sent, for this reason.
    pub(crate) fn refuse(&self, error: TaskError) {
        self.state().answer = Answer::Packed(Err(error));
    }

    /// Has `then` called with the answer, by whoever tells.
    pub(crate) fn then(&self, then: Then<T>) {
        self.state().then.push(then);
    }

    /// Has `waker` woken by whoever tells, and no other one.
    pub(crate) fn wake(&self, waker: &Waker) {
        self.state().waker = Some(waker.clone());
    }

    /// Has those told who do not wait. The book is locked, so that nobody tells meanwhile.
    pub(crate) fn listen(&self) -> Listens {
        let mut state = self.state();
        if !matches!(state.answer, Answer::None) {
            return Listens::Late;
        }
        if std::mem::replace(&mut state.is_watched, true) { Listens::Already } else { Listens::Now }
    }

    /// Takes the answer out, if there is one.
    pub(crate) fn take_answer(&self) -> Option<Result<T, TaskError>> {
        let mut state = self.state();
        if !state.is_told() {
            return None;
        }
        let answer = std::mem::replace(&mut state.answer, Answer::Taken);
        drop(state);
        Some(match answer {
            Answer::Packed(packed) => self.unpack(packed),
            Answer::Here(answer) => answer,
            Answer::None | Answer::Lent | Answer::Taken => Err(TaskError::Taken),
        })
    }

    pub(crate) fn is_told(&self) -> bool {
        self.state().is_told()
    }

    /// Shows the answer, which stays; `None` if there is none, or it was taken.
    pub(crate) fn peek<R>(&self, show: impl FnOnce(&Result<T, TaskError>) -> R) -> Option<R> {
        let mut state = self.state();
        if let Answer::Packed(_) = state.answer {
            let packed = std::mem::replace(&mut state.answer, Answer::Lent);
            drop(state);
            let answer = match packed {
                Answer::Packed(packed) => self.unpack(packed),
                _ => Err(TaskError::Taken),
            };
            state = self.state();
            state.answer = Answer::Here(answer);
        }
        match &state.answer {
            Answer::Here(answer) => Some(show(answer)),
            Answer::None | Answer::Packed(_) | Answer::Lent | Answer::Taken => None,
        }
    }

    /// Calls those who are to be called, with the answer, which stays; and wakes.
    pub(crate) fn call(&self) {
        let then = std::mem::take(&mut self.state().then);
        if !then.is_empty() {
            let packed = std::mem::replace(&mut self.state().answer, Answer::Lent);
            let answer = match packed {
                Answer::Packed(packed) => self.unpack(packed),
                Answer::Here(answer) => answer,
                Answer::None | Answer::Lent | Answer::Taken => Err(TaskError::Taken),
            };
            for then in then {
                // Its thread is another one's, whom that is no business of.
                let _ = catch_unwind(AssertUnwindSafe(|| then(&answer)));
            }
            self.state().answer = Answer::Here(answer);
        }
        let waker = {
            let mut state = self.state();
            state.is_calling = false;
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: DeserializeOwned + Send + 'static> Sink for Ticket<T> {
    fn take(self: Arc<Self>, news: News) -> Option<Later> {
        let mut state = self.state();
        if let Answer::None = state.answer {
            state.answer = Answer::Packed(match news {
                News::Answers { packed, .. } => Ok(packed),
                News::Failed { error, .. } => Err(error),
            });
            // Until then nobody takes it, though everybody is woken before.
            state.is_calling = !state.then.is_empty();
        }
        let is_watched = std::mem::take(&mut state.is_watched);
        drop(state);
        is_watched.then(|| Box::new(move || self.call()) as Later)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;

    fn ticket() -> Arc<Ticket<u32>> {
        Ticket::new("task", "pool".into())
    }

    fn told(ticket: &Arc<Ticket<u32>>) -> Option<Later> {
        ticket.clone().take(News::Failed { index: 0, error: TaskError::Cancelled })
    }

    #[test]
    fn who_is_called_with_an_answer_has_it_before_who_waits() {
        static CALLED: OnceLock<()> = OnceLock::new();
        let ticket = ticket();
        ticket.then(Box::new(|answer| {
            assert!(matches!(answer, Err(TaskError::Cancelled)));
            CALLED.set(()).unwrap();
        }));
        assert!(matches!(ticket.listen(), Listens::Now));
        let later = told(&ticket).unwrap();
        assert!(!ticket.is_told() && ticket.take_answer().is_none(), "it is theirs");
        later();
        assert!(CALLED.get().is_some());
        assert!(matches!(ticket.take_answer(), Some(Err(TaskError::Cancelled))));
    }

    #[test]
    fn one_that_panics_takes_the_answer_from_nobody() {
        let ticket = ticket();
        ticket.then(Box::new(|_| panic!("a task of the test")));
        assert!(matches!(ticket.listen(), Listens::Now));
        told(&ticket).unwrap()();
        assert!(matches!(ticket.take_answer(), Some(Err(TaskError::Cancelled))));
    }

    #[test]
    fn who_comes_late_is_told_by_nobody() {
        let ticket = ticket();
        assert!(told(&ticket).is_none());
        assert!(matches!(ticket.listen(), Listens::Late));
        assert!(matches!(ticket.take_answer(), Some(Err(TaskError::Cancelled))));
        assert!(matches!(ticket.take_answer(), Some(Err(TaskError::Taken))));
    }
}
