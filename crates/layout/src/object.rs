//! Objects: what lives in a region, and how two processes agree on it.

use core::error::Error;
use core::fmt;

use bytemuck::{Pod, Zeroable};

use crate::plain::opaque;
use crate::{Names, OffsetError, Region, Schema, TypeTag};

/// The kind of an object: `mutex`, `value`, `array`, … in at most eight bytes of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(transparent)]
pub struct Kind([u8; 8]);

impl Kind {
    /// Makes a kind from its name.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than eight bytes or not ASCII: at compile time in a constant.
    pub const fn new(name: &str) -> Self {
        let name = name.as_bytes();
        assert!(!name.is_empty() && name.len() <= 8 && name.is_ascii(), "1 to 8 bytes of ASCII");
        let mut kind = [0; 8];
        let mut i = 0;
        while i < name.len() {
            kind[i] = name[i];
            i += 1;
        }
        Self(kind)
    }

    /// Returns the name; what a peer wrote that is not UTF-8 shows as `?`.
    pub fn name(&self) -> &str {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(8);
        core::str::from_utf8(&self.0[..len]).unwrap_or("?")
    }
}

/// The name in full: some are shortened to fit.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.name() {
            "bcast" => "broadcast",
            "lifo" => "LIFO queue",
            "messages" => "message queue",
            "priority" => "priority queue",
            "counting" => "counting semaphore",
            "oncecell" => "once cell",
            "remutex" => "reentrant mutex",
            "sema" => "semaphore",
            name => name,
        })
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}

/// What a directory records of an object: what it is, of which values, how many, and the bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct Shape {
    /// What it is.
    pub kind: Kind,
    /// What it holds.
    pub tag: TypeTag,
    /// How many of them: the length of an array, the capacity of a pipe, the permits of a semaphore; 1 for a value.
    pub len: u64,
    /// The bytes it takes in the region.
    pub bytes: u64,
    /// The alignment of its first byte, a power of two.
    pub align: u64,
    /// Which of its words name participants.
    pub names: Names,
}

opaque!(Shape => "shmkit.Shape/3",);

const _: () = assert!(size_of::<Shape>() == 112, "part of the segment format");

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.tag != TypeTag::NONE {
            write!(f, " of {}", self.tag)?;
        }
        if self.len != 1 { write!(f, ", length {}", self.len) } else { Ok(()) }
    }
}

/// A primitive that lives in a region: its handle is a *place* there and a *keeper* `K`.
///
/// The keeper keeps the memory mapped and this process a participant, and answers the primitive's questions about who is
/// alive: a reference to a participant, for who embeds a primitive into a mapping of their own, or an owned seat, for
/// handles that borrow nothing. The bytes in the region are the object itself.
///
/// # Safety
///
/// `KIND` and `TAG` must belong to this one layout: a directory has an object [`attach`](Self::attach)ed to bytes of
/// which it knows no more than that both agree. A handle must use the bytes only as long as it has the keeper. Every word
/// in which the object names a participant must be one of its shape's [`Names`]: the id of somebody who is dead is given
/// to somebody else when those have been swept.
pub unsafe trait Object<K>: Sized {
    /// What it is.
    const KIND: Kind;

    /// What it holds, the tag in every [`Shape`] of it: it tells a finder, who has no spec, whether to attach.
    const TAG: TypeTag;

    /// The definition of what it holds, where the tag's name does not say all: a directory keeps it, so that who was built
    /// from another one learns where the two differ.
    const SCHEMA: Option<&'static Schema> = None;

    /// What must be said to make one: a first value, a length, a capacity.
    type Spec;

