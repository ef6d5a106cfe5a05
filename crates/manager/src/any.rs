//! A value of any of the usual kinds.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

mod text;

/// How deep lists and maps may lie in each other when they come from elsewhere.
const DEPTH: u32 = 128;

/// A value of any of the usual kinds, as Python's are: where keys or values are mixed.
///
/// It is ordered: first by kind, as they stand here, then by value; of floats, as `total_cmp` does. 1, 1.0 and `true` are three
/// values. Displayed, it is as Python shows it.
///
/// ```
/// use shmkit_manager::Any;
///
/// let all = Any::List(vec![Any::Null, 1.into(), 0.25.into(), "it's".into(), vec![true, false].into()]);
/// assert_eq!(all.to_string(), r#"[None, 1, 0.25, "it's", [True, False]]"#);
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Any {
    /// Python's `None`.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in a row.
    List(#[serde(deserialize_with = "deeper")] Vec<Any>),
    /// Keys and their values, in the order in which they were put in.
    Map(#[serde(deserialize_with = "deeper")] Vec<(Any, Any)>),
}

/// Bytes from elsewhere may say that there is a list in a list in a list, further than a stack goes.
fn deeper<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    thread_local! {
        static DEEP: Cell<u32> = const { Cell::new(0) };
    }
    /// Comes up again, after an error, too.
    struct Up;
    impl Drop for Up {
        fn drop(&mut self) {
            DEEP.set(DEEP.get() - 1);
        }
    }
    DEEP.set(DEEP.get() + 1);
    let _up = Up;
    if DEEP.get() > DEPTH {
        return Err(D::Error::custom("lists lie too deep in each other"));
    }
    T::deserialize(deserializer)
}

impl Any {
    /// Its kind, in the order of the kinds.
    fn kind(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Float(_) => 3,
            Self::Str(_) => 4,
            Self::Bytes(_) => 5,
            Self::List(_) => 6,
            Self::Map(_) => 7,
        }
    }
}

impl Ord for Any {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Str(a), Self::Str(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::List(a), Self::List(b)) => a.cmp(b),
            (Self::Map(a), Self::Map(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for Any {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Any {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Any {}

impl Hash for Any {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind().hash(state);
        match self {
            Self::Null => {}
            Self::Bool(it) => it.hash(state),
            Self::Int(it) => it.hash(state),
            Self::Float(it) => it.to_bits().hash(state),
            Self::Str(it) => it.hash(state),
            Self::Bytes(it) => it.hash(state),
            Self::List(it) => it.hash(state),
            Self::Map(it) => it.hash(state),
        }
    }
}

macro_rules! made_of {
    ($($type:ty => |$it:ident| $any:expr;)*) => {$(
        impl From<$type> for Any {
            fn from($it: $type) -> Self {
                $any
            }
        }
    )*};
}

made_of! {
    () => |_it| Self::Null;
    bool => |it| Self::Bool(it);
    i8 => |it| Self::Int(it.into());
    i16 => |it| Self::Int(it.into());
    i32 => |it| Self::Int(it.into());
    i64 => |it| Self::Int(it);
    u8 => |it| Self::Int(it.into());
    u16 => |it| Self::Int(it.into());
    u32 => |it| Self::Int(it.into());
    f32 => |it| Self::Float(it.into());
    f64 => |it| Self::Float(it);
    &str => |it| Self::Str(it.into());
    String => |it| Self::Str(it);
    &[u8] => |it| Self::Bytes(it.into());
}

impl<T: Into<Self>> From<Vec<T>> for Any {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Any {
    fn from(item: Option<T>) -> Self {
        item.map_or(Self::Null, Into::into)
    }
}

/// As Python's `repr`.
impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_python_shows_them() {
        let cases: [(Any, &str); 17] = [
            (Any::Null, "None"),
            (true.into(), "True"),
            ((-7).into(), "-7"),
            (0.25.into(), "0.25"),
            (1.0.into(), "1.0"),
            (1e16.into(), "1e+16"),
            (123_456_789_012_345.0.into(), "123456789012345.0"),
            (1e-5.into(), "1e-05"),
            (0.0001.into(), "0.0001"),
            (f64::NAN.into(), "nan"),
            (f64::NEG_INFINITY.into(), "-inf"),
            ("1".into(), "'1'"),
            ("it's\n".into(), r#""it's\n""#),
            ("'\"\\".into(), r#"'\'"\\'"#),
            (b"a'\0".as_slice().into(), r#"b"a'\x00""#),
            (vec![1, 2].into(), "[1, 2]"),
            (
                Any::Map(vec![(1.into(), "1".into()), (0.25.into(), Any::Null)]),
                "{1: '1', 0.25: None}",
            ),
        ];
        for (value, text) in cases {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn kinds_are_ordered_and_a_list_too_deep_is_refused() {
        let mut all: Vec<Any> = vec!["a".into(), 0.5.into(), Any::Null, 3.into(), false.into()];
        all.sort();
        assert_eq!(Any::List(all).to_string(), "[None, False, 3, 0.5, 'a']");
        let nested = |deep: usize| [[6, 1].repeat(deep), vec![0]].concat();
        let take = |bytes: Vec<u8>| {
            shmkit_parcel::Parcel::from_parts(bytes, Vec::new()).take::<Any>().map(|_| ())
        };
        assert!(take(nested(100)).is_ok());
        assert!(take(nested(200)).is_err());
        assert!(take(nested(5_000_000)).is_err());
    }
}
