//! The types of numbers that values and arrays of C may have.

use std::ops::Add;

use shmkit::ShmSafe;

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum shmkit_type {
    /// `int8_t`
    I8 = 0,
    /// `uint8_t`
    U8 = 1,
    /// `int16_t`
    I16 = 2,
    /// `uint16_t`
    U16 = 3,
    /// `int32_t`
    I32 = 4,
    /// `uint32_t`
    U32 = 5,
    /// `int64_t`
    I64 = 6,
    /// `uint64_t`
    U64 = 7,
    /// `float`
    F32 = 8,
    /// `double`
    F64 = 9,
}

/// A number: what every type here can do.
pub(crate) trait Number: ShmSafe + Add<Output = Self> {
    /// The sum, which wraps where it overflows.
    fn plus(self, other: Self) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}

integers!(i8, u8, i16, u16, i32, u32, i64, u64);

impl Number for f32 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

impl Number for f64 {
    fn plus(self, other: Self) -> Self {
        self + other
    }
}

/// Does the same for whichever type a number of C says: `$t` is that type in `$work`. A number that is none is an error.
macro_rules! by_type {
    ($number:expr, $t:ident => $work:expr) => {
        match $number {
            0 => {
                type $t = i8;
                $work
            }
            1 => {
                type $t = u8;
                $work
            }
            2 => {
                type $t = i16;
                $work
            }
            3 => {
                type $t = u16;
                $work
            }
            4 => {
                type $t = i32;
                $work
            }
            5 => {
                type $t = u32;
                $work
            }
            6 => {
                type $t = i64;
                $work
            }
            7 => {
                type $t = u64;
                $work
            }
            8 => {
                type $t = f32;
                $work
            }
            9 => {
                type $t = f64;
                $work
            }
            other => Err($crate::status::Failure::invalid(format!(
                "the type is {other}, where one of shmkit_type was expected"
            ))),
        }
    };
}

pub(crate) use by_type;
