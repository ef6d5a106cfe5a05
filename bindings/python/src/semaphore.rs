//! `Semaphore` and `BoundedSemaphore`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use shmkit::{Count, CountingError, CountingSemaphore};

use crate::errors::failed;
use crate::made::make;
use crate::travel::{Packing, pack};
use crate::waiting::{Wait, wait};

/// A number that anybody raises, and that anybody lowers, waiting while it is 0.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Semaphore {
    semaphore: CountingSemaphore,
}

impl Semaphore {
    #[inline]
    fn take(&self, py: Python<'_>, how: Wait) -> PyResult<bool> {
        match self.semaphore.try_acquire() {
            Ok(()) => Ok(true),
            Err(CountingError::WouldBlock) if how != Wait::No => self.take_slowly(py, how),
            Err(error) => not_acquired(error, None),
        }
    }

    #[cold]
    fn take_slowly(&self, py: Python<'_>, how: Wait) -> PyResult<bool> {
        match wait(py, how, |patience| self.semaphore.acquire_deadline(patience)) {
            (Ok(()), None) => Ok(true),
            (Ok(()), Some(raised)) => {
                // The signal came when it was lowered already; who raises has not got it.
                let _ = self.semaphore.release(1);
                Err(raised)
            }
            (Err(error), raised) => not_acquired(error, raised),
        }
    }

    #[inline]
    fn give(&self, count: u32) -> PyResult<()> {
        self.semaphore.release(count).map_err(|error| match error {
            CountingError::PastBound { .. } => {
                PyValueError::new_err("semaphore or lock released too many times")
            }
            error => failed(error),
        })
    }
}

fn not_acquired(error: CountingError, raised: Option<PyErr>) -> PyResult<bool> {
    match (raised, error) {
        (Some(raised), _) => Err(raised),
        (None, CountingError::WouldBlock | CountingError::TimedOut) => Ok(false),
        (None, error) => Err(failed(error)),
    }
}

#[pymethods]
impl Semaphore {
    /// `bound`: it is never raised above its first value.
    #[new]
    #[pyo3(signature = (value=1, *, ctx=None, _bounded=false, _packed=None))]
    fn new(
        value: i64,
        ctx: Option<&Bound<'_, PyAny>>,
        _bounded: bool,
        _packed: Option<&[u8]>,
    ) -> PyResult<Self> {
        let _ = ctx;
        let text = || PyValueError::new_err(format!("a semaphore cannot begin with {value}"));
        let value = u32::try_from(value).map_err(|_| text())?;
        // Python's bound of 0 is one that nobody can raise, which is what is not made here.
        let count = match _bounded {
            true => Count::bounded(value),
            false => Count::unbounded(value),
        };
        Ok(Self { semaphore: make(_packed, count)? })
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

    #[pyo3(signature = (n=1))]
    fn release(&self, n: i64) -> PyResult<()> {
        match u32::try_from(n) {
            Ok(n) if n > 0 => self.give(n),
            _ => Err(PyValueError::new_err("n must be one or more")),
        }
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
        self.give(1)
    }

    fn get_value(&self) -> u32 {
        self.semaphore.value()
    }

    fn locked(&self) -> bool {
        self.semaphore.locked()
    }

    #[getter]
    fn _bound(&self) -> u32 {
        self.semaphore.bound()
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.semaphore)
    }
}
