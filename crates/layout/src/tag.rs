//! The names by which two processes agree on a type.

use core::fmt;

use bytemuck::{Pod, Zeroable};

use crate::ShmSafe;
use crate::plain::opaque;
use crate::schema::{Form, Schema, Text, hash_of_name, hash_of_pair};

/// Longest name that is shown in full, in bytes.
const NAME: usize = 32;

/// What two processes compare before they share a value: its name, size and alignment, and the hash of its definition.
///
/// It is stable over compilers and builds (Rust's `TypeId` is not), and part of the segment format. Of a name of more than
/// 32 bytes it has only the beginning to show; the hash tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct TypeTag {
    /// UTF-8, padded with zeros.
    name: [u8; NAME],
    /// Of the [`Schema`], or of the name where there is no type; 0 in the tag of nothing.
    hash: u64,
    /// In bytes.
    size: u32,
    /// In bytes; a power of two, or 0 where there is no type.
    align: u32,
}

impl TypeTag {
    /// The tag of nothing: for objects that hold no values.
    pub const NONE: Self = Self { name: [0; NAME], hash: 0, size: 0, align: 0 };

    /// Returns the tag of a type.
    ///
    /// # Panics
    ///
    /// If it has no name: at compile time in a constant.
    pub const fn of(schema: &Schema) -> Self {
        let mut name = Text::new();
        write(&mut name, schema);
        // No more than 4 GiB, by `Schema`.
        Self::build(name, schema.hash(), schema.size() as u32, schema.align() as u32)
    }

    /// Returns the tag for bytes of a given name, with no type behind it: what an application calls its segments.
    ///
    /// # Panics
    ///
    /// If the name is empty: at compile time in a constant.
    pub const fn named(name: &str) -> Self {
        let mut text = Text::new();
        text.push(name);
        Self::build(text, hash_of_name(name), 0, 0)
    }

    /// Returns the tag of what leads from values of one type to values of another: a map's.
    pub const fn pair(from: Self, to: Self) -> Self {
        let mut name = Text::new();
        name.push(from.text());
        name.push(" => ");
        name.push(to.text());
        Self::build(name, hash_of_pair(from.hash, to.hash), 0, 0)
    }

    /// The name, or as much of it as is UTF-8.
    const fn text(&self) -> &str {
        let mut len = 0;
        while len < NAME && self.name[len] != 0 {
            len += 1;
        }
        let (name, _) = self.name.split_at(len);
        match core::str::from_utf8(name) {
            Ok(name) => name,
            Err(_) => "?",
        }
    }

    const fn build(name: Text<NAME>, hash: u64, size: u32, align: u32) -> Self {
        assert!(!name.as_str().is_empty(), "a type tag needs a name");
        Self { name: name.shortened(), hash, size, align }
    }

    /// Returns the tag of `T`, having checked, when it is compiled, that it is of `T`'s schema, and that this is of `T`'s size
    /// and alignment: an object that is found by its tag is as large as its finder believes.
    pub const fn checked<T: ShmSafe>() -> Self {
        let (tag, schema) = (T::TAG, T::SCHEMA);
        assert!(
            tag.hash == schema.hash()
                && schema.size() == size_of::<T>()
                && schema.align() == align_of::<T>()
                && tag.size as usize == size_of::<T>()
                && tag.align as usize == align_of::<T>(),
            "this `TAG`, or the schema, is another type's: leave `TAG` out, and derive `ShmSafe`"
        );
        tag
    }

    /// Returns the name; what a peer wrote that is not UTF-8 shows as `?`.
    pub fn name(&self) -> &str {
        self.text()
    }

    /// Returns the size of one value, in bytes.
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// Returns the alignment of a value, in bytes.
    pub const fn align(&self) -> u32 {
        self.align
    }

    /// Returns what NumPy, and other programs that know memory by such names, call the type: `"f8"` for an `f64`, of this machine's
    /// byte order. `None` if it is no number that they know.
    pub fn dtype(&self) -> Option<&'static str> {
        NUMBERS.iter().find(|(tag, _)| tag == self).map(|&(_, name)| name)
    }

    /// Returns the [hash](Schema::hash) of the definition.
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}

/// The numbers that NumPy has, too.
const NUMBERS: [(TypeTag, &str); 12] = [
    (u8::TAG, "u1"),
    (u16::TAG, "u2"),
    (u32::TAG, "u4"),
    (u64::TAG, "u8"),
    (i8::TAG, "i1"),
    (i16::TAG, "i2"),
    (i32::TAG, "i4"),
    (i64::TAG, "i8"),
    (f32::TAG, "f4"),
    (f64::TAG, "f8"),
    (usize::TAG, if size_of::<usize>() == 8 { "u8" } else { "u4" }),
    (isize::TAG, if size_of::<isize>() == 8 { "i8" } else { "i4" }),
];

/// Writes the type as Rust would.
const fn write(to: &mut Text<NAME>, schema: &Schema) {
    match schema.form() {
        Form::Array { of, len } => {
            to.push("[");
            write(to, of);
            to.push("; ");
            to.number(*len);
            to.push("]");
        }
        Form::Option { of, .. } => {
            to.push("Option<");
            write(to, of);
            to.push(">");
        }
        _ => to.push(schema.name()),
    }
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

opaque!(TypeTag => "shmkit.TypeTag/2",);

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
    fn a_long_name_is_shown_in_part_and_compared_in_full() {
        const LONG: Schema = Schema::opaque::<u8>("weather.station.of.the.north.sea/1");
        const OTHER: Schema = Schema::opaque::<u8>("weather.station.of.the.north.sea/2");
        let (long, other) = (TypeTag::of(&LONG), TypeTag::of(&OTHER));
        assert_eq!(long.to_string(), "weather.station.of.the.north.… (1 byte)");
        assert_eq!(long.name(), other.name());
        assert_ne!(long, other);
        assert_ne!(TypeTag::named(LONG.name()), TypeTag::named(OTHER.name()));
    }

    #[test]
    fn types_of_one_size_differ() {
        assert_ne!(i64::TAG, u64::TAG);
        assert_ne!(f64::TAG, u64::TAG);
        assert_eq!((f64::TAG.dtype(), i16::TAG.dtype()), (Some("f8"), Some("i2")));
        assert_eq!((u128::TAG.dtype(), TypeTag::named("f64").dtype()), (None, None));
    }

    #[test]
    fn nonsense_from_a_peer_can_be_shown() {
        let tag: TypeTag = bytemuck::cast([0xff_u8; 48].map(|b| b));
        assert!(tag.to_string().starts_with('?'));
    }
}
