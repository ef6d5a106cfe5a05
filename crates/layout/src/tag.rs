//! Plain values, and the names by which two processes agree on their type.

use core::fmt;

use bytemuck::{Pod, Zeroable};

/// Longest type name, in bytes.
const NAME: usize = 40;

/// What two processes compare before they share a value: its name, size and alignment.
///
/// It is stable over compilers and builds (Rust's `TypeId` is not), and part of the segment format.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct TypeTag {
    /// UTF-8, padded with zeros.
    name: [u8; NAME],
    /// In bytes.
    size: u32,
    /// In bytes; a power of two, or 0 in the tag of nothing.
    align: u32,
}

impl TypeTag {
    /// The tag of nothing: for objects that hold no values.
    pub const NONE: Self = Self { name: [0; NAME], size: 0, align: 0 };

    /// Returns the tag of `T` under a name that stands for this layout and this meaning for ever: when the type
    /// changes, change the name (`"tour.Chunk/2"`).
    ///
    /// # Panics
    ///
    /// If the name is empty or has more than 40 bytes: at compile time in a constant.
    pub const fn of<T: Pod>(name: &str) -> Self {
        assert!(size_of::<T>() <= u32::MAX as usize, "a type of more than 4 GiB");
        Self::build(name.as_bytes(), b"", 0, size_of::<T>() as u32, align_of::<T>() as u32)
    }

    /// Returns the tag for bytes of a given name, with no type behind it: what an application calls its segments.
    ///
    /// # Panics
    ///
    /// If the name is empty or has more than 40 bytes: at compile time in a constant.
    pub const fn named(name: &str) -> Self {
        Self::build(name.as_bytes(), b"", 0, 0, 0)
    }

    /// Returns the tag of an array of `count` values with this tag.
    const fn array(self, count: usize, size: usize) -> Self {
        let mut len = 0;
        while len < NAME && self.name[len] != 0 {
            len += 1;
        }
        let (name, _) = self.name.split_at(len);
        assert!(size <= u32::MAX as usize, "a type of more than 4 GiB");
        Self::build(b"[", name, count, size as u32, self.align)
    }

    /// Builds `first`, or `[second; count]` if there is a second.
    const fn build(first: &[u8], second: &[u8], count: usize, size: u32, align: u32) -> Self {
        let mut name = [0; NAME];
        let mut len = append(&mut name, 0, first);
        if !second.is_empty() {
            len = append(&mut name, len, second);
            len = append(&mut name, len, b"; ");
            let mut digits = [0; 20];
            let mut at = digits.len();
            let mut rest = count;
            loop {
                at -= 1;
                digits[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
            let (_, digits) = digits.split_at(at);
            len = append(&mut name, len, digits);
            len = append(&mut name, len, b"]");
        }
        assert!(len > 0, "a type tag needs a name");
        Self { name, size, align }
    }

    /// Returns the tag of `T`, having checked, when it is compiled, that it says `T`'s size and alignment: an object that is
    /// found by its tag is as large as its finder believes.
    pub const fn checked<T: ShmSafe>() -> Self {
        let tag = T::TAG;
        assert!(
            tag.size as usize == size_of::<T>() && tag.align as usize == align_of::<T>(),
            "this `TAG` is another type's: give it `TypeTag::of::<Self>(name)`"
        );
        tag
    }

    /// Returns the name; what a peer wrote that is not UTF-8 shows as `?`.
    pub fn name(&self) -> &str {
        let len = self.name.iter().position(|&b| b == 0).unwrap_or(NAME);
        core::str::from_utf8(&self.name[..len]).unwrap_or("?")
    }

    /// Returns the size of one value, in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Returns the alignment of a value, in bytes.
    pub const fn align(&self) -> u32 {
        self.align
    }
}

const fn append(to: &mut [u8; NAME], mut len: usize, bytes: &[u8]) -> usize {
    let mut i = 0;
    while i < bytes.len() {
        assert!(len < NAME, "a type's name has at most 40 bytes");
        to[len] = bytes[i];
        len += 1;
        i += 1;
    }
    len
}

impl fmt::Display for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.size) {
            ("", _) => f.write_str("nothing"),
            (name, 0) => f.write_str(name),
            (name, 1) => write!(f, "{name} (1 byte)"),
            (name, size) => write!(f, "{name} ({size} bytes)"),
        }
    }
}

