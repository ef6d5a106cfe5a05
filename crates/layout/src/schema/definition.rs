//! What another process says about a type.

use core::error::Error;
use core::fmt;

use super::encode::{
    ARRAY, BOOL, CHAR, DEPTH, ENUM, FORMAT, MOST, NON_ZERO, OPTION, PADDING, PLAIN, STRUCT,
};
use super::{Form, Schema};

/// A type as another process defines it, read from the bytes that it has [encoded](Schema::encode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub(super) name: String,
    /// In bytes.
    pub(super) size: u64,
    /// In bytes.
    pub(super) align: u64,
    pub(super) parts: Parts,
}

/// What it consists of. See `Form`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parts {
    Plain,
    Padding,
    Bool,
    Char,
    NonZero,
    Array { of: Box<Definition>, len: u64 },
    Struct(Vec<Part>),
    Enum(Vec<(String, i128)>),
    Option { of: Box<Definition>, none: u128 },
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    /// In bytes from the first of the struct.
    pub(super) offset: u64,
    pub(super) of: Definition,
}

impl Definition {
    /// Reads the bytes, which a peer may have written that is wrong: what is returned is what they say, not that it is true.
    ///
    /// # Errors
    ///
    /// [`DefinitionError`] if they are no definition, nested 32 deep, or more than 65,536.
    pub fn decode(bytes: &[u8]) -> Result<Self, DefinitionError> {
        if bytes.len() > MOST {
            return Err(DefinitionError { at: MOST, expected: "the end of a definition" });
        }
        let mut input = Input { bytes, at: 0 };
        if input.byte("a format")? != FORMAT {
            return Err(DefinitionError { at: 0, expected: "a format of this version" });
        }
        let definition = Self::read(&mut input, 0)?;
        if input.at != bytes.len() {
            return Err(input.expected("the end"));
        }
        Ok(definition)
    }

    fn read(input: &mut Input<'_>, depth: u32) -> Result<Self, DefinitionError> {
        if depth == DEPTH {
            return Err(input.expected("a type that is nested less deeply"));
        }
        let form = input.byte("a form")?;
        let (name, size, align) = (input.text()?, input.number()?, input.number()?);
        let parts = match form {
            PLAIN => Parts::Plain,
            PADDING => Parts::Padding,
            BOOL => Parts::Bool,
            CHAR => Parts::Char,
            NON_ZERO => Parts::NonZero,
            ARRAY => {
                let len = input.number()?;
                Parts::Array { of: Box::new(Self::read(input, depth + 1)?), len }
            }
            STRUCT => {
                let mut fields = Vec::new();
                for _ in 0..input.count()? {
                    let (name, offset) = (input.text()?, input.number()?);
                    fields.push(Part { name, offset, of: Self::read(input, depth + 1)? });
                }
                Parts::Struct(fields)
            }
            ENUM => {
                let mut variants = Vec::new();
                for _ in 0..input.count()? {
                    variants.push((input.text()?, i128::from_le_bytes(input.value()?)));
                }
                Parts::Enum(variants)
            }
            OPTION => {
                let of = Box::new(Self::read(input, depth + 1)?);
                Parts::Option { of, none: u128::from_le_bytes(input.value()?) }
            }
            _ => return Err(DefinitionError { at: input.at, expected: "a form of this version" }),
        };
        Ok(Self { name, size, align, parts })
    }
}

/// The type as Rust would write it.
impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parts {
            Parts::Array { of, len } => write!(f, "[{of}; {len}]"),
            Parts::Option { of, .. } => write!(f, "Option<{of}>"),
            _ => f.write_str(&self.name),
        }
    }
}

impl From<&Schema> for Definition {
    fn from(schema: &Schema) -> Self {
        let boxed = |of: &Schema| Box::new(Self::from(of));
        let parts = match *schema.form() {
            Form::Plain => Parts::Plain,
            Form::Padding => Parts::Padding,
            Form::Bool => Parts::Bool,
            Form::Char => Parts::Char,
            Form::NonZero => Parts::NonZero,
            Form::Array { of, len } => Parts::Array { of: boxed(of), len: len as u64 },
            Form::Option { of, none } => Parts::Option { of: boxed(of), none },
            Form::Enum(variants) => {
                Parts::Enum(variants.iter().map(|v| (v.name.to_owned(), v.value)).collect())
            }
            Form::Struct(fields) => Parts::Struct(
                fields
                    .iter()
                    .map(|field| Part {
                        name: field.name.to_owned(),
                        offset: field.offset as u64,
                        of: field.schema.into(),
                    })
                    .collect(),
            ),
        };
        let (size, align) = (schema.size() as u64, schema.align() as u64);
        Self { name: schema.name().to_owned(), size, align, parts }
    }
}

