//! `Messages`: a queue of byte strings, for Python's queues.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use shmkit::{Delivery, MessageLease, MessageQueue, MessageSpec, QueueError};

use crate::errors::{failed, texts};
use crate::made::make;
use crate::travel::{Packing, pack};
use crate::waiting::{Wait, wait};

/// A queue of byte strings.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Messages {
    /// What this process has taken and is not done with, the oldest first.
    taken: Mutex<VecDeque<Taken>>,
    queue: Arc<MessageQueue>,
}

/// A message that was taken, with the queue that it is of.
struct Taken {
    lease: MessageLease<'static>,
    /// Behind the lease, which is dropped first.
    _queue: Arc<MessageQueue>,
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lease.fmt(f)
    }
}

impl Taken {
    fn new(queue: &Arc<MessageQueue>, lease: MessageLease<'_>) -> Self {
        // SAFETY: the lease borrows the queue behind the Arc, whose address stays and which is dropped after it.
        let lease =
            unsafe { std::mem::transmute::<MessageLease<'_>, MessageLease<'static>>(lease) };
        Self { lease, _queue: Arc::clone(queue) }
    }
}

/// Whether it came to what was asked for; `None`: not in time.
fn outcome<T>(result: Result<T, QueueError>) -> PyResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(QueueError::Full | QueueError::Empty | QueueError::TimedOut) => Ok(None),
        Err(error @ QueueError::TooLong { .. }) => Err(PyValueError::new_err(texts(&error))),
        Err(error) => Err(failed(error)),
    }
}

impl Messages {
    /// Says what was made of a wait, if no signal handler has raised anything.
    fn ended<T>((result, raised): (Result<T, QueueError>, Option<PyErr>)) -> PyResult<Option<T>> {
        match (result, raised) {
            // What was put is put; a lease that is dropped goes back, to be taken again.
            (_, Some(raised)) => Err(raised),
            (result, None) => outcome(result),
        }
    }

    fn take<R>(
        &self,
        py: Python<'_>,
        how: Wait,
        with: impl FnOnce(&MessageLease<'_>) -> R,
    ) -> PyResult<Option<(R, MessageLease<'_>)>> {
        let found = match self.queue.try_take() {
            Err(QueueError::Empty) if how != Wait::No => {
                Self::ended(wait(py, how, |patience| self.queue.take_deadline(patience)))?
            }
            result => outcome(result)?,
        };
        Ok(found.map(|lease| (with(&lease), lease)))
    }
}

#[pymethods]
impl Messages {
    /// For so many messages, of so many bytes together.
    #[new]
    #[pyo3(signature = (capacity=1, bytes=65536, initial=65536, _packed=None))]
    fn new(capacity: u64, bytes: u64, initial: u64, _packed: Option<&[u8]>) -> PyResult<Self> {
        let spec =
            MessageSpec::new(capacity, bytes).initial(initial).delivery(Delivery::AtLeastOnce);
        let queue = Arc::new(make(_packed, spec)?);
        Ok(Self { taken: Mutex::default(), queue })
    }

    /// Puts a message, unless there is no room in time.
    #[pyo3(signature = (message, block=None, timeout=None))]
    fn put(
        &self,
        py: Python<'_>,
        message: &[u8],
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let how = Wait::new(block, timeout)?;
        let done = match self.queue.try_put(message) {
            Err(QueueError::Full) if how != Wait::No => {
                Self::ended(wait(py, how, |patience| self.queue.put_deadline(message, patience)))?
            }
            result => outcome(result)?,
        };
        Ok(done.is_some())
    }

    /// Takes a message and is done with it; `None` if there is none in time.
    #[pyo3(signature = (block=None, timeout=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = self.take(py, Wait::new(block, timeout)?, |lease| PyBytes::new(py, lease))?;
        let Some((message, lease)) = found else { return Ok(None) };
        lease.done().map_err(failed)?;
        Ok(Some(message))
    }

    /// Takes a message, until this process is done with it: whoever is killed meanwhile leaves it to another one.
    #[pyo3(signature = (block=None, timeout=None))]
    fn hold<'py>(
        &self,
        py: Python<'py>,
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = self.take(py, Wait::new(block, timeout)?, |lease| PyBytes::new(py, lease))?;
        let Some((message, lease)) = found else { return Ok(None) };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.push_back(Taken::new(&self.queue, lease));
        Ok(Some(message))
    }

    /// Is done with the message that was taken first, and returns whether there was one.
    fn done(&self) -> PyResult<bool> {
        let first = self.taken.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match first {
            Some(taken) => taken.lease.done().map(|()| true).map_err(failed),
            None => Ok(false),
        }
    }

    /// How many messages this process has taken and is not done with.
    fn held(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until nothing is left that was put and not done; returns whether that was in time.
    #[pyo3(signature = (timeout=None))]
    fn join(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let ended =
            Self::ended(wait(py, timeout.into(), |patience| self.queue.join_deadline(patience)))?;
        Ok(ended.is_some())
    }

    fn __len__(&self) -> PyResult<usize> {
        self.queue.len().map_err(failed)
    }

    fn empty(&self) -> PyResult<bool> {
        self.queue.is_empty().map_err(failed)
    }

    fn full(&self) -> PyResult<bool> {
        self.queue.is_full().map_err(failed)
    }

    #[getter]
    fn max_len(&self) -> u64 {
        self.queue.max_len()
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &*self.queue)
    }
}
