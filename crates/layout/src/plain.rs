//! What may lie in shared memory, and what may be borrowed there.

use core::num::NonZero;

use bytemuck::Pod;

use crate::schema::Form;
use crate::{Schema, TypeTag};

/// Types whose bytes may lie in shared memory, if they are *checked* before they are taken for a value.
///
/// `bool`, `char`, enums without fields, numbers that are not zero, an `Option` of one of these that takes no more room,
/// and all that is [`ShmSafe`]. `#[derive(ShmSafe)]` implements it for a type of yours. Where one of its parts is not `ShmSafe`,
/// it lies in a cell, a lock or a pipe as [`Checked<T>`](crate::Checked), which is.
///
/// # Safety
///
/// Every byte of every value must be initialised, so that there is no padding; a value may have no pointer or handle. The
/// schema must be the type's: its size and alignment, and parts that lie where it says. Bytes of which
/// [`is_valid`](Self::is_valid) says so must be a value.
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not lie in shared memory",
    label = "means nothing in another process, or nobody can tell what its bytes are",
    note = "numbers, `bool`, `char`, `NonZero`, `Option`s of these, arrays, and types with `#[derive(ShmSafe)]` may: no pointer, reference, `String`, `Vec` or handle"
)]
pub unsafe trait ShmChecked: Copy + Send + Sync + 'static {
    /// What the bytes mean.
    const SCHEMA: &'static Schema;

    /// Returns whether bytes, as many as a value has, are a value.
    fn is_valid(bytes: &[u8]) -> bool;
}

/// Types of which one bit pattern, at least, is no value, and stands for `None` in an `Option` of the same size.
///
/// # Safety
///
/// `NONE` must be the bits of that `None`, all of which are initialised.
#[diagnostic::on_unimplemented(
    message = "an `Option<{Self}>` may not lie in shared memory",
    label = "nobody can tell where its `None` is",
    note = "an `Option` may of a `NonZero` number, of `bool`, `char`, or an enum without fields that has `#[derive(ShmSafe)]`"
)]
pub unsafe trait ShmNiche: ShmChecked {
    /// The bits of `None`; nothing if an `Option` takes more room than the type.
    const NONE: Option<u128>;
}

/// Values that may be copied into and out of shared memory, and borrowed there by who has the right to it.
///
/// [`Pod`] proves what memory needs: no padding, no pointers, and every bit pattern is a value, so that
/// whatever a peer wrote is a `T`. That is why this trait is safe to implement. The [schema](ShmChecked::SCHEMA) is what makes
/// the value *right*: two types of one schema are taken for one another. `#[derive(ShmSafe)]` implements all three:
///
/// ```
/// use shmkit_layout::ShmSafe;
///
/// #[derive(Clone, Copy, ShmSafe)]
/// # #[shm(crate = shmkit_layout)]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// assert_eq!(Point::TAG.to_string(), "Point (16 bytes)");
/// ```
///
/// A `bool`, a `char` or an enum is not `ShmSafe`, nor is a struct with one in it: a peer that is wrong could make it what
/// it cannot be. It lies there as [`Checked<T>`](crate::Checked). A reference may not lie there at all.
///
/// ```compile_fail
/// # use shmkit_layout::ShmSafe;
/// fn share<T: ShmSafe>() {}
/// share::<bool>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` may not be borrowed in shared memory",
    label = "not `ShmSafe`",
    note = "numbers, arrays of them and structs of them with `#[derive(Clone, Copy, ShmSafe)]` and `#[repr(C)]` may: no pointer or reference",
    note = "where not every bit pattern is a value (`bool`, `char`, an enum, a struct that has one) it may lie there as `Checked<{Self}>`"
)]
pub trait ShmSafe: Pod + ShmChecked {
    /// Names the type to other processes.
    const TAG: TypeTag = TypeTag::of(Self::SCHEMA);
}

/// For what is a value whatever its bytes are, and is known by its name.
macro_rules! opaque {
    ($($type:ty => $name:expr,)*) => {$(
        // SAFETY: `Pod`, as `ShmSafe` asks for below: no padding, and every bit pattern is a value.
        unsafe impl $crate::ShmChecked for $type {
            const SCHEMA: &'static $crate::Schema = &$crate::Schema::opaque::<$type>($name);

            fn is_valid(_: &[u8]) -> bool {
                true
            }
        }

        impl $crate::ShmSafe for $type {}
    )*};
}
pub(crate) use opaque;

