//! The eight bytes that say what is in a slot, and the one that says what Python makes of it.

use core::fmt;

use super::ListItem;

/// What is in a slot, in the words of Python's `struct`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Int,
    Float,
    Bool,
    None,
    /// So many bytes, the last of them NULs that are not part of the value.
    Text(u64),
}

impl Format {
    /// Most bytes of a text: seven digits and an `s`.
    pub(super) const LONGEST: u64 = 9_999_992;

    /// The format of an item in a slot of so many bytes.
    pub(super) fn of(item: &ListItem, slot: u64) -> Self {
        match item {
            ListItem::None => Self::None,
            ListItem::Bool(_) => Self::Bool,
            ListItem::Int(_) => Self::Int,
            ListItem::Float(_) => Self::Float,
            ListItem::Str(_) | ListItem::Bytes(_) => Self::Text(slot.min(Self::LONGEST)),
        }
    }

    /// How many bytes of the slot it takes.
    pub(super) fn bytes(self) -> u64 {
        match self {
            Self::Text(bytes) => bytes,
            _ => super::WORD,
        }
    }

    /// Reads what somebody has written.
    pub(super) fn parse(word: u64) -> Option<Self> {
        let bytes = word.to_ne_bytes();
        let len = bytes.iter().rposition(|&byte| byte != 0)? + 1;
        match &bytes[..len] {
            b"q" => Some(Self::Int),
            b"d" => Some(Self::Float),
            b"xxxxxxx?" => Some(Self::Bool),
            b"xxxxxx?x" => Some(Self::None),
            [digits @ .., b's'] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                // At most seven digits.
                let number = digits.iter().fold(0, |n, digit| 10 * n + u64::from(digit - b'0'));
                Some(Self::Text(number))
            }
            _ => None,
        }
    }

    /// The word that says it.
    pub(super) fn word(self) -> u64 {
        let mut bytes = [0; 8];
        // Seven digits and an `s` at most.
        let text = self.to_string();
        bytes.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
        u64::from_ne_bytes(bytes)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str("q"),
            Self::Float => f.write_str("d"),
            Self::Bool => f.write_str("xxxxxxx?"),
            Self::None => f.write_str("xxxxxx?x"),
            Self::Text(bytes) => write!(f, "{bytes}s"),
        }
    }
}

/// What Python makes of what its `struct` has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Code {
    Number = 0,
    Str = 1,
    Bytes = 2,
    None = 3,
}

impl Code {
    pub(super) fn of(item: &ListItem) -> Self {
        match item {
            ListItem::Bool(_) | ListItem::Int(_) | ListItem::Float(_) => Self::Number,
            ListItem::Str(_) => Self::Str,
            ListItem::Bytes(_) => Self::Bytes,
            ListItem::None => Self::None,
        }
    }
}
