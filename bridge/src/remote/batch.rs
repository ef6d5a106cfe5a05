//! Calls on their way into one message.

use std::sync::Arc;

use shmkit::TaskError;
use shmkit_parcel::{Parcel, ParcelError};
use shmkit_process::Task;

use super::job::{Job, JobState, Sink};
use crate::frame::MOST_BODY;
use crate::serve::MARGIN;
use crate::talk::{Order, encode};

/// Calls that are to go to one host together.
pub(crate) struct Batch<T: Task> {
    parcel: Parcel,
    ends: Vec<u32>,
    first: usize,
    task: std::marker::PhantomData<fn() -> T>,
}

impl<T: Task> Batch<T> {
    pub(crate) fn new(first: usize) -> Self {
        Self { parcel: Parcel::bare(), ends: Vec::new(), first, task: std::marker::PhantomData }
    }

    pub(crate) fn calls(&self) -> usize {
        self.ends.len()
    }

    /// Begins with a later call.
    pub(crate) fn skip(&mut self, first: usize) {
        *self = Self::new(first);
    }

    /// Packs a call; `false`: with it, it would be more than goes at a time, and it is not in it.
    pub(crate) fn pack(&mut self, args: &T::Args) -> Result<bool, TaskError> {
        let task = T::NAME;
        let before = self.ends.last().map_or(0, |end| *end as usize);
        if let Err(error) = T::pack(args, &mut self.parcel) {
            self.parcel.truncate(before);
            let why = match error.error {
                ParcelError::CannotTravel(_) => format!(
                    "{error}; what goes to another machine is bytes: copy what is in it, or run the task here"
                ),
                _ => error.to_string(),
            };
            return Err(TaskError::Encode { task, why });
        }
        let end = self.parcel.bytes().len();
        let most = MOST_BODY - MARGIN;
        if end - before > most {
            self.parcel.truncate(before);
            let why = format!(
                "its arguments have {} bytes, and {most} are the most that go to another machine",
                end - before
            );
            return Err(TaskError::Encode { task, why });
        }
        // What the ends take is bytes, too.
        if end + 5 * self.ends.len() > most {
            self.parcel.truncate(before);
            return Ok(false);
        }
        // Below a mebibyte.
        self.ends.push(end as u32);
        Ok(true)
    }

    /// Takes what is packed, if anything is.
    pub(crate) fn take(&mut self, sink: Arc<dyn Sink>, state: Arc<JobState>) -> Option<Job> {
        if self.ends.is_empty() {
            return None;
        }
        let (first, calls) = (self.first, self.ends.len());
        let ends = std::mem::take(&mut self.ends);
        let order = Order { print: T::PRINT, ends, args: self.parcel.bytes() };
        let order = encode(&order);
        *self = Self::new(first + calls);
        let (task, is_idempotent) = (T::NAME, T::IDEMPOTENT);
        let (told, heard, deaths) = (0, 0, 0);
        Some(Job { task, is_idempotent, sink, first, calls, told, heard, order, deaths, state })
    }
}
