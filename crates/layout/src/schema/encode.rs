//! Schemas as bytes, and the hash of them.

use super::{Form, Schema};

/// The first byte of every encoding. Others are of other versions.
pub(super) const FORMAT: u8 = 1;
/// The most bytes that an encoding has, and so also bounds what a peer can have somebody read.
pub(super) const MOST: usize = 1 << 16;
/// How deep types are nested at most.
pub(super) const DEPTH: u32 = 32;

pub(super) const PLAIN: u8 = 0;
pub(super) const PADDING: u8 = 1;
pub(super) const BOOL: u8 = 2;
pub(super) const CHAR: u8 = 3;
pub(super) const NON_ZERO: u8 = 4;
pub(super) const ARRAY: u8 = 5;
pub(super) const STRUCT: u8 = 6;
pub(super) const ENUM: u8 = 7;
pub(super) const OPTION: u8 = 8;

impl Form {
    /// Returns the byte that an encoding has for it.
    const fn code(&self) -> u8 {
        match self {
            Self::Plain => PLAIN,
            Self::Padding => PADDING,
            Self::Bool => BOOL,
            Self::Char => CHAR,
            Self::NonZero => NON_ZERO,
            Self::Array { .. } => ARRAY,
            Self::Struct(_) => STRUCT,
            Self::Enum(_) => ENUM,
            Self::Option { .. } => OPTION,
        }
    }
}

impl Schema {
    /// Returns the bytes by which another process reads this as a [`Definition`](super::Definition); `None` if they would
    /// be more than 65,536, or types are nested 32 deep.
    ///
    /// ```text
    /// 1 | type      type = form, name, size, align, parts     name = length, UTF-8     numbers: LEB128, values: 16 bytes
    /// parts of 5 array: length, type      6 struct: count, { name, offset, type }      7 enum: count, { name, value }
    ///          8 option: type, the value that is none          others: nothing
    /// ```
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![FORMAT];
        self.put(&mut bytes, 0)?;
        Some(bytes)
    }

    fn put(&self, to: &mut Vec<u8>, depth: u32) -> Option<()> {
        if depth == DEPTH {
            return None;
        }
        to.push(self.form.code());
        text(to, self.name);
        number(to, self.size);
        number(to, self.align);
        match self.form {
            Form::Plain | Form::Padding | Form::Bool | Form::Char | Form::NonZero => {}
            Form::Array { of, len } => {
                number(to, len);
                of.put(to, depth + 1)?;
            }
            Form::Struct(fields) => {
                number(to, fields.len());
                for field in fields {
                    text(to, field.name);
                    number(to, field.offset);
                    field.schema.put(to, depth + 1)?;
                }
            }
            Form::Enum(variants) => {
                number(to, variants.len());
                for variant in variants {
                    text(to, variant.name);
                    to.extend(variant.value.to_le_bytes());
                }
            }
            Form::Option { of, none } => {
                of.put(to, depth + 1)?;
                to.extend(none.to_le_bytes());
            }
        }
        (to.len() <= MOST).then_some(())
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    number(to, text.len());
    to.extend(text.as_bytes());
}

/// Seven bits a byte, the least first; the highest bit says that more follow.
fn number(to: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        to.push(n as u8 | 0x80);
        n >>= 7;
    }
    to.push(n as u8);
}

/// Returns the hash of a type: FNV-1a, whose parts are known by their hashes.
pub(super) const fn hash(name: &str, size: usize, align: usize, form: &Form) -> u64 {
    let mut hash = word(BASIS, form.code() as u128);
    hash = string(hash, name);
    hash = word(hash, size as u128);
    hash = word(hash, align as u128);
    match form {
        Form::Plain | Form::Padding | Form::Bool | Form::Char | Form::NonZero => {}
        Form::Array { of, len } => {
            hash = word(hash, *len as u128);
            hash = word(hash, of.hash as u128);
        }
        Form::Struct(fields) => {
            let mut i = 0;
            while i < fields.len() {
                hash = string(hash, fields[i].name);
                hash = word(hash, fields[i].offset as u128);
                hash = word(hash, fields[i].schema.hash as u128);
                i += 1;
            }
        }
        Form::Enum(variants) => {
            let mut i = 0;
            while i < variants.len() {
                hash = string(hash, variants[i].name);
                hash = word(hash, variants[i].value as u128);
                i += 1;
            }
        }
        Form::Option { of, none } => {
            hash = word(hash, of.hash as u128);
            hash = word(hash, *none);
        }
    }
    hash
}

/// FNV-1a's first value, of 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
/// FNV-1a's factor, of 64 bits.
const PRIME: u64 = 0x100_0000_01b3;

const fn byte(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(PRIME)
}

const fn word(mut hash: u64, word: u128) -> u64 {
    let bytes = word.to_le_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = byte(hash, bytes[i]);
        i += 1;
    }
    hash
}

/// Goes on with a text, and where it ends.
const fn string(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = byte(hash, bytes[i]);
        i += 1;
    }
    word(hash, bytes.len() as u128)
}

/// Returns the hash of two definitions in this order.
pub(crate) const fn hash_of_pair(first: u64, second: u64) -> u64 {
    word(word(BASIS, first as u128), second as u128)
}

/// Returns the hash of a name with no type behind it.
pub(crate) const fn hash_of_name(name: &str) -> u64 {
    string(BASIS, name)
}
