//! Schemas: what the bytes of a type mean, so that two processes that were built apart can agree on it.
//!
//! A [`Schema`] is a constant of the program. The hash in it is what a [`TypeTag`](crate::TypeTag) carries, and so what two
//! processes compare. Its [encoding](Schema::encode) lies in the segment, once for each type, so that who was built from
//! another definition can be told in which field the two differ: see [`Definition`].

mod definition;
mod difference;
mod encode;

use core::fmt;

pub use self::definition::{Definition, DefinitionError};
pub use self::difference::Difference;
pub(crate) use self::encode::{hash_of_name, hash_of_pair};

/// What the bytes of a type mean: its name, size and alignment, and what it consists of.
///
/// `#[derive(ShmSafe)]` makes one.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    name: &'static str,
    /// In bytes.
    size: usize,
    /// In bytes.
    align: usize,
    form: Form,
    /// Of all that is above, and of the hashes of the parts.
    hash: u64,
}

/// What a type consists of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Bytes that are a value whatever they are: a number, or what only its name tells about.
    Plain,
    /// Bytes without a meaning.
    Padding,
    /// One byte, 0 or 1.
    Bool,
    /// A code point.
    Char,
    /// A number that is not 0.
    NonZero,
    Array {
        of: &'static Schema,
        len: usize,
    },
    Struct(&'static [Field]),
    Enum(&'static [Variant]),
    /// What it is, or the bits `none`.
    Option {
        of: &'static Schema,
        none: u128,
    },
}

/// A field of a struct.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub(crate) name: &'static str,
    /// In bytes from the first of the struct.
    pub(crate) offset: usize,
    pub(crate) schema: &'static Schema,
}

impl Field {
    /// A field at a byte of its struct.
    pub const fn new(name: &'static str, offset: usize, schema: &'static Schema) -> Self {
        Self { name, offset, schema }
    }
}

/// A variant of an enum without fields.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub(crate) name: &'static str,
    /// Its discriminant.
    pub(crate) value: i128,
}

impl Variant {
    /// A variant and its discriminant.
    pub const fn new(name: &'static str, value: i128) -> Self {
        Self { name, value }
    }
}

impl Schema {
    /// Bytes of which nothing but the name says what they mean, and which are a value whatever they are. When the
    /// meaning changes, change the name (`"tour.Chunk/2"`).
    pub const fn opaque<T>(name: &'static str) -> Self {
        Self::new::<T>(name, Form::Plain)
    }

    /// A struct of these fields, in the order in which they lie.
    ///
    /// # Panics
    ///
    /// If bytes of the struct belong to no field, and so at compile time: copies would carry what lay in memory there, and
    /// comparing bytes would not compare values.
    pub const fn structure<T>(name: &'static str, fields: &'static [Field]) -> Self {
        let mut end = 0;
        let mut i = 0;
        while i < fields.len() {
            if fields[i].offset != end {
                padding(
                    name,
                    if i == 0 { None } else { Some(&fields[i - 1]) },
                    fields[i].offset - end,
                );
            }
            end = fields[i].offset + fields[i].schema.size;
            i += 1;
        }
        if end != size_of::<T>() {
            padding(name, fields.last(), size_of::<T>() - end);
        }
        Self::new::<T>(name, Form::Struct(fields))
    }

    /// An enum without fields.
    pub const fn enumeration<T>(name: &'static str, variants: &'static [Variant]) -> Self {
        Self::new::<T>(name, Form::Enum(variants))
    }

    pub(crate) const fn array<T>(of: &'static Schema, len: usize) -> Self {
        Self::new::<T>("", Form::Array { of, len })
    }

    pub(crate) const fn option<T>(of: &'static Schema, none: u128) -> Self {
        Self::new::<T>("", Form::Option { of, none })
    }

    pub(crate) const fn new<T>(name: &'static str, form: Form) -> Self {
        let (size, align) = (size_of::<T>(), align_of::<T>());
        assert!(size <= u32::MAX as usize, "a type of more than 4 GiB");
        let hash = encode::hash(name, size, align, &form);
        Self { name, size, align, form, hash }
    }

    /// Returns the name; that of an array or an `Option` is empty, since its parts tell it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the size of a value, in bytes.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Returns the alignment of a value, in bytes.
    pub const fn align(&self) -> usize {
        self.align
    }

    /// Returns what two definitions have in common only if they are the same.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns whether the tag's name does not say all: the type has a struct or an enum in it.
    pub const fn has_parts(&self) -> bool {
        match self.form {
            Form::Struct(_) | Form::Enum(_) => true,
            Form::Array { of, .. } | Form::Option { of, .. } => of.has_parts(),
            _ => false,
        }
    }

