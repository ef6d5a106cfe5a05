//! `Array`: an array that Rust programs have, in place.

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use shmkit::{LockError, Objects, OwnedArrayGuard, Segment, ShmSafe};

use crate::errors::{OwnerDied, failed, not_had};
use crate::waiting::{Wait, wait};

/// An array of numbers in a segment, with its lock.
#[pyclass(frozen, weakref, module = "shmkit._native")]
pub(crate) struct Array {
    elements: Box<dyn Elements>,
    dtype: Dtype,
    at: NonNull<c_void>,
    /// In the form in which a buffer has it.
    len: [ffi::Py_ssize_t; 1],
    stride: [ffi::Py_ssize_t; 1],
    /// The lock, while Python has it.
    held: Mutex<Option<Box<dyn Send>>>,
    segment: String,
    name: String,
}

// SAFETY: the address is of shared memory that `elements` keeps mapped, and is only handed to buffers.
unsafe impl Send for Array {}
// SAFETY: as above.
unsafe impl Sync for Array {}

/// A type of numbers, as NumPy and as buffers call it.
#[derive(Clone, Copy, Debug)]
struct Dtype {
    numpy: &'static str,
    buffer: &'static CStr,
}

/// What can be asked of an array, whatever its elements.
trait Elements: Send + Sync {
    fn len(&self) -> usize;
    fn at(&self) -> NonNull<c_void>;
    /// Takes the lock: a guard, and whether somebody was killed while writing; or `None` in time.
    fn lock(&self, py: Python<'_>, how: Wait) -> PyResult<Option<(Box<dyn Send>, bool)>>;
}

/// The lock of an array that is written to through views.
struct Held<T: ShmSafe> {
    _guard: OwnedArrayGuard<T>,
}

// SAFETY: the lock is this process's, not the thread's, and so is its release; the elements are plain values (`ShmSafe: Send`). That a
// guard stays with its thread is a rule for Rust, which Python has not: whoever has the object may release it.
unsafe impl<T: ShmSafe> Send for Held<T> {}

impl<T: ShmSafe> Held<T> {
    fn new(mut guard: OwnedArrayGuard<T>) -> Self {
        // Marks the array as being written to, until the guard is dropped.
        let _: &mut [T] = &mut guard;
        Self { _guard: guard }
    }
}

impl<T: ShmSafe> Elements for shmkit::Array<T> {
    fn len(&self) -> usize {
        Self::len(self)
    }

    fn at(&self) -> NonNull<c_void> {
        self.as_ptr().cast()
    }

    fn lock(&self, py: Python<'_>, how: Wait) -> PyResult<Option<(Box<dyn Send>, bool)>> {
        let (result, raised) = wait(py, how, |patience| match self.lock_owned_deadline(patience) {
            Ok(guard) => Ok((Held::new(guard), false)),
            Err(LockError::OwnerDied(mut guard)) => {
                guard.make_consistent();
                Ok((Held::new(guard), true))
            }
            Err(error) => Err(error.failure()),
        });
        match (result, raised) {
            (_, Some(raised)) => Err(raised),
            (Ok((guard, died)), None) => Ok(Some((Box::new(guard), died))),
            (Err(Some(shmkit::LockFailure::TimedOut | shmkit::LockFailure::WouldBlock)), None) => {
                Ok(None)
            }
            (Err(Some(failure)), None) => Err(failed(failure)),
            (Err(None), None) => Err(PyRuntimeError::new_err(
                "the elements were given up by whoever was to repair them: make the array anew",
            )),
        }
    }
}

/// Makes the elements of one type, found or made.
type Make = fn(&Segment, &str, Option<usize>) -> Result<Box<dyn Elements>, shmkit::ObjectError>;

fn make<T: ShmSafe>(
    segment: &Segment,
    name: &str,
    len: Option<usize>,
) -> Result<Box<dyn Elements>, shmkit::ObjectError> {
    Ok(match len {
        None => Box::new(segment.find::<shmkit::Array<T>>(name)?),
        Some(len) => Box::new(segment.array::<T>(name, len)?),
    })
}

/// The types that NumPy has, too, and that arrays can be made of.
const TYPES: [(Dtype, usize, Make); 10] = [
    (Dtype { numpy: "u1", buffer: c"B" }, 1, make::<u8>),
    (Dtype { numpy: "u2", buffer: c"H" }, 2, make::<u16>),
    (Dtype { numpy: "u4", buffer: c"I" }, 4, make::<u32>),
    (Dtype { numpy: "u8", buffer: c"Q" }, 8, make::<u64>),
    (Dtype { numpy: "i1", buffer: c"b" }, 1, make::<i8>),
    (Dtype { numpy: "i2", buffer: c"h" }, 2, make::<i16>),
    (Dtype { numpy: "i4", buffer: c"i" }, 4, make::<i32>),
    (Dtype { numpy: "i8", buffer: c"q" }, 8, make::<i64>),
    (Dtype { numpy: "f4", buffer: c"f" }, 4, make::<f32>),
    (Dtype { numpy: "f8", buffer: c"d" }, 8, make::<f64>),
];

impl Array {
    /// Finds an array; with a type and a length, makes it if there is none.
    pub(crate) fn new(
        segment: &Segment,
        segment_name: &str,
        name: &str,
        make: Option<(&str, usize)>,
    ) -> PyResult<Self> {
        let found = segment.objects().map_err(not_had)?;
        let found = found.iter().find(|entry| entry.name == name && !entry.is_unlinked);
        let code = match (found.and_then(|entry| entry.shape.tag.dtype()), make) {
            (Some(code), None) => code,
            (_, Some((code, _))) => code,
            // Not there, or no array of numbers: the segment says so.
            (None, None) => "u1",
        };
        let known = || TYPES.map(|(dtype, ..)| dtype.numpy).join(", ");
        let kind =
            TYPES.iter().find(|(dtype, ..)| dtype.numpy == code.trim_start_matches(['<', '=']));
        let &(dtype, bytes, with) = kind.ok_or_else(|| {
            PyValueError::new_err(format!("arrays are of {}, not of {code:?}", known()))
        })?;
        let elements = with(segment, name, make.map(|(_, len)| len)).map_err(not_had)?;
        let (at, len) = (elements.at(), elements.len());
        // Elements lie in memory, of which there is less.
        let len = ffi::Py_ssize_t::try_from(len).unwrap_or(ffi::Py_ssize_t::MAX);
        Ok(Self {
            elements,
            dtype,
            at,
            len: [len],
            stride: [bytes as ffi::Py_ssize_t],
            held: Mutex::new(None),
            segment: segment_name.to_owned(),
            name: name.to_owned(),
        })
    }
}

#[pymethods]
impl Array {
    /// What NumPy calls the type of its elements.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.dtype.numpy
    }

