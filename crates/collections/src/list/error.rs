//! Why an operation on a list did nothing.

use core::error::Error;
use core::fmt;

use shmkit_layout::OffsetError;

/// Why an operation on a [`ShareableList`](super::ShareableList) did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// There is no such item.
    OutOfRange {
        /// What was asked for.
        index: i64,
        /// How many items there are.
        len: u64,
    },
    /// The value has more bytes than its slot, or than any.
    TooLong {
        /// Which item.
        index: u64,
        /// The value's bytes.
        bytes: u64,
        /// The slot's.
        room: u64,
    },
    /// The value ends with a NUL, without which it would be read.
    TrailingNul {
        /// Which item.
        index: u64,
    },
    /// Somebody writes the item at this moment, or was killed while it did.
    Unfinished {
        /// Which item.
        index: u64,
    },
    /// The item is a `str`, and its bytes are no UTF-8: CPython cuts texts off that are not ASCII.
    NotText {
        /// Which item.
        index: u64,
    },
    /// The region is too short for the list, in bytes.
    TooShort {
        /// What it has.
        found: u64,
        /// What it would take.
        needed: u64,
    },
    /// The region does not begin at a multiple of 8 bytes.
    Misaligned,
    /// The bytes are no list that Python or this crate writes.
    Corrupt {
        /// What is wrong.
        field: &'static str,
        /// Of which item; 0 if it is about all.
        index: u64,
        /// What was found there.
        found: u64,
    },
}

/// All places of a list were checked against the region when it was opened, so what is left is its base.
impl From<OffsetError> for ListError {
    fn from(error: OffsetError) -> Self {
        match error {
            OffsetError::OutOfBounds { end, len } => Self::TooShort { found: len, needed: end },
            _ => Self::Misaligned,
        }
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { index, len } => {
                write!(
                    f,
                    "there is no item {index} in a list of {len}: ask for one from -{len} on, below {len}"
                )
            }
            Self::TooLong { index, bytes, room } => write!(
                f,
                "item {index} is to have {bytes} bytes, and its slot has {room}: shorten it, or make the list with a longer one there"
            ),
            Self::TrailingNul { index } => write!(
                f,
                "item {index} is to end with a NUL, without which it would be read: end it with something else"
            ),
            Self::Unfinished { index } => write!(
                f,
                "item {index} is being written, or who wrote it was killed: look again, or write it anew"
            ),
            Self::NotText { index } => write!(
                f,
                "item {index} is a str, and its bytes are no UTF-8, as CPython leaves them when it cuts a str off: write it anew"
            ),
            Self::TooShort { found, needed } => {
                write!(
                    f,
                    "there are {found} bytes, where the list takes {needed}: make it in more of them"
                )
            }
            Self::Misaligned => {
                f.write_str("the list does not begin at a multiple of 8 bytes: let it begin there")
            }
            Self::Corrupt { field, index, found } => write!(
                f,
                "this is no list: the {field} of item {index} is {found}, which neither Python nor this version writes; make it anew"
            ),
        }
    }
}

impl Error for ListError {}
