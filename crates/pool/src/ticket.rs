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
    /// The answer is theirs first who are called with it: whoever comes for it calls them.
    is_calling: bool,
    /// Somebody is at that.
    is_called: bool,
    /// Somebody is to be told who does not wait, and the pool knows.
    is_watched: bool,
}

enum Answer<T> {
    None,
    Packed(Result<Packed, TaskError>),
    Here(Result<T, TaskError>),
    /// Lent to those who are called with it.
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
    fn is_there(&self) -> bool {
        !self.is_called && !matches!(self.answer, Answer::None)
    }
}

impl<T: DeserializeOwned + Send + 'static> Ticket<T> {
    pub(crate) fn new(task: &'static str, name: Arc<str>) -> Arc<Self> {
        let state = State {
            answer: Answer::None,
            waker: None,
            then: Vec::new(),
            is_calling: false,
            is_called: false,
            is_watched: false,
        };
        Arc::new(Self { task, name, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Whole, whatever panicked: every change to it is a store.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unpack(&self, answer: Answer<T>) -> Result<T, TaskError> {
        match answer {
            Answer::Packed(packed) => Reader::new(&mut packed?).next(self.task, &self.name),
            Answer::Here(answer) => answer,
            Answer::None | Answer::Lent | Answer::Taken => Err(TaskError::Taken),
        }
    }

    /// The same where that is no business of the thread's: what a user's type does as it is unpacked.
    fn unpack_for_others(&self, answer: Answer<T>) -> Result<T, TaskError> {
        catch_unwind(AssertUnwindSafe(|| self.unpack(answer))).unwrap_or_else(|_| {
            let (task, name) = (self.task, self.name.to_string());
            Err(TaskError::Decode { task, name, why: "it panicked as it was unpacked".into() })
        })
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

    /// Takes the answer out, if there is one, and calls those before who are to be called with it. Not under the book.
    pub(crate) fn take_answer(&self) -> Option<Result<T, TaskError>> {
        let mut state = self.state();
        if state.is_calling && !state.is_called {
            drop(state);
            self.call();
            state = self.state();
        }
        if !state.is_there() {
            return None;
        }
        let answer = std::mem::replace(&mut state.answer, Answer::Taken);
        drop(state);
        Some(self.unpack(answer))
    }

    /// Returns whether there is an answer that can be taken.
    pub(crate) fn is_told(&self) -> bool {
        self.state().is_there()
    }

    /// Shows the answer, which stays; `None` if there is none, or others have it now.
    pub(crate) fn peek<R>(&self, show: impl FnOnce(&Result<T, TaskError>) -> R) -> Option<R> {
        let mut state = self.state();
        if !state.is_there() {
            return None;
        }
        if let Answer::Packed(_) = state.answer {
            let packed = std::mem::replace(&mut state.answer, Answer::Taken);
            state.answer = Answer::Here(self.unpack_for_others(packed));
        }
        Some(match &state.answer {
            Answer::Here(answer) => show(answer),
            _ => show(&Err(TaskError::Taken)),
        })
    }

    /// Calls those who are to be called, with the answer, which stays; and wakes. One thread at a time: whoever is at it calls those
    /// who have come meanwhile as well.
    pub(crate) fn call(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.is_called, true) {
            return;
        }
        while !state.then.is_empty() {
            let then = std::mem::take(&mut state.then);
            let lent = std::mem::replace(&mut state.answer, Answer::Lent);
            drop(state);
            let answer = self.unpack_for_others(lent);
            for then in then {
                // Its thread is another one's, whom that is no business of.
                let _ = catch_unwind(AssertUnwindSafe(|| then(&answer)));
            }
            state = self.state();
            state.answer = Answer::Here(answer);
        }
        (state.is_calling, state.is_called) = (false, false);
        let waker = state.waker.take();
        drop(state);
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
    fn who_is_called_with_an_answer_has_it_before_who_waits_whoever_calls() {
        static CALLED: OnceLock<()> = OnceLock::new();
        let ticket = ticket();
        ticket.then(Box::new(|answer| {
            assert!(matches!(answer, Err(TaskError::Cancelled)));
            CALLED.set(()).unwrap();
        }));
        assert!(matches!(ticket.listen(), Listens::Now));
        let later = told(&ticket).unwrap();
        assert!(matches!(ticket.take_answer(), Some(Err(TaskError::Cancelled))));
        assert!(CALLED.get().is_some());
        later();
        assert!(matches!(ticket.take_answer(), Some(Err(TaskError::Taken))));
    }

    #[test]
    fn one_thread_at_a_time_calls_and_nobody_takes_the_answer_meanwhile() {
        let ticket = ticket();
        let inner = ticket.clone();
        let (say, heard) = std::sync::mpsc::channel();
        ticket.then(Box::new(move |_| {
            assert!(!inner.is_told() && inner.take_answer().is_none());
            // As another thread does that is late, and calls.
            inner.then(Box::new(move |answer| {
                assert!(matches!(answer, Err(TaskError::Cancelled)));
                say.send(()).unwrap();
            }));
            assert!(matches!(inner.listen(), Listens::Late));
            inner.call();
            assert!(!inner.is_told());
        }));
        assert!(matches!(ticket.listen(), Listens::Now));
        told(&ticket).unwrap()();
        assert_eq!(heard.try_recv(), Ok(()));
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
