//! `Guarded`: a ctypes object with the lock beside it, whose value is read and written without a call of Python's.

use std::ptr::NonNull;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use pyo3::{BoundObject, ffi, intern};

use crate::condition::Either;
use crate::waiting::Wait;

/// A ctypes object and its lock.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Guarded {
    object: Py<PyAny>,
    lock: Any,
    /// Where its value lies, if that is a number.
    number: Option<Number>,
}

/// Ours, or whatever has `acquire` and `release`.
enum Any {
    Ours(Either),
    Other(Py<PyAny>),
}

/// A number in memory that `object` keeps.
struct Number {
    at: NonNull<u8>,
    code: Code,
}

// SAFETY: an address of shared memory, which any thread may use: what is there is read and written as a whole.
unsafe impl Send for Number {}
// SAFETY: as above.
unsafe impl Sync for Number {}

/// The type of a number, by what `struct` calls it.
#[derive(Clone, Copy, Debug)]
enum Code {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Code {
    /// Of what `ctypes` calls a type, on a machine of 64 bits.
    fn new(code: &str) -> Option<Self> {
        Some(match code {
            "b" => Self::I8,
            "B" => Self::U8,
            "h" => Self::I16,
            "H" => Self::U16,
            "i" => Self::I32,
            "I" => Self::U32,
            "l" | "q" => Self::I64,
            "L" | "Q" => Self::U64,
            "f" => Self::F32,
            "d" => Self::F64,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

impl Number {
    /// One load: never half of what another process writes.
    fn load<T>(&self) -> T {
        // SAFETY: the object keeps the bytes mapped, the address is aligned for the type (`new`), and any bytes are a number.
        unsafe { self.at.cast::<T>().as_ptr().read_volatile() }
    }

    /// One store: who is killed has written all of it or nothing.
    fn store<T>(&self, value: T) {
        // SAFETY: as in `load`.
        unsafe { self.at.cast::<T>().as_ptr().write_volatile(value) };
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        fn any<'py, N>(py: Python<'py>, number: N) -> PyResult<Bound<'py, PyAny>>
        where
            N: IntoPyObject<'py>,
            PyErr: From<N::Error>,
        {
            Ok(number.into_pyobject(py)?.into_any().into_bound())
        }
        match self.code {
            Code::I8 => any(py, self.load::<i8>()),
            Code::U8 => any(py, self.load::<u8>()),
            Code::I16 => any(py, self.load::<i16>()),
            Code::U16 => any(py, self.load::<u16>()),
            Code::I32 => any(py, self.load::<i32>()),
            Code::U32 => any(py, self.load::<u32>()),
            Code::I64 => any(py, self.load::<i64>()),
            Code::U64 => any(py, self.load::<u64>()),
            Code::F32 => any(py, self.load::<f32>()),
            Code::F64 => any(py, self.load::<f64>()),
        }
    }

    /// Writes what is a number beyond doubt, and returns whether it was.
    fn write(&self, value: &Bound<'_, PyAny>) -> bool {
        match self.code {
            Code::F32 | Code::F64 => {
                let Ok(value) = value.cast_exact::<PyFloat>().map(PyFloatMethods::value) else {
                    return false;
                };
                match self.code {
                    Code::F32 => self.store(value as f32),
                    _ => self.store(value),
                }
            }
            _ => {
                if !value.is_exact_instance_of::<PyInt>() {
                    return false;
                }
                // SAFETY: it is an int, of which these are the lowest bits: as ctypes does, without an error.
                let bits = unsafe { ffi::PyLong_AsUnsignedLongLongMask(value.as_ptr()) };
                match self.code.bytes() {
                    1 => self.store(bits as u8),
                    2 => self.store(bits as u16),
                    4 => self.store(bits as u32),
                    _ => self.store(bits),
                }
            }
        }
        true
    }
}

impl Guarded {
    fn take(&self, py: Python<'_>, how: Wait) -> PyResult<bool> {
        match &self.lock {
            Any::Ours(lock) => lock.take(py, how),
            Any::Other(lock) => lock.call_method0(py, intern!(py, "acquire"))?.is_truthy(py),
        }
    }

    fn give(&self, py: Python<'_>) -> PyResult<()> {
        match &self.lock {
            Any::Ours(lock) => lock.give(),
            Any::Other(lock) => lock.call_method0(py, intern!(py, "release")).map(drop),
        }
    }

    /// Runs `act` under the lock.
    fn locked<R>(&self, py: Python<'_>, act: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
        self.take(py, Wait::Endless)?;
        let result = act();
        self.give(py)?;
        result
    }

    fn read<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.number {
            Some(number) => number.read(py),
            None => self.object.bind(py).getattr(intern!(py, "value")),
        }
    }

    fn write(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match &self.number {
            Some(number) if number.write(value) => Ok(()),
            _ => self.object.bind(value.py()).setattr(intern!(value.py(), "value"), value),
        }
    }
}

#[pymethods]
impl Guarded {
    /// `code` and `address`: what `ctypes` calls the object's type, if that is a simple one, and where it lies.
    #[new]
    #[pyo3(signature = (object, lock, code=None, address=0))]
    fn new(
        object: Py<PyAny>,
        lock: &Bound<'_, PyAny>,
        code: Option<&str>,
        address: usize,
    ) -> PyResult<Self> {
        let number = match code.and_then(Code::new) {
            Some(code) => {
                let at = NonNull::new(address as *mut u8);
                let at = at.filter(|at| at.addr().get() % code.bytes() == 0);
                let at = at.ok_or_else(|| PyValueError::new_err("no address of such a number"))?;
                Some(Number { at, code })
            }
            None => None,
        };
        let lock = match Either::new(lock) {
            Some(ours) => Any::Ours(ours),
            None => Any::Other(lock.clone().unbind()),
        };
        Ok(Self { object, lock, number })
    }

    fn __enter__(&self, py: Python<'_>) -> PyResult<bool> {
        self.take(py, Wait::Endless)
    }

    #[pyo3(signature = (_kind=None, _value=None, _trace=None))]
    fn __exit__(
        &self,
        py: Python<'_>,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.give(py)
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.locked(py, || self.read(py))
    }

    #[setter]
    fn set_value(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.locked(py, || self.write(value))
    }

    /// Replaces the value by what `change` makes of it, in one step for everybody else; returns the new one.
    fn update<'py>(&self, change: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = change.py();
        self.locked(py, || {
            let value = change.call1((self.read(py)?,))?;
            self.write(&value)?;
            Ok(value)
        })
    }

    fn get_obj(&self) -> &Py<PyAny> {
        &self.object
    }

    fn get_lock<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match &self.lock {
            Any::Ours(lock) => lock.object(py),
            Any::Other(lock) => lock.bind(py).clone(),
        }
    }
}