    /// Returns the shape that `spec` asks for, beside a roster of so many places: some objects have a seat for each
    /// participant that there can be. [`init`](Self::init) asks its keeper how many they are.
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] if a length in it is zero or absurd.
    fn shape(spec: &Self::Spec, places: u32) -> Result<Shape, ShapeError>;

    /// Returns how many of the bytes that [`shape`](Self::shape) asks for are to be there from the beginning, the first
    /// ones; by default all; words that name participants are among them. The others are only reserved, and the object has
    /// them by its keeper's [`Commit`](crate::Commit) before it touches them: an object that may become large takes as
    /// much memory as it uses.
    fn committed(spec: &Self::Spec, shape: &Shape) -> u64 {
        let _ = spec;
        shape.bytes
    }

    /// Makes the object in `region`, which begins at the object's first byte.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the region is too small or not aligned.
    ///
    /// # Safety
    ///
    /// The bytes must be zero, and nobody else may use them until this returns. From then on they must be used as this
    /// object only, and all who use it must use keepers of one roster. They must stay mapped where they are for as long
    /// as `keeper`, or a clone of it, lives.
    unsafe fn init(region: Region<'_>, spec: Self::Spec, keeper: K) -> Result<Self, ShapeError>;

    /// Uses the object that somebody made in `region`, which begins at the object's first byte. `len` is the length
    /// in its [`Shape`]: that of an array or a pipe, the bound of a semaphore, 1 of what is one. Whoever has the spec asks
    /// [`shape`](Self::shape) for it. The keeper is `&Participant` for a mapping of one's own.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the region is too small for `len`, not aligned, or holds something that such an object
    /// cannot hold.
    ///
    /// # Safety
    ///
    /// The bytes must have been made by [`init`](Self::init) of the same type, and be used as such an object only, by
    /// all of its users with keepers of one roster. They must stay mapped where they are for as long as `keeper`, or a
    /// clone of it, lives.
    unsafe fn attach(region: Region<'_>, len: u64, keeper: K) -> Result<Self, ShapeError>;
}

/// Why a region cannot hold, or does not hold, an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// The object does not fit in the region.
    Place(OffsetError),
    /// The length is not one that such an object can have.
    Length {
        /// The length found.
        found: u64,
        /// The least that is possible.
        min: u64,
        /// The most that is possible.
        max: u64,
    },
    /// A number that the object is to begin with is above the most that it may ever have.
    Start {
        /// The first value given.
        value: u64,
        /// The most that was given.
        bound: u64,
    },
    /// A field of the object has a value that no object of this kind ever has.
    Corrupt {
        /// What the field means.
        field: &'static str,
        /// The value found.
        found: u64,
    },
}

impl ShapeError {
    /// Checks the length of an object that is one: for [`Object::attach`].
    ///
    /// # Errors
    ///
    /// [`ShapeError::Length`] if it is another.
    pub fn unless_one(len: u64) -> Result<(), Self> {
        if len == 1 { Ok(()) } else { Err(Self::Length { found: len, min: 1, max: 1 }) }
    }
}

impl From<OffsetError> for ShapeError {
    fn from(error: OffsetError) -> Self {
        Self::Place(error)
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(_) => f.write_str("the object does not fit in its region"),
            Self::Length { found, min, max } => {
                write!(f, "a length of {found} was given, where {min} to {max} are possible")
            }
            Self::Start { value, bound } => write!(
                f,
                "a first value of {value} was given, above its bound of {bound}: begin lower, or raise the bound"
            ),
            Self::Corrupt { field, found } => write!(
                f,
                "the object is corrupt: its {field} is {found:#x}, which no peer of this version writes; make the segment anew"
            ),
        }
    }
}

impl Error for ShapeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Place(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NameWords, ShmSafe};

    #[test]
    fn a_shape_says_what_it_is() {
        let array = Shape {
            kind: Kind::new("array"),
            tag: i64::TAG,
            len: 3,
            bytes: 64,
            align: 8,
            names: NameWords::NONE.alone(),
        };
        assert_eq!(array.to_string(), "array of i64 (8 bytes), length 3");
        let bell = Shape {
            kind: Kind::new("bell"),
            tag: TypeTag::NONE,
            len: 1,
            bytes: 4,
            align: 4,
            names: NameWords::NONE.alone(),
        };
        assert_eq!(bell.to_string(), "bell");
        assert_eq!(Kind::new("sema").to_string(), "semaphore", "in full");
        assert_eq!(u8::TAG.to_string(), "u8 (1 byte)");
    }
}
