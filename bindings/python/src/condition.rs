//! `Condition`.

use pyo3::exceptions::{PyAssertionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use shmkit::{Acquired, Condvar, NotifyError, Patience, Seated, Segment, WaitError, Wakeup};

use crate::errors::failed;
use crate::lock::{Lock, News};
use crate::made::make_beside;
use crate::rlock::RLock;
use crate::travel::{Packing, pack, segment_of};
use crate::waiting::{Wait, wait};

/// Somewhere to sleep until somebody has made a condition true under a lock.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Condition {
    condvar: Condvar,
    lock: Either,
}

/// One of the locks that this module has.
pub(crate) enum Either {
    Lock(Py<Lock>),
    RLock(Py<RLock>),
}

impl Either {
    pub(crate) fn new(lock: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(lock) = lock.cast::<RLock>() {
            return Some(Self::RLock(lock.clone().unbind()));
        }
        lock.cast::<Lock>().ok().map(|lock| Self::Lock(lock.clone().unbind()))
    }

    #[inline]
    pub(crate) fn take(&self, py: Python<'_>, how: Wait) -> PyResult<bool> {
        match self {
            Self::Lock(lock) => lock.get().take(py, how),
            Self::RLock(lock) => lock.get().take(py, how),
        }
    }

    #[inline]
    pub(crate) fn give(&self) -> PyResult<()> {
        match self {
            Self::Lock(lock) => lock.get().give(),
            Self::RLock(lock) => lock.get().give(),
        }
    }

    /// The lock as Python knows it.
    pub(crate) fn object<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match self {
            Self::Lock(lock) => lock.bind(py).clone().into_any(),
            Self::RLock(lock) => lock.bind(py).clone().into_any(),
        }
    }

    fn news(&self) -> &News {
        match self {
            Self::Lock(lock) => &lock.get().news,
            Self::RLock(lock) => &lock.get().news,
        }
    }

    fn segment(&self) -> PyResult<Segment> {
        match self {
            Self::Lock(lock) => segment_of(&lock.get().lock),
            Self::RLock(lock) => segment_of(&lock.get().lock),
        }
    }
}

/// How a sleep ended, whatever the lock.
enum End {
    Woke(Wakeup, Acquired),
    NotOwner,
    Failed(WaitError),
}

fn end<G>(result: Result<(G, Wakeup), WaitError<G>>) -> End {
    match result {
        Ok((_, wakeup)) => End::Woke(wakeup, Acquired::Clean),
        // Who of them it was, nobody has to know.
        Err(WaitError::OwnerDied(_, wakeup)) => {
            End::Woke(wakeup, Acquired::OwnerDied(shmkit::OwnerId::GONE))
        }
        Err(WaitError::NotOwner(_)) => End::NotOwner,
        Err(error) => End::Failed(error.detach()),
    }
}

impl Condition {
    fn sleep(&self, patience: Patience<'_>) -> End {
        match &self.lock {
            Either::Lock(lock) => end(self.condvar.wait_deadline(&lock.get().lock, patience)),
            Either::RLock(lock) => end(self.condvar.wait_deadline(&lock.get().lock, patience)),
        }
    }

    fn wake(&self, n: u32) -> PyResult<()> {
        let woken = match &self.lock {
            Either::Lock(lock) => self.condvar.notify(&&lock.get().lock, n),
            Either::RLock(lock) => self.condvar.notify(&&lock.get().lock, n),
        };
        match woken {
            Ok(_) => Ok(()),
            Err(NotifyError::NotOwner) => Err(PyAssertionError::new_err("lock is not owned")),
            Err(error) => Err(failed(error)),
        }
    }
}

#[pymethods]
impl Condition {
    #[new]
    #[pyo3(signature = (lock, *, ctx=None, _packed=None))]
    fn new(
        lock: &Bound<'_, PyAny>,
        ctx: Option<&Bound<'_, PyAny>>,
        _packed: Option<&[u8]>,
    ) -> PyResult<Self> {
        let _ = ctx;
        let either = Either::new(lock).ok_or_else(|| {
            let found = lock.get_type();
            PyTypeError::new_err(format!(
                "a condition's lock is a Lock or an RLock of shmkit, not {found}"
            ))
        })?;
        let condvar: Condvar = make_beside(_packed, Seated::new(()), &either.segment()?)?;
        Ok(Self { condvar, lock: either })
    }

    #[pyo3(signature = (block=None, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        self.lock.take(py, Wait::new(block, timeout)?)
    }

    fn release(&self) -> PyResult<()> {
        self.lock.give()
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.lock.take(py, Wait::Endless)
    }

    #[pyo3(signature = (_kind=None, _value=None, _trace=None))]
    fn __exit__(
        &self,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.lock.give()
    }

    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let (end, raised) = wait(py, timeout.into(), |patience| self.sleep(patience));
        match (end, raised) {
            // The lock is held, as after every wait.
            (_, Some(raised)) => Err(raised),
            (End::Woke(wakeup, acquired), None) => {
                self.lock.news().tell(acquired)?;
                Ok(wakeup != Wakeup::TimedOut)
            }
            (End::NotOwner, None) => {
                Err(PyAssertionError::new_err("must acquire() condition before using wait()"))
            }
            (End::Failed(error), None) => Err(failed(error)),
        }
    }

    #[pyo3(signature = (n=1))]
    fn notify(&self, n: i64) -> PyResult<()> {
        let n = u32::try_from(n).map_err(|_| PyValueError::new_err("n must not be negative"))?;
        self.wake(n)
    }

    fn notify_all(&self) -> PyResult<()> {
        self.wake(u32::MAX)
    }

    /// How many sleep.
    fn _sleepers(&self) -> u32 {
        self.condvar.waiters()
    }

    #[getter]
    fn _lock<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.lock.object(py)
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.condvar)
    }
}
