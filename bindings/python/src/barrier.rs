//! `Barrier`.

use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use shmkit::{ActionError, BarrierError, Parties};

use crate::errors::{failed, texts};
use crate::made::make;
use crate::travel::{Packing, pack};
use crate::waiting::{Wait, wait};

/// Where processes wait for each other.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Barrier {
    barrier: shmkit::Barrier,
    action: Option<Py<PyAny>>,
}

/// As `threading` says it.
fn broken(py: Python<'_>, error: BarrierError) -> PyErr {
    static BROKEN: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    if !error.is_broken() {
        return failed(error);
    }
    match BROKEN.import(py, "threading", "BrokenBarrierError") {
        Ok(class) => PyErr::from_type(class.clone(), texts(&error)),
        Err(error) => error,
    }
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (parties=1, action=None, timeout=None, *, ctx=None, _packed=None))]
    fn new(
        parties: i64,
        action: Option<Py<PyAny>>,
        timeout: Option<f64>,
        ctx: Option<&Bound<'_, PyAny>>,
        _packed: Option<&[u8]>,
    ) -> PyResult<Self> {
        let _ = ctx;
        let count = u32::try_from(parties).ok().filter(|&parties| parties > 0);
        let count = count.ok_or_else(|| PyValueError::new_err("parties must be > 0"))?;
        let parties = match timeout.into() {
            Wait::Endless => Parties::new(count),
            Wait::For(time) => Parties::new(count).timeout(time),
            Wait::No => Parties::new(count).timeout(Duration::ZERO),
        };
        Ok(Self { barrier: make(_packed, parties)?, action })
    }

    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<u32> {
        let how = match timeout {
            Some(_) => timeout.into(),
            None => self.barrier.timeout().map_or(Wait::Endless, Wait::For),
        };
        let (result, raised) = wait(py, how, |patience| {
            let action = || match &self.action {
                Some(action) => Python::attach(|py| action.call0(py).map(drop)),
                None => Ok(()),
            };
            self.barrier.wait_with_deadline(patience, action)
        });
        match (raised, result) {
            (Some(raised), _) => Err(raised),
            (None, Ok(index)) => Ok(index),
            (None, Err(ActionError::Action(error))) => Err(error),
            (None, Err(ActionError::Barrier(error))) => Err(broken(py, error)),
            (None, Err(error)) => Err(failed(error)),
        }
    }

    fn reset(&self) -> PyResult<()> {
        self.barrier.reset().map_err(failed)
    }

    fn abort(&self) -> PyResult<()> {
        self.barrier.abort().map_err(failed)
    }

    #[getter]
    fn parties(&self) -> u32 {
        self.barrier.parties()
    }

    #[getter]
    fn n_waiting(&self) -> u32 {
        self.barrier.n_waiting()
    }

    #[getter]
    fn broken(&self) -> bool {
        self.barrier.is_broken()
    }

    #[getter]
    fn _action(&self) -> Option<&Py<PyAny>> {
        self.action.as_ref()
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.barrier)
    }
}
