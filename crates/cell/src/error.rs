//! What can go wrong with a cell.

use core::error::Error;
use core::fmt;

use shmkit_sync::{LockError, LockFailure};

/// There is no such element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The index asked for.
    pub index: usize,
    /// How many elements there are.
    pub len: usize,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "index {} is out of range for an array of length {}", self.index, self.len)
    }
}

impl Error for OutOfRange {}

/// Why an operation on an [`Array`](crate::Array) did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArrayError {
    /// There is no such element.
    OutOfRange(OutOfRange),
    /// There is no such range.
    NoSuchRange {
        /// First element of the range.
        start: usize,
        /// One past its last element.
        end: usize,
        /// How many elements the array has.
        len: usize,
    },
    /// The values given are not as many as the elements they are for.
    Count {
        /// How many values were given.
        given: usize,
        /// How many elements the range has.
        expected: usize,
    },
    /// A step of zero never gets to the end.
    ZeroStep,
    /// A shape has more or fewer elements than there are, or leads outside of them.
    Shape {
        /// How many elements there are.
        len: usize,
    },
    /// A writer was killed in the middle of a bulk write, and nobody has answered for the elements since.
    OwnerDied,
    /// A writer panicked in the middle of a bulk write, and nobody has answered for the elements since.
    Poisoned,
    /// The lock was not taken.
    Failed(LockFailure),
}

impl From<OutOfRange> for ArrayError {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

impl From<LockFailure> for ArrayError {
    fn from(error: LockFailure) -> Self {
        Self::Failed(error)
    }
}

impl<G> From<LockError<G>> for ArrayError {
    /// Forgets the guard, which releases the lock.
    fn from(error: LockError<G>) -> Self {
        match error {
            LockError::Failed(failure) => Self::Failed(failure),
            LockError::Poisoned(_) => Self::Poisoned,
            _ => Self::OwnerDied,
        }
    }
}

impl fmt::Display for ArrayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REPAIR: &str =
            "lock it, repair its elements, then call `make_consistent` on the guard";
        match self {
            Self::OutOfRange(error) => error.fmt(f),
            Self::NoSuchRange { start, end, len } if start > end => {
                write!(
                    f,
                    "the range {start}..{end} of an array of length {len} ends before it begins"
                )
            }
            Self::NoSuchRange { start, end, len } => {
                write!(f, "the range {start}..{end} is out of range for an array of length {len}")
            }
            Self::Count { given, expected } => {
                write!(f, "{given} values were given for {expected} elements; give as many")
            }
            Self::ZeroStep => f.write_str("a step of 0 was given, where 1 is the least"),
            Self::Shape { len } => {
                write!(
                    f,
                    "the shape is none of {len} elements; give one that has each of them once"
                )
            }
            Self::OwnerDied => {
                write!(f, "a process was killed in the middle of a write to the array; {REPAIR}")
            }
            Self::Poisoned => {
                write!(f, "a thread panicked in the middle of a write to the array; {REPAIR}")
            }
            Self::Failed(_) => f.write_str("the array's lock was not taken"),
        }
    }
}

impl Error for ArrayError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Why a converted number was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetError<C, E = LockFailure> {
    /// The number does not fit in the cell's type. It was not wrapped, nothing was stored.
    Conversion(C),
    /// It fits, but could not be stored.
    Failed(E),
}

impl<C, E> fmt::Display for SetError<C, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Conversion(_) => "the number does not fit in the cell's type; nothing was stored",
            Self::Failed(_) => "the number was not stored",
        })
    }
}

impl<C: Error + 'static, E: Error + 'static> Error for SetError<C, E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Conversion(error) => Some(error),
            Self::Failed(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_found_and_what_is_possible() {
        let error = ArrayError::from(OutOfRange { index: 5, len: 5 });
        assert_eq!(error.to_string(), "index 5 is out of range for an array of length 5");
        let error = ArrayError::NoSuchRange { start: 2, end: 9, len: 5 };
        assert_eq!(error.to_string(), "the range 2..9 is out of range for an array of length 5");
        let error = ArrayError::NoSuchRange { start: 3, end: 2, len: 5 };
        assert!(error.to_string().contains("ends before it begins"));
        let error = ArrayError::Count { given: 3, expected: 4 };
        assert_eq!(error.to_string(), "3 values were given for 4 elements; give as many");
    }
}
