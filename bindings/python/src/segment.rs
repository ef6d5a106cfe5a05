//! `Segment`: a segment by its name, and what Rust programs have in it.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use shmkit::{Options, SegmentError};

use crate::array::Array;
use crate::errors::{not_had, texts};
use crate::map::Map;

/// A segment that processes share by its name.
#[pyclass(frozen, weakref, module = "shmkit._native")]
pub(crate) struct Segment {
    segment: shmkit::Segment,
    name: String,
}

/// With the number that the system has given, if it was the system that refused.
fn refused(error: SegmentError) -> PyErr {
    let text = texts(&error);
    match error.errno() {
        Some(errno) => PyOSError::new_err((errno, text)),
        None => PyOSError::new_err(text),
    }
}

#[pymethods]
impl Segment {
    /// Opens the segment of this name; with a size, makes it if there is none.
    #[new]
    #[pyo3(signature = (name, size=None, *, create=false))]
    fn new(py: Python<'_>, name: String, size: Option<u64>, create: bool) -> PyResult<Self> {
        let segment = py.detach(|| match size {
            None => shmkit::Segment::open(&name),
            Some(size) if create => Options::new(size).create(&name),
            Some(size) => Options::new(size).open_or_create(&name),
        });
        Ok(Self { segment: segment.map_err(refused)?, name })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.name
    }

    /// What is in it: names, and what each is.
    fn objects(&self) -> PyResult<Vec<(String, String)>> {
        let entries = self.segment.objects().map_err(not_had)?;
        let named = entries.into_iter().filter(|entry| !entry.is_unlinked);
        Ok(named.map(|entry| (entry.name, entry.shape.to_string())).collect())
    }

    /// Returns the array of this name; with a type and a length, or values, makes it if there is none.
    #[pyo3(signature = (name, dtype=None, length=None))]
    fn array(
        &self,
        py: Python<'_>,
        name: &str,
        dtype: Option<&str>,
        length: Option<usize>,
    ) -> PyResult<Array> {
        py.detach(|| Array::new(&self.segment, &self.name, name, dtype.zip(length)))
    }

    /// Returns the map of this name; with a size, makes it if there is none, of texts to bytes unless said otherwise.
    #[pyo3(signature = (name, size=None, *, keys="str", values="bytes"))]
    fn map(
        &self,
        py: Python<'_>,
        name: &str,
        size: Option<u64>,
        keys: &str,
        values: &str,
    ) -> PyResult<Map> {
        py.detach(|| Map::new(&self.segment, name, size.map(|size| (size, keys, values))))
    }

    /// Removes the object of this name, which nobody may use.
    fn remove(&self, name: &str) -> PyResult<()> {
        self.segment.remove_object(name).map_err(not_had)
    }

    fn __repr__(&self) -> String {
        format!("<Segment {:?}, {} bytes>", self.name, self.segment.len())
    }
}
