//! `Map`: a map that Rust programs have.

use std::time::Duration;

use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString};
use shmkit::{Item, MapError, Objects, Segment, ShmMap};

use crate::errors::{not_had, texts};

/// A map between processes, of keys and values that are texts, bytes or numbers.
#[pyclass(frozen, weakref, mapping, module = "shmkit._native")]
pub(crate) struct Map {
    map: Box<dyn Entries>,
}

/// What a key or a value can be in Python.
trait Term: Item {
    /// What it is called where a map is made.
    const NAME: &'static str;
    fn with<R>(value: &Bound<'_, PyAny>, act: impl FnOnce(&Self) -> R) -> PyResult<R>;
    fn out<'py>(value: Self::Owned, py: Python<'py>) -> Bound<'py, PyAny>;
}

impl Term for str {
    const NAME: &'static str = "str";

    fn with<R>(value: &Bound<'_, PyAny>, act: impl FnOnce(&Self) -> R) -> PyResult<R> {
        Ok(act(value.cast::<PyString>()?.to_str()?))
    }

    fn out<'py>(value: String, py: Python<'py>) -> Bound<'py, PyAny> {
        PyString::new(py, &value).into_any()
    }
}

impl Term for [u8] {
    const NAME: &'static str = "bytes";

    fn with<R>(value: &Bound<'_, PyAny>, act: impl FnOnce(&Self) -> R) -> PyResult<R> {
        Ok(act(value.cast::<PyBytes>()?.as_bytes()))
    }

    fn out<'py>(value: Vec<u8>, py: Python<'py>) -> Bound<'py, PyAny> {
        PyBytes::new(py, &value).into_any()
    }
}

macro_rules! numbers {
    ($($T:ty, $Py:ty, $name:literal;)*) => {$(
        impl Term for $T {
            const NAME: &'static str = $name;

            fn with<R>(value: &Bound<'_, PyAny>, act: impl FnOnce(&Self) -> R) -> PyResult<R> {
                Ok(act(&value.extract()?))
            }

            fn out<'py>(value: Self, py: Python<'py>) -> Bound<'py, PyAny> {
                <$Py>::new(py, value).into_any()
            }
        }
    )*};
}

numbers! { i64, PyInt, "i8"; u64, PyInt, "u8"; f64, PyFloat, "f8"; }

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// What can be asked of a map, whatever its keys and values.
trait Entries: Send + Sync {
    fn get<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>;
    fn contains(&self, key: &Bound<'_, PyAny>) -> PyResult<bool>;
    fn insert(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()>;
    fn remove<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>>;
    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Vec<Pair<'py>>>;
    fn len(&self) -> u64;
    fn clear(&self, py: Python<'_>) -> PyResult<()>;
}

fn wrong(error: MapError) -> PyErr {
    let text = texts(&error);
    match error {
        MapError::Full { .. } | MapError::TooLong => PyValueError::new_err(text),
        _ => PyRuntimeError::new_err(text),
    }
}

/// How long an operation waits for a peer, which takes microseconds unless it was stopped, before other threads run and signals are
/// served.
const WITH_THE_INTERPRETER: Duration = Duration::from_millis(5);

/// Does `act` until no peer is in the way.
fn patiently<R>(py: Python<'_>, mut act: impl FnMut() -> Result<R, MapError>) -> PyResult<R> {
    loop {
        match act() {
            Err(error) if error.is_timeout() => {
                py.check_signals()?;
                py.detach(|| std::thread::sleep(WITH_THE_INTERPRETER));
            }
            result => return result.map_err(wrong),
        }
    }
}

impl<Q: Term + ?Sized, V: Term + ?Sized> Entries for ShmMap<Q, V> {
    fn get<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let found = Q::with(key, |it| patiently(key.py(), || Self::get(self, it)))??;
        Ok(found.map(|value| V::out(value, key.py())))
    }

    fn contains(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        Q::with(key, |it| patiently(key.py(), || self.contains_key(it)))?
    }

    fn insert(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let insert = |it: &Q, what: &V| patiently(key.py(), || Self::insert(self, it, what));
        Q::with(key, |it| V::with(value, |what| insert(it, what)))??.map(drop)
    }

    fn remove<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let removed = Q::with(key, |it| patiently(key.py(), || Self::remove(self, it)))??;
        Ok(removed.map(|value| V::out(value, key.py())))
    }

    fn entries<'py>(&self, py: Python<'py>) -> PyResult<Vec<Pair<'py>>> {
        let entries = patiently(py, || Self::entries(self))?.into_iter();
        Ok(entries.map(|(key, value)| (Q::out(key, py), V::out(value, py))).collect())
    }

    fn len(&self) -> u64 {
        Self::len(self)
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        patiently(py, || Self::clear(self))
    }
}