macro_rules! numbers {
    ($($number:ident)*) => {
        opaque!($($number => stringify!($number),)*);
    };
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

// SAFETY: its elements one after the other.
unsafe impl<T: ShmChecked, const N: usize> ShmChecked for [T; N] {
    const SCHEMA: &'static Schema = &Schema::array::<Self>(T::SCHEMA, N);

    fn is_valid(bytes: &[u8]) -> bool {
        // Elements of no bytes are all alike.
        match size_of::<T>() {
            0 => N == 0 || T::is_valid(&[]),
            size => bytes.chunks_exact(size).all(T::is_valid),
        }
    }
}

impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {}

// SAFETY: one byte, which is 0 or 1.
unsafe impl ShmChecked for bool {
    const SCHEMA: &'static Schema = &Schema::new::<Self>("bool", Form::Bool);

    fn is_valid(bytes: &[u8]) -> bool {
        matches!(bytes, [0 | 1])
    }
}

// SAFETY: read from one.
unsafe impl ShmNiche for bool {
    const NONE: Option<u128> = none_of::<Self>();
}

// SAFETY: four bytes, which are a code point.
unsafe impl ShmChecked for char {
    const SCHEMA: &'static Schema = &Schema::new::<Self>("char", Form::Char);

    fn is_valid(bytes: &[u8]) -> bool {
        bytes.try_into().is_ok_and(|bits| char::from_u32(u32::from_ne_bytes(bits)).is_some())
    }
}

// SAFETY: read from one.
unsafe impl ShmNiche for char {
    const NONE: Option<u128> = none_of::<Self>();
}

macro_rules! non_zero {
    ($($number:ident)*) => {$(
        // SAFETY: a number that is not 0.
        unsafe impl ShmChecked for NonZero<$number> {
            const SCHEMA: &'static Schema =
                &Schema::new::<Self>(concat!("NonZero<", stringify!($number), ">"), Form::NonZero);

            fn is_valid(bytes: &[u8]) -> bool {
                bytes.iter().any(|&byte| byte != 0)
            }
        }

        // SAFETY: documented: `None` is 0.
        unsafe impl ShmNiche for NonZero<$number> {
            const NONE: Option<u128> = Some(0);
        }

        /// Every bit pattern is one.
        impl ShmSafe for Option<NonZero<$number>> {}
    )*};
}

non_zero!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

// SAFETY: as large as a `T` (`none_bits`), and so either a `T`, with its bytes, or the bytes of `None`.
unsafe impl<T: ShmNiche> ShmChecked for Option<T> {
    const SCHEMA: &'static Schema = &Schema::option::<Self>(T::SCHEMA, none_bits::<T>());

    fn is_valid(bytes: &[u8]) -> bool {
        let none = none_bits::<T>().to_ne_bytes();
        let none = if cfg!(target_endian = "little") {
            &none[..size_of::<T>()]
        } else {
            &none[none.len() - size_of::<T>()..]
        };
        bytes == none || T::is_valid(bytes)
    }
}

const fn none_bits<T: ShmNiche>() -> u128 {
    assert!(
        size_of::<T>() == size_of::<Option<T>>(),
        "an `Option` of this type takes more room than the type"
    );
    match T::NONE {
        Some(bits) => bits,
        None => panic!("an `Option` of this type takes more room than the type"),
    }
}

/// Returns the bits that `None` has, if it has no more bytes than a `T`. For `T`s of one field of at most 16 bytes, whose
/// unused values the compiler may use for `None`: all bytes are initialised then, or this does not compile.
pub const fn none_of<T: Copy>() -> Option<u128> {
    let none: Option<T> = None;
    let from = (&raw const none).cast::<u8>();
    if size_of::<Option<T>>() != size_of::<T>() || size_of::<T>() > 16 {
        return None;
    }
    let mut bits = 0;
    let mut i = 0;
    while i < size_of::<T>() {
        // SAFETY: inside `none`, which is as long as a `T` (above).
        let at = unsafe { from.add(i) };
        // SAFETY: as above; a byte that is not initialised is an error where this is evaluated, at compile time.
        let byte = unsafe { at.read() };
        let place = if cfg!(target_endian = "little") { i } else { size_of::<T>() - 1 - i };
        bits |= (byte as u128) << (8 * place);
        i += 1;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_are_valid() {
        assert!(bool::is_valid(&[0]) && bool::is_valid(&[1]) && !bool::is_valid(&[2]));
        assert!(char::is_valid(&u32::from('ß').to_ne_bytes()));
        assert!(!char::is_valid(&0xd800_u32.to_ne_bytes()));
        assert!(NonZero::<u16>::is_valid(&[0, 1]) && !NonZero::<u16>::is_valid(&[0, 0]));
        assert!(<[bool; 2]>::is_valid(&[1, 0]) && !<[bool; 2]>::is_valid(&[1, 2]));
        assert!(u64::is_valid(&[0xff; 8]) && <[u8; 0]>::is_valid(&[]));
    }

    #[test]
    fn none_is_what_rust_writes() {
        fn bytes<T: Copy>(value: T) -> Vec<u8> {
            let from = (&raw const value).cast::<u8>();
            // SAFETY: the bytes of `value`, all of which are initialised.
            unsafe { core::slice::from_raw_parts(from, size_of::<T>()) }.to_vec()
        }
        assert!(<Option<bool>>::is_valid(&bytes(None::<bool>)));
        assert!(<Option<bool>>::is_valid(&[0]) && <Option<bool>>::is_valid(&[1]));
        assert_eq!((0..=255).filter(|&byte| <Option<bool>>::is_valid(&[byte])).count(), 3);
        assert!(<Option<char>>::is_valid(&bytes(None::<char>)));
        assert!(<Option<char>>::is_valid(&bytes(Some('x'))));
        assert!(<Option<NonZero<u32>>>::is_valid(&[0; 4]));
        assert_eq!(<Option<NonZero<u32>>>::TAG.to_string(), "Option<NonZero<u32>> (4 bytes)");
    }
}
