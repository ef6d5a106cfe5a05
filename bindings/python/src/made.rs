//! What all classes share: how objects are made and found, and which exceptions their errors are.

use std::error::Error;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyRuntimeError};
use pyo3::prelude::*;
use shmkit::segment::arena::{self, ArenaError};
use shmkit::{Object, ObjectErrorKind, Seat, Segment};

use crate::travel;

create_exception!(
    shmkit,
    OwnerDied,
    PyException,
    "A process was killed while it held the lock, which the caller holds now.\n\n\
     What the lock guards may be half-changed. Raised only by locks that were made with `owner_died=\"raise\"`; then the \
     caller holds the lock, puts things right, and releases it."
);

/// Makes an object in the memory of this process; or finds the one that was packed.
pub(crate) fn make<O>(packed: Option<&[u8]>, spec: O::Spec) -> PyResult<O>
where
    O: Object<Seat, Spec: Clone> + serde::de::DeserializeOwned,
{
    if let Some(packed) = packed {
        return travel::unpack(packed);
    }
    let is_full = |kind| matches!(kind, ObjectErrorKind::NoRoom | ObjectErrorKind::Full);
    match arena::make(spec.clone()) {
        // A queue has addresses for all that may ever lie in it.
        Err(ArenaError::Object(error)) if is_full(error.kind()) => {
            arena::retire();
            arena::make(spec).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

/// The same, in the segment where another object lies, as what belongs together must.
pub(crate) fn make_beside<O>(packed: Option<&[u8]>, spec: O::Spec, segment: &Segment) -> PyResult<O>
where
    O: Object<Seat> + serde::de::DeserializeOwned,
{
    match packed {
        Some(packed) => travel::unpack(packed),
        None => arena::make_in(segment, spec).map_err(failed),
    }
}

/// An error that a program cannot expect: its text and those of its causes.
pub(crate) fn failed(error: impl Error) -> PyErr {
    PyRuntimeError::new_err(texts(&error))
}

/// The text of an error and those of its causes.
pub(crate) fn texts(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
