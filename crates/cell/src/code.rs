//! Python's type codes.

use core::error::Error;
use core::ffi::{c_int, c_long, c_longlong, c_short, c_uint, c_ulong, c_ulonglong, c_ushort};
use core::fmt;

use shmkit_layout::{ShmSafe, TypeTag};

/// A type code as `multiprocessing.Value('i')` and the `array` module have it: a number of C, in the machine's size and
/// order. For bindings, and for programs whose types are not known when they are compiled.
///
/// The Rust type of the same size and kind of number is what lies in the cell: its [tag](Self::tag) is what the directory
/// knows it by, so that a cell that was made by its code is found by its type.
///
/// # Examples
///
/// ```
/// use shmkit_cell::TypeCode;
/// use shmkit_layout::ShmSafe;
///
/// let int = TypeCode::try_from('i')?;
/// assert_eq!((int.tag(), int.size(), int.to_string().as_str()), (i32::TAG, 4, "int"));
/// assert!(TypeCode::try_from('x').is_err());
/// # Ok::<(), shmkit_cell::UnknownTypeCode>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeCode {
    code: char,
    c_type: &'static str,
    tag: TypeTag,
    size: usize,
}

/// What has a tag of its own, as a type code's type.
const fn code<T: ShmSafe>(code: char, c_type: &'static str) -> TypeCode {
    TypeCode { code, c_type, tag: TypeTag::checked::<T>(), size: size_of::<T>() }
}

impl TypeCode {
    /// All of them.
    pub const ALL: [Self; 14] = [
        code::<u8>('c', "char"),
        // Signed on x86 and unsigned on ARM in C; a code point everywhere, of four bytes.
        code::<u32>('u', "wchar_t"),
        code::<i8>('b', "signed char"),
        code::<u8>('B', "unsigned char"),
        code::<c_short>('h', "short"),
        code::<c_ushort>('H', "unsigned short"),
        code::<c_int>('i', "int"),
        code::<c_uint>('I', "unsigned int"),
        code::<c_long>('l', "long"),
        code::<c_ulong>('L', "unsigned long"),
        code::<c_longlong>('q', "long long"),
        code::<c_ulonglong>('Q', "unsigned long long"),
        code::<f32>('f', "float"),
        code::<f64>('d', "double"),
    ];

    /// Returns the letter.
    pub const fn code(self) -> char {
        self.code
    }

    /// Returns the tag of the Rust type that lies in the cell.
    pub const fn tag(self) -> TypeTag {
        self.tag
    }

    /// Returns its size, in bytes.
    pub const fn size(self) -> usize {
        self.size
    }
}

impl TryFrom<char> for TypeCode {
    type Error = UnknownTypeCode;

    fn try_from(code: char) -> Result<Self, UnknownTypeCode> {
        Self::ALL.into_iter().find(|known| known.code == code).ok_or(UnknownTypeCode { code })
    }
}

/// The type's name in C.
impl fmt::Display for TypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.c_type)
    }
}

/// There is no such type code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTypeCode {
    /// The letter found.
    pub code: char,
}

impl fmt::Display for UnknownTypeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no type code; these are: ", self.code)?;
        TypeCode::ALL.iter().try_for_each(|known| write!(f, "{}", known.code))
    }
}

impl Error for UnknownTypeCode {}
