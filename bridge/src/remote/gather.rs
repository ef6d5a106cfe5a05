//! Many calls of one task, and their answers.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use shmkit::{Patience, TaskError};

use super::job::{Packed, Sink, unpack};
use super::side::wait_for;

/// Many calls' answers.
pub(crate) struct Gather<T> {
    task: &'static str,
    /// Those that are there and that nobody has taken, by their calls' numbers.
    all: Mutex<BTreeMap<usize, Packed>>,
    told: Condvar,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Gather<T> {
    pub(crate) fn new(task: &'static str) -> Arc<Self> {
        let (all, told) = (Mutex::default(), Condvar::new());
        Arc::new(Self { task, all, told, answer: PhantomData })
    }

    /// Waits for so many, which are all.
    pub(crate) fn wait(&self, calls: usize) -> Vec<Result<T, TaskError>> {
        let all = wait_for(&self.all, &self.told, &Patience::ENDLESS, |all| {
            (all.len() >= calls).then(|| std::mem::take(all))
        });
        // It is patient.
        let all = all.unwrap_or_default();
        all.into_values().map(|packed| unpack(self.task, packed)).collect()
    }

    /// Waits for the answer of a call, or of any, which is under way.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](TaskError::TimedOut), [`Interrupted`](TaskError::Interrupted).
    pub(crate) fn next(
        &self,
        call: Option<usize>,
        patience: &Patience<'_>,
    ) -> Result<(usize, Result<T, TaskError>), TaskError> {
        let (n, packed) = wait_for(&self.all, &self.told, patience, |all| match call {
            Some(call) => all.remove(&call).map(|packed| (call, packed)),
            None => all.pop_first(),
        })?;
        Ok((n, unpack(self.task, packed)))
    }
}

impl<T> Sink for Gather<T> {
    fn take(&self, first: usize, outcomes: Vec<Packed>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend((first..).zip(outcomes));
        drop(all);
        self.told.notify_all();
    }
}
