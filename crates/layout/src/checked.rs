//! Values that are checked when they are read.

use core::error::Error;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr;

use bytemuck::{Pod, Zeroable};

use crate::schema::{Form, Schema};
use crate::{ShmChecked, ShmSafe};

/// The bytes of a `T`, which are checked when it is read: how a `bool`, a `char`, an enum, or a struct with one of them,
/// lies in a cell, a lock or a pipe, or in a struct that is [`ShmSafe`].
///
/// To lie there costs nothing, and to read it one look at the bytes. A peer that is wrong, or was killed in the middle of a
/// write, can leave bytes that are no `T`: they are an error, and never a value. Other processes see a `T`: its type has the
/// schema and the tag that `T` has.
///
/// # Examples
///
/// ```
/// use shmkit_layout::{Checked, ShmSafe};
///
/// #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
/// # #[shm(crate = shmkit_layout)]
/// #[repr(u8)]
/// enum Mode {
///     Slow,
///     Fast = 7,
/// }
///
/// let mut mode = Checked::new(Mode::Slow);
/// mode.set(Mode::Fast);
/// assert_eq!(mode.get()?, Mode::Fast);
///
/// let wrong: Checked<Mode> = bytemuck::cast(3_u8);
/// assert_eq!(wrong.get().unwrap_err().to_string(), "bytes that are no `Mode`: 3; a peer is wrong, or was killed while it wrote");
/// # Ok::<(), shmkit_layout::InvalidValue>(())
/// ```
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Checked<T: Copy>(MaybeUninit<T>);

impl<T: ShmChecked> Checked<T> {
    /// The bytes of a value.
    pub const fn new(value: T) -> Self {
        Self(MaybeUninit::new(value))
    }

    /// Returns the value.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] if the bytes are none.
    #[inline]
    pub fn get(&self) -> Result<T, InvalidValue> {
        // Once: what is checked is what is used, whoever writes there meanwhile.
        // SAFETY: aligned and valid, as a reference; any bytes are a `MaybeUninit`.
        let copy = Self(unsafe { ptr::read_volatile(&raw const self.0) });
        if !T::is_valid(copy.as_bytes()) {
            return Err(InvalidValue::of(T::SCHEMA, copy.as_bytes()));
        }
        // SAFETY: initialised, as all that is made of a `T`, of zeros or of bytes (`Pod`), and valid (above).
        Ok(unsafe { copy.0.assume_init() })
    }

    /// Puts another value there.
    #[inline]
    pub const fn set(&mut self, value: T) {
        self.0 = MaybeUninit::new(value);
    }

    fn as_bytes(&self) -> &[u8] {
        bytemuck::bytes_of(self)
    }
}

// SAFETY: bytes, of which nothing is said.
unsafe impl<T: ShmChecked> Zeroable for Checked<T> {}

// SAFETY: every byte of it is initialised, since every byte of a `T` is (`ShmChecked`), and any bytes are a `MaybeUninit`; it
// has no padding and no pointer, since a `T` has none.
unsafe impl<T: ShmChecked> Pod for Checked<T> {}

// SAFETY: size, alignment and bytes are those of a `T`; every bit pattern is a value.
unsafe impl<T: ShmChecked> ShmChecked for Checked<T> {
    const SCHEMA: &'static Schema = T::SCHEMA;

    fn is_valid(_: &[u8]) -> bool {
        true
    }
}

impl<T: ShmChecked> ShmSafe for Checked<T> {}

impl<T: ShmChecked> From<T> for Checked<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ShmChecked + Default> Default for Checked<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// The value, or what is wrong with the bytes.
impl<T: ShmChecked + fmt::Debug> fmt::Debug for Checked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Ok(value) => value.fmt(f),
            Err(error) => f.debug_tuple("Invalid").field(&error.found).finish(),
        }
    }
}

/// Whether both have the same bytes.
impl<T: ShmChecked> PartialEq for Checked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<T: ShmChecked> Eq for Checked<T> {}

/// Bytes are no value of the type that they are read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The type, and the fields that lead to what is wrong.
    path: Box<str>,
    /// The bits found there.
    found: u128,
}