    pub(crate) const fn form(&self) -> &Form {
        &self.form
    }
}

/// The type as Rust would write it.
impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Array { of, len } => write!(f, "[{of}; {len}]"),
            Form::Option { of, .. } => write!(f, "Option<{of}>"),
            _ => f.write_str(self.name),
        }
    }
}

/// Refuses a struct with padding, and says where it is and what to do.
const fn padding(name: &str, after: Option<&Field>, bytes: usize) -> ! {
    let mut text = Text::<320>::new();
    text.number(bytes);
    text.push(if bytes == 1 { " byte" } else { " bytes" });
    text.push(" of padding after `");
    text.push(name);
    if let Some(field) = after {
        text.push(".");
        text.push(field.name);
    }
    text.push("` would carry whatever lay in memory there: add a field `_pad: Pad<");
    text.number(bytes);
    text.push(">` behind it (its only value is `Pad::ZERO`), or put larger fields first");
    panic!("{}", text.as_str());
}

/// Text that is put together when a program is compiled. What does not fit is left out.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    /// Something was left out.
    cut: bool,
}

impl<const N: usize> Text<N> {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; N], len: 0, cut: false }
    }

    pub(crate) const fn push(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            if self.len == N {
                self.cut = true;
                return;
            }
            self.bytes[self.len] = bytes[i];
            self.len += 1;
            i += 1;
        }
    }

    pub(crate) const fn number(&mut self, n: usize) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = n;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let (_, digits) = digits.split_at(at);
        match core::str::from_utf8(digits) {
            Ok(digits) => self.push(digits),
            Err(_) => unreachable!(),
        }
    }

    pub(crate) const fn as_str(&self) -> &str {
        let (text, _) = self.bytes.split_at(self.len);
        match core::str::from_utf8(text) {
            Ok(text) => text,
            Err(_) => "a name that is too long",
        }
    }

    /// Returns the bytes, zeros behind the text; one that was cut ends in `…`.
    pub(crate) const fn shortened(mut self) -> [u8; N] {
        if self.cut {
            // As many whole characters as leave room for the mark.
            let mut keep = N - "…".len();
            while self.bytes[keep] & 0xc0 == 0x80 {
                keep -= 1;
            }
            self.len = keep;
            self.push("…");
            while self.len < N {
                self.bytes[self.len] = 0;
                self.len += 1;
            }
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShmChecked;

    #[test]
    fn a_type_is_shown_as_it_is_written() {
        assert_eq!(<[[u8; 3]; 2]>::SCHEMA.to_string(), "[[u8; 3]; 2]");
        assert_eq!(<Option<bool>>::SCHEMA.to_string(), "Option<bool>");
    }

    #[test]
    fn only_the_same_definition_has_the_same_hash() {
        let field = |name, schema| Field::new(name, 0, schema);
        let hash = |name, fields: [Field; 1]| {
            Schema::structure::<u32>(name, Box::leak(Box::new(fields))).hash()
        };
        let first = hash("A", [field("x", u32::SCHEMA)]);
        assert_eq!(first, hash("A", [field("x", u32::SCHEMA)]));
        assert_ne!(first, hash("B", [field("x", u32::SCHEMA)]));
        assert_ne!(first, hash("A", [field("y", u32::SCHEMA)]));
        assert_ne!(first, hash("A", [field("x", i32::SCHEMA)]));
        assert_ne!(<[u8; 3]>::SCHEMA.hash(), <[u8; 4]>::SCHEMA.hash());
    }

    #[test]
    #[should_panic(expected = "3 bytes of padding after `Wide.small` would carry")]
    fn padding_between_fields_is_refused() {
        let fields = [Field::new("small", 0, u8::SCHEMA), Field::new("large", 4, u32::SCHEMA)];
        Schema::structure::<u64>("Wide", Box::leak(Box::new(fields)));
    }

    #[test]
    #[should_panic(expected = "4 bytes of padding after `Wide.large` would carry")]
    fn padding_at_the_end_is_refused() {
        let fields = [Field::new("large", 0, u32::SCHEMA)];
        Schema::structure::<u64>("Wide", Box::leak(Box::new(fields)));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut text = Text::<8>::new();
        text.push("Größen-Verzeichnis");
        assert_eq!(core::str::from_utf8(&text.shortened()).unwrap(), "Grö…\0");
        let mut text = Text::<8>::new();
        text.push("Grö");
        text.number(120);
        assert_eq!(text.shortened(), *"Grö120\0".as_bytes());
    }
}