type Make = fn(&Segment, &str, Option<u64>) -> Result<Box<dyn Entries>, shmkit::ObjectError>;

fn make<Q: Term + ?Sized + 'static, V: Term + ?Sized + 'static>(
    segment: &Segment,
    name: &str,
    size: Option<u64>,
) -> Result<Box<dyn Entries>, shmkit::ObjectError> {
    Ok(match size {
        None => Box::new(segment.find::<ShmMap<Q, V>>(name)?.time_limit(WITH_THE_INTERPRETER)),
        Some(size) => Box::new(segment.map::<Q, V>(name, size)?.time_limit(WITH_THE_INTERPRETER)),
    })
}

/// A map's keys and values, and how it is made.
macro_rules! kinds {
    ($($Q:ty: $($V:ty)*;)*) => {
        [$($((<$Q>::NAME, <$V>::NAME, make::<$Q, $V> as Make)),*),*]
    };
}

impl Map {
    /// Finds a map; with a size, and the types of keys and values, makes it if there is none.
    pub(crate) fn new(
        segment: &Segment,
        name: &str,
        spec: Option<(u64, &str, &str)>,
    ) -> PyResult<Self> {
        let kinds = kinds! {
            str: str [u8] i64 u64 f64;
            [u8]: str [u8] i64 u64 f64;
            i64: str [u8] i64 u64 f64;
            u64: str [u8] i64 u64 f64;
        };
        if let Some((size, keys, values)) = spec {
            let kind = kinds.iter().find(|kind| (kind.0, kind.1) == (keys, values));
            let &(.., make) = kind.ok_or_else(|| {
                PyValueError::new_err(format!(
                    "keys are \"str\", \"bytes\", \"i8\" or \"u8\", and values those or \"f8\", not {keys:?} and {values:?}"
                ))
            })?;
            return Ok(Self { map: make(segment, name, Some(size)).map_err(not_had)? });
        }
        let mut error = None;
        for (.., make) in kinds {
            match make(segment, name, None) {
                Ok(map) => return Ok(Self { map }),
                Err(refused) => error = Some(refused),
            }
        }
        Err(not_had(error.unwrap_or_else(|| unreachable!("there are kinds"))))
    }
}

#[pymethods]
impl Map {
    fn __len__(&self) -> usize {
        usize::try_from(self.map.len()).unwrap_or(usize::MAX)
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        match self.map.contains(key) {
            // As a dict, which has nothing of another type.
            Err(error) if error.is_instance_of::<PyTypeError>(key.py()) => Ok(false),
            other => other,
        }
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.map.get(key)?.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.map.insert(key, value)
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.map.remove(key)? {
            Some(_) => Ok(()),
            None => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.map.get(key)?.or(default))
    }

    #[pyo3(signature = (key, default=None))]
    fn pop<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let found = self.map.remove(key)?.or(default);
        found.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn items<'py>(&self, py: Python<'py>) -> PyResult<Vec<Pair<'py>>> {
        self.map.entries(py)
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        Ok(self.map.entries(py)?.into_iter().map(|(key, _)| key).collect())
    }

    fn values<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        Ok(self.map.entries(py)?.into_iter().map(|(_, value)| value).collect())
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.keys(py)?.into_pyobject(py)?.try_iter()?.into_any())
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.map.clear(py)
    }
}