    fn __len__(&self) -> usize {
        self.elements.len()
    }

    /// Takes its lock. Whoever is killed until `release` leaves a mark, of which the next one is told by `OwnerDied`; that one holds the
    /// lock then.
    #[pyo3(signature = (block=None, timeout=None))]
    fn acquire(
        &self,
        py: Python<'_>,
        block: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let Some((guard, died)) = self.elements.lock(py, Wait::new(block, timeout)?)? else {
            return Ok(false);
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(guard);
        match died {
            true => Err(OwnerDied::new_err(
                "a process was killed while it wrote to the array, whose lock is held by the caller now: put the elements right, and release it",
            )),
            false => Ok(true),
        }
    }

    /// Gives the lock back.
    fn release(&self) -> PyResult<()> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        held.map(drop).ok_or_else(|| PyValueError::new_err("the array's lock is not held here"))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().acquire(slf.py(), None, None)?;
        Ok(slf)
    }

    #[pyo3(signature = (_kind=None, _value=None, _trace=None))]
    fn __exit__(
        &self,
        _kind: Option<&Bound<'_, PyAny>>,
        _value: Option<&Bound<'_, PyAny>>,
        _trace: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.release()
    }

    #[getter]
    fn __array_interface__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, pyo3::types::PyDict>> {
        let interface = pyo3::types::PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("shape", (self.elements.len(),))?;
        interface.set_item("typestr", format!("<{}", self.dtype.numpy))?;
        interface.set_item("data", (self.at.addr().get(), false))?;
        Ok(interface)
    }

    #[pyo3(signature = (**options))]
    fn __dlpack__<'py>(
        slf: &Bound<'py, Self>,
        options: Option<&Bound<'py, pyo3::types::PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let view = slf.py().import("numpy")?.call_method1("asarray", (slf,))?;
        view.call_method("__dlpack__", (), options)
    }

    /// The processor's memory.
    fn __dlpack_device__(&self) -> (i32, i32) {
        (1, 0)
    }

    /// It goes to other processes by its name.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String, String))> {
        let open = py.import("shmkit")?.getattr("_open_array")?;
        Ok((open, (self.segment.clone(), self.name.clone())))
    }

    fn __repr__(&self) -> String {
        let Self { name, dtype, segment, .. } = self;
        format!(
            "<Array {name:?} of {} {} in segment {segment:?}>",
            self.elements.len(),
            dtype.numpy
        )
    }

    /// # Safety
    ///
    /// `view` is one that Python asks to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is nothing to fill"));
        }
        let array = slf.get();
        let asked = |flag: c_int| flags & flag == flag;
        let filled = ffi::Py_buffer {
            buf: array.at.as_ptr(),
            obj: slf.clone().into_ptr(),
            len: array.len[0] * array.stride[0],
            itemsize: array.stride[0],
            readonly: 0,
            ndim: 1,
            format: match asked(ffi::PyBUF_FORMAT) {
                true => array.dtype.buffer.as_ptr().cast_mut(),
                false => ptr::null_mut(),
            },
            shape: match asked(ffi::PyBUF_ND) {
                true => array.len.as_ptr().cast_mut(),
                false => ptr::null_mut(),
            },
            strides: match asked(ffi::PyBUF_STRIDES) {
                true => array.stride.as_ptr().cast_mut(),
                false => ptr::null_mut(),
            },
            suboffsets: ptr::null_mut(),
            internal: ptr::null_mut(),
        };
        // SAFETY: it is to be filled (caller). What it points to lies in `slf`, which it keeps, or is mapped as long as that lives.
        unsafe { view.write(filled) };
        Ok(())
    }
}