impl InvalidValue {
    /// Says which part of the bytes is wrong.
    #[cold]
    fn of(schema: &Schema, bytes: &[u8]) -> Self {
        let mut path = schema.to_string();
        let found = wrong(schema, bytes, &mut path).unwrap_or_else(|| bits(bytes));
        Self { path: path.into(), found }
    }

    /// Returns what is wrong: the type and the fields that lead there, `Reading.mode`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the bits found there.
    pub const fn found(&self) -> u128 {
        self.found
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found } = self;
        write!(
            f,
            "bytes that are no `{path}`: {found}; a peer is wrong, or was killed while it wrote"
        )
    }
}

impl Error for InvalidValue {}

/// Returns the bits of the first part that is wrong, and adds the way there to `path`.
fn wrong(schema: &Schema, bytes: &[u8], path: &mut String) -> Option<u128> {
    let found = bits(bytes);
    let is_wrong = match *schema.form() {
        Form::Plain | Form::Padding => false,
        Form::Bool => found > 1,
        Form::Char => u32::try_from(found).ok().and_then(char::from_u32).is_none(),
        Form::NonZero => found == 0,
        Form::Enum(variants) => {
            let unused = 128 - 8 * bytes.len() as u32;
            variants.iter().all(|variant| (variant.value as u128) << unused >> unused != found)
        }
        Form::Option { of, none } => {
            return if found == none { None } else { wrong(of, bytes, path) };
        }
        Form::Array { of, len } => {
            return (0..len).find_map(|i| {
                let element = &bytes[i * of.size()..][..of.size()];
                inside(of, element, path, format_args!("[{i}]"))
            });
        }
        Form::Struct(fields) => {
            return fields.iter().find_map(|field| {
                let part = &bytes[field.offset..][..field.schema.size()];
                inside(field.schema, part, path, format_args!(".{}", field.name))
            });
        }
    };
    is_wrong.then_some(found)
}

/// Looks at a part, and takes its name off the path again if nothing is wrong there.
fn inside(
    schema: &Schema,
    bytes: &[u8],
    path: &mut String,
    name: fmt::Arguments<'_>,
) -> Option<u128> {
    let len = path.len();
    // A string has no errors.
    let _ = fmt::Write::write_fmt(path, name);
    let found = wrong(schema, bytes, path);
    if found.is_none() {
        path.truncate(len);
    }
    found
}

/// The bytes as one number, if they are few enough for that.
fn bits(bytes: &[u8]) -> u128 {
    let mut all = [0; 16];
    let len = bytes.len().min(all.len());
    if cfg!(target_endian = "little") {
        all[..len].copy_from_slice(&bytes[..len]);
    } else {
        all[16 - len..].copy_from_slice(&bytes[..len]);
    }
    u128::from_ne_bytes(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_there_is_read() {
        let mut on = Checked::new(true);
        assert_eq!(on.get(), Ok(true));
        on.set(false);
        assert_eq!((on.get(), format!("{on:?}").as_str()), (Ok(false), "false"));
        assert_eq!(Checked::from(None::<char>).get(), Ok(None));
    }

    #[test]
    fn bytes_that_are_no_value_are_an_error_that_names_them() {
        let wrong: Checked<[Option<bool>; 3]> = bytemuck::cast([0_u8, 2, 77]);
        let error = wrong.get().unwrap_err();
        assert_eq!((error.path(), error.found()), ("[Option<bool>; 3][2]", 77));
        assert_eq!(format!("{wrong:?}"), "Invalid(77)");
        assert!(bytemuck::cast::<u32, Checked<char>>(0xd800).get().is_err());
        assert!(bytemuck::cast::<i16, Checked<core::num::NonZero<i16>>>(0).get().is_err());
    }

    #[test]
    fn to_others_it_is_the_type_itself() {
        assert_eq!(<Checked<bool>>::TAG, crate::TypeTag::of(bool::SCHEMA));
        assert_eq!(<[Checked<bool>; 3]>::TAG.to_string(), "[bool; 3] (3 bytes)");
    }
}
