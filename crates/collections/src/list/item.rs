//! What the items of a list can be.

use core::error::Error;
use core::fmt;

/// An item of a [`ShareableList`](super::ShareableList): what Python calls `None`, `bool`, `int`, `float`, `str` and `bytes`.
///
/// Closed: Python's lists have no other types.
#[derive(Clone, Debug, PartialEq)]
pub enum ListItem {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// An integer of 64 bits, as in Python's lists, too.
    Int(i64),
    /// A number of 64 bits.
    Float(f64),
    /// A text.
    Str(String),
    /// Any bytes.
    Bytes(Vec<u8>),
}

impl ListItem {
    /// The bytes of what has any number of them.
    pub(super) fn text(&self) -> &[u8] {
        match self {
            Self::Str(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

macro_rules! from {
    ($($Type:ty => $make:expr;)*) => {$(
        impl From<$Type> for ListItem {
            fn from(value: $Type) -> Self {
                $make(value)
            }
        }
    )*};
}

from! {
    () => |()| Self::None;
    bool => Self::Bool;
    i32 => |value| Self::Int(i64::from(value));
    u32 => |value| Self::Int(i64::from(value));
    i64 => Self::Int;
    f64 => Self::Float;
    &str => |text| Self::Str(str::to_owned(text));
    String => Self::Str;
    &[u8] => |bytes| Self::Bytes(<[u8]>::to_vec(bytes));
    Vec<u8> => Self::Bytes;
}

impl<const N: usize> From<&[u8; N]> for ListItem {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<ListItem>> From<Option<T>> for ListItem {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, T::into)
    }
}

impl TryFrom<u64> for ListItem {
    type Error = IntTooWide;

    fn try_from(value: u64) -> Result<Self, IntTooWide> {
        i128::from(value).try_into()
    }
}

impl TryFrom<i128> for ListItem {
    type Error = IntTooWide;

    fn try_from(value: i128) -> Result<Self, IntTooWide> {
        i64::try_from(value).map(Self::Int).map_err(|_| IntTooWide(value))
    }
}

/// An integer has more than 64 bits with its sign, which no list has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntTooWide(pub i128);

impl fmt::Display for IntTooWide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not fit in the 64 bits of a list's integer: use its text", self.0)
    }
}

impl Error for IntTooWide {}