/// Bytes of a peer, read from first to last.
struct Input<'a> {
    bytes: &'a [u8],
    /// How many were read.
    at: usize,
}

impl Input<'_> {
    fn expected(&self, expected: &'static str) -> DefinitionError {
        DefinitionError { at: self.at, expected }
    }

    fn take(&mut self, count: usize, expected: &'static str) -> Result<&[u8], DefinitionError> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..count) else { return Err(self.expected(expected)) };
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self, expected: &'static str) -> Result<u8, DefinitionError> {
        Ok(self.take(1, expected)?[0])
    }

    fn number(&mut self) -> Result<u64, DefinitionError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte("a number")?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.expected("a number of 64 bits"))
    }

    /// A number of parts, each of which takes a byte at least.
    fn count(&mut self) -> Result<u64, DefinitionError> {
        let count = self.number()?;
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(self.expected("as many parts as there are bytes"));
        }
        Ok(count)
    }

    fn value(&mut self) -> Result<[u8; 16], DefinitionError> {
        let mut value = [0; 16];
        value.copy_from_slice(self.take(16, "a value of 16 bytes")?);
        Ok(value)
    }

    fn text(&mut self) -> Result<String, DefinitionError> {
        let len = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let bytes = self.take(len, "a name")?.to_vec();
        String::from_utf8(bytes).map_err(|_| self.expected("a name in UTF-8"))
    }
}

/// Bytes are no [`Definition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefinitionError {
    /// How many bytes make sense.
    at: usize,
    expected: &'static str,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no definition of a type: at byte {}, {} was expected", self.at, self.expected)
    }
}

impl Error for DefinitionError {}

#[cfg(test)]
mod tests {
    use super::super::{Field, Variant};
    use super::*;
    use crate::ShmChecked;

    fn all() -> Schema {
        static VARIANTS: [Variant; 2] = [Variant::new("Slow", -1), Variant::new("Fast", 7)];
        static MODE: Schema = Schema::enumeration::<i8>("Mode", &VARIANTS);
        static FIELDS: [Field; 5] = [
            Field::new("at", 0, <[u64; 200]>::SCHEMA),
            Field::new("mode", 1600, &MODE),
            Field::new("on", 1601, <Option<bool>>::SCHEMA),
            Field::new("c", 1604, char::SCHEMA),
            Field::new("n", 1608, <core::num::NonZeroU64>::SCHEMA),
        ];
        // The two bytes before `c` would be refused by `structure`.
        Schema::new::<[u64; 202]>("Reading", Form::Struct(&FIELDS))
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let schema = all();
        let decoded = Definition::decode(&schema.encode().unwrap()).unwrap();
        assert_eq!(decoded, Definition::from(&schema));
        assert_eq!(decoded.to_string(), "Reading");
    }

    #[test]
    fn every_end_and_every_changed_byte_is_an_error_or_another_definition() {
        let bytes = all().encode().unwrap();
        for len in 0..bytes.len() {
            assert!(Definition::decode(&bytes[..len]).is_err(), "cut after {len}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                assert!(
                    Definition::decode(&bytes).map_or(true, |d| d != Definition::from(&all())),
                    "bit {bit} of byte {at}"
                );
            }
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let mut bytes = vec![FORMAT];
        bytes.extend([ARRAY, 0, 1, 1, 1].repeat(1000));
        let error = Definition::decode(&bytes).unwrap_err();
        assert!(error.to_string().contains("nested less deeply"), "{error}");
    }

    #[test]
    fn a_count_beyond_the_end_takes_no_memory() {
        let bytes = [FORMAT, STRUCT, 0, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(Definition::decode(&bytes).unwrap_err().to_string().contains("as many parts"));
    }
}
