//! Which exceptions errors are.

use std::error::Error;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyKeyError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use shmkit::{ObjectError, ObjectErrorKind};

create_exception!(
    shmkit,
    OwnerDied,
    PyException,
    "A process was killed while it held the lock, which the caller holds now.\n\n\
     What the lock guards may be half-changed. Raised only by locks that were made with `owner_died=\"raise\"`; then the \
     caller holds the lock, puts things right, and releases it."
);

/// What has no such name is a `KeyError`, what is something else a `ValueError`.
pub(crate) fn not_had(error: ObjectError) -> PyErr {
    let text = texts(&error);
    match error.kind() {
        ObjectErrorKind::NotFound => PyKeyError::new_err(text),
        ObjectErrorKind::WrongShape
        | ObjectErrorKind::InvalidName
        | ObjectErrorKind::InvalidSpec
        | ObjectErrorKind::Exists => PyValueError::new_err(text),
        _ => PyOSError::new_err(text),
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
