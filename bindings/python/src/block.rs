//! `Block`: bytes in the memory of this process, for what `ctypes` or NumPy lay over them.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use shmkit::layout::{Kind, NameWords};
use shmkit::{Judge, Object, Region, Seat, Shape, ShapeError, TypeTag};
use shmkit_roster::travel;

use crate::made::make;
use crate::travel::{Packing, pack};

/// As much as any element of an array needs, and a line of the cache for each block.
const ALIGN: u64 = 64;

/// Bytes without a lock and without a type: whoever looks at them sees what others write meanwhile.
pub(crate) struct Bytes<K: Judge = Seat> {
    at: NonNull<u8>,
    len: usize,
    /// Keeps them mapped.
    keeper: K,
}

// SAFETY: they are used by their address alone, by Python's views, which any thread may.
unsafe impl<K: Judge + Send> Send for Bytes<K> {}
// SAFETY: as above.
unsafe impl<K: Judge + Sync> Sync for Bytes<K> {}

impl<K: Judge> Bytes<K> {
    fn at(region: Region<'static>, keeper: K) -> Self {
        Self { at: region.base(), len: region.len(), keeper }
    }
}

// SAFETY: the kind is this layout's alone, which names nobody.
unsafe impl<K: Judge> Object<K> for Bytes<K> {
    const KIND: Kind = Kind::new("bytes");
    const TAG: TypeTag = TypeTag::NONE;

    /// How many.
    type Spec = u64;

    fn shape(&len: &u64, _: u32) -> Result<Shape, ShapeError> {
        let max = isize::MAX as u64;
        if len == 0 || len > max {
            return Err(ShapeError::Length { found: len, min: 1, max });
        }
        let names = NameWords::NONE.alone();
        Ok(Shape { kind: Self::KIND, tag: Self::TAG, len, bytes: len, align: ALIGN, names })
    }

    unsafe fn init(region: Region<'_>, _: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: `keeper` keeps the bytes mapped (caller), and lies beside what leads to them.
        Ok(Self::at(unsafe { region.kept() }, keeper))
    }

    unsafe fn attach(region: Region<'_>, _: u64, keeper: K) -> Result<Self, ShapeError> {
        // SAFETY: as above.
        Ok(Self::at(unsafe { region.kept() }, keeper))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        travel::serialize::<Self, S>(&self.keeper, to)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        travel::deserialize(from)
    }
}

/// Bytes that processes share; the buffer of whatever is laid over them.
#[pyclass(frozen, subclass, weakref, module = "shmkit._native")]
pub(crate) struct Block {
    bytes: Bytes,
}

#[pymethods]
impl Block {
    #[new]
    #[pyo3(signature = (size=1, _packed=None))]
    fn new(size: i64, _packed: Option<&[u8]>) -> PyResult<Self> {
        let text = || PyValueError::new_err(format!("size {size} is negative"));
        // A buffer of none is one of one: an address is needed.
        let size = u64::try_from(size).map_err(|_| text())?.max(1);
        Ok(Self { bytes: make(_packed, size)? })
    }

    fn __len__(&self) -> usize {
        self.bytes.len
    }

    /// # Safety
    ///
    /// `view` is one that Python asks to be filled.
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let bytes = &slf.get().bytes;
        let len = ffi::Py_ssize_t::try_from(bytes.len)
            .map_err(|_| PyBufferError::new_err("too long for a buffer"))?;
        let at = bytes.at.as_ptr().cast::<c_void>();
        // SAFETY: `view` is to be filled (caller); the bytes are mapped and writable as long as `slf`, which the view keeps.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), at, len, 0, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }

    fn _pack<'py>(&self, py: Python<'py>) -> PyResult<Packing<'py>> {
        pack(py, &self.bytes)
    }
}
