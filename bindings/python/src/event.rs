//! `Event`.

use pyo3::prelude::*;
use shmkit::EventError;

use crate::errors::failed;
use crate::made::make;
use crate::travel::{Packing, pack};
use crate::waiting::wait;

/// A flag to wait for.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Event {
    event: shmkit::Event,
}

#[pymethods]
impl Event {
    #[new]
    #[pyo3(signature = (*, ctx=None, _packed=None))]
    fn new(ctx: Option<&Bound<'_, PyAny>>, _packed: Option<&[u8]>) -> PyResult<Self> {
        let _ = ctx;
        Ok(Self { event: make(_packed, ())? })
    }

    fn is_set(&self) -> bool {
        self.event.is_set()
    }

    fn set(&self) -> PyResult<()> {
        self.event.set().map_err(failed)
    }

    fn clear(&self) -> PyResult<()> {
        self.event.clear().map_err(failed)
    }

    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        if self.event.is_set() {
            return Ok(true);
        }
        match wait(py, timeout.into(), |patience| self.event.wait_deadline(patience)) {
            (_, Some(raised)) => Err(raised),
            (Ok(()), None) => Ok(true),
            (Err(EventError::TimedOut), None) => Ok(false),
            (Err(error), None) => Err(failed(error)),
        }
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.event)
    }
}
