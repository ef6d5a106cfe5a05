//! `RLock`.

use pyo3::exceptions::PyAssertionError;
use pyo3::prelude::*;
use shmkit::LockFailure;

use crate::lock::{News, not_acquired};
use crate::made::make;
use crate::travel::{Packing, pack, segment_of};
use crate::waiting::{Wait, wait};

/// A lock between processes, which its thread may acquire again.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct RLock {
    pub(crate) lock: shmkit::RLock,
    pub(crate) news: News,
}

impl RLock {
    #[inline]
    pub(crate) fn take(&self, py: Python<'_>, how: Wait) -> PyResult<bool> {
        match self.lock.try_acquire() {
            Ok(acquired) => self.news.tell(acquired),
            Err(LockFailure::WouldBlock) if how != Wait::No => self.take_slowly(py, how),
            Err(failure) => not_acquired(failure, None),
        }
    }

    #[cold]
    fn take_slowly(&self, py: Python<'_>, how: Wait) -> PyResult<bool> {
        match wait(py, how, |patience| self.lock.acquire_deadline(patience)) {
            (Ok(acquired), None) => self.news.tell(acquired),
            (Ok(_), Some(raised)) => {
                // The signal came when the lock was ours already; who raises has not got it.
                let _ = self.lock.release();
                Err(raised)
            }
            (Err(failure), raised) => not_acquired(failure, raised),
        }
    }

    #[inline]
    pub(crate) fn give(&self) -> PyResult<()> {
        self.lock.release().map_err(|_| {
            PyAssertionError::new_err("attempt to release recursive lock not owned by thread")
        })
    }
}

#[pymethods]
impl RLock {
    #[new]
    #[pyo3(signature = (*, ctx=None, owner_died=None, _packed=None))]
    fn new(
        ctx: Option<&Bound<'_, PyAny>>,
        owner_died: Option<&str>,
        _packed: Option<&[u8]>,
    ) -> PyResult<Self> {
        let _ = ctx;
        Ok(Self { lock: make(_packed, ())?, news: News::new(owner_died)? })
    }

    #[pyo3(signature = (block=None, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.take(py, Wait::new(block, timeout)?)
    }

    fn release(&self) -> PyResult<()> {
        self.give()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.take(py, Wait::Endless)
    }

    #[pyo3(signature = (_kind=None, _value=None, _trace=None))]
    fn __exit__(
        &self,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.give()
    }

    fn locked(&self) -> bool {
        self.lock.locked()
    }

    #[getter]
    fn recovered(&self) -> bool {
        self.news.recovered()
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.lock)
    }

    /// Returns whether anybody has the lock, whether it is this process, and how often this thread has.
    fn _owner(&self) -> PyResult<(bool, bool, u32)> {
        let Some(owner) = self.lock.owner() else { return Ok((false, false, 0)) };
        let me = segment_of(&self.lock)?.participant().id();
        Ok((true, me.is_some_and(|me| me == owner), self.lock.depth()))
    }
}