impl fmt::Debug for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TypeTag({self})")
    }
}

/// Values that may be copied into and out of shared memory.
///
/// [`Pod`] proves what memory needs: no padding, no pointers, and every bit pattern is a value, so that
/// whatever a peer wrote is a `T`. That is why this trait is safe to implement. The tag is what makes the value
/// *right*: two types of one tag are taken for one another. One that says another size or alignment than the type has is an
/// error where the type is used:
///
/// ```compile_fail
/// use shmkit_layout::{ShmSafe, TypeTag};
///
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// # #[bytemuck(crate = "bytemuck")]
/// #[repr(transparent)]
/// struct Small(u32);
///
/// impl ShmSafe for Small {
///     const TAG: TypeTag = u64::TAG;
/// }
///
/// const TAG: TypeTag = TypeTag::checked::<Small>();
/// ```
///
/// ```
/// use bytemuck::{Pod, Zeroable};
/// use shmkit_layout::{ShmSafe, TypeTag};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// # #[bytemuck(crate = "bytemuck")]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// impl ShmSafe for Point {
///     const TAG: TypeTag = TypeTag::of::<Self>("geometry.Point/1");
/// }
/// ```
///
/// A reference, a `bool`, a `char` or an enum is refused by the compiler, because it is not `Pod`:
///
/// ```compile_fail
/// use shmkit_layout::{ShmSafe, TypeTag};
///
/// impl ShmSafe for &'static str {
///     const TAG: TypeTag = TypeTag::named("text");
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not lie in shared memory",
    label = "not `ShmSafe`",
    note = "numbers, arrays of them, and `repr(C)` structs that derive `Pod` may: no pointer, reference, `bool`, `char` or enum",
    note = "for a struct of yours: `unsafe impl`s come from `#[derive(Pod, Zeroable)]`, then `impl ShmSafe` with a `TAG`"
)]
pub trait ShmSafe: Pod + Send + Sync {
    /// Names the type to other processes.
    const TAG: TypeTag;
}

macro_rules! primitives {
    ($($primitive:ident)*) => {$(
        impl ShmSafe for $primitive {
            const TAG: TypeTag = TypeTag::of::<$primitive>(stringify!($primitive));
        }
    )*};
}

primitives!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {
    const TAG: TypeTag = T::TAG.array(N, size_of::<Self>());
}

impl ShmSafe for TypeTag {
    const TAG: TypeTag = TypeTag::of::<Self>("shmkit.TypeTag/1");
}

const _: () = assert!(size_of::<TypeTag>() == 48, "part of the segment format");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_the_type_and_its_size() {
        assert_eq!(i64::TAG.to_string(), "i64 (8 bytes)");
        assert_eq!(<[u16; 12]>::TAG.to_string(), "[u16; 12] (24 bytes)");
        assert_eq!(<[[u8; 3]; 2]>::TAG.to_string(), "[[u8; 3]; 2] (6 bytes)");
        assert_eq!(TypeTag::NONE.to_string(), "nothing");
        assert_eq!(TypeTag::named("my.app").to_string(), "my.app");
    }

    #[test]
    fn types_of_one_size_differ() {
        assert_ne!(i64::TAG, u64::TAG);
        assert_ne!(f64::TAG, u64::TAG);
    }

    #[test]
    fn nonsense_from_a_peer_can_be_shown() {
        let tag: TypeTag = bytemuck::cast([0xff_u8; 48].map(|b| b));
        assert!(tag.to_string().starts_with('?'));
    }
}
