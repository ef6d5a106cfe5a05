//! `Lock`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmkit::{Acquired, LockFailure, UnlockError};

use crate::errors::{OwnerDied, failed};
use crate::made::make;
use crate::travel::{Packing, pack, segment_of};
use crate::waiting::{Wait, wait};

/// What becomes of the news that an owner died.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The last one who acquired by this handle took the lock over from a dead process.
    recovered: AtomicBool,
    /// And is told by an exception.
    raises: bool,
}

impl News {
    /// Of the argument `owner_died`.
    pub(crate) fn new(owner_died: Option<&str>) -> PyResult<Self> {
        let raises = match owner_died {
            None | Some("take") => false,
            Some("raise") => true,
            Some(other) => {
                let text = format!("owner_died is \"take\" or \"raise\", not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        Ok(Self { recovered: AtomicBool::new(false), raises })
    }

    /// Somebody has acquired the lock.
    #[inline]
    pub(crate) fn tell(&self, acquired: Acquired) -> PyResult<bool> {
        let dead = acquired.dead_owner();
        // Relaxed: for the one who holds the lock.
        self.recovered.store(dead.is_some(), Relaxed);
        match dead {
            Some(dead) if self.raises => Err(OwnerDied::new_err(format!(
                "participant {dead} was killed while it held the lock, which is held by the caller now: put right what it guards, and release it"
            ))),
            _ => Ok(true),
        }
    }

    pub(crate) fn recovered(&self) -> bool {
        self.recovered.load(Relaxed)
    }
}

/// What a wait for a lock comes to.
pub(crate) fn not_acquired(failure: LockFailure, raised: Option<PyErr>) -> PyResult<bool> {
    match (raised, failure) {
        (Some(raised), _) => Err(raised),
        (None, LockFailure::WouldBlock | LockFailure::TimedOut) => Ok(false),
        (None, failure) => Err(failed(failure)),
    }
}

/// A lock between processes, which anybody may release.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Lock {
    pub(crate) lock: shmkit::Lock,
    pub(crate) news: News,
}

impl Lock {
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
        self.lock.release().map_err(|error| match error {
            UnlockError::NotLocked => {
                PyValueError::new_err("semaphore or lock released too many times")
            }
            error => failed(error),
        })
    }
}

#[pymethods]
impl Lock {
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

    /// Returns whether anybody has the lock, and whether it is this process.
    fn _owner(&self) -> PyResult<(bool, bool)> {
        let Some(owner) = self.lock.owner() else { return Ok((false, false)) };
        let me = segment_of(&self.lock)?.participant().id();
        Ok((true, me.is_some_and(|me| me == owner)))
    }
}
