//! An error that travels.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a task's error becomes on its way: its text, and those of its causes.
///
/// Any error turns into it with `?`, which copies the texts at once, so that one that borrows does as well; a lock's error is
/// [detached](shmkit_sync::LockError::detach) from its guard first. It is no [`Error`] itself, or it could not be made of all of them, and
/// turns into a boxed one.
///
/// ```
/// use shmkit_process::Failure;
///
/// fn parse(text: &str) -> Result<u8, Failure> {
///     Ok(text.parse()?)
/// }
/// assert_eq!(parse("300").unwrap_err().to_string(), "number too large to fit in target type");
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    message: String,
    causes: Vec<String>,
}

impl Failure {
    /// Makes one of a text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new() }
    }

    /// Returns the error's text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the texts of its causes, the nearest first.
    pub fn causes(&self) -> &[String] {
        &self.causes
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Self { message: error.to_string(), causes }
    }
}

impl From<Failure> for Box<dyn Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        failure.to_string().into()
    }
}

impl From<Failure> for Box<dyn Error> {
    fn from(failure: Failure) -> Self {
        failure.to_string().into()
    }
}

/// The text, and behind it those of the causes.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// As it is displayed: `main` shows an error so.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
