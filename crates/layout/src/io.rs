//! What each error is to those who speak of [`io::Error`].

use std::io::{self, ErrorKind};

use crate::{CommitError, DefinitionError, HeaderError, InvalidValue, OffsetError, ShapeError};

/// Errors that are of one kind, whatever they say.
macro_rules! kinds {
    ($($error:ident => $kind:ident;)*) => {$(
        /// With this error as the inner one.
        impl From<$error> for io::Error {
            fn from(error: $error) -> Self {
                Self::new(ErrorKind::$kind, error)
            }
        }
    )*};
}

kinds! {
    OffsetError => InvalidInput;
    HeaderError => InvalidData;
    DefinitionError => InvalidData;
    InvalidValue => InvalidData;
}

/// With this error as the inner one.
impl From<ShapeError> for io::Error {
    fn from(error: ShapeError) -> Self {
        let kind = match error {
            ShapeError::Place(_) | ShapeError::Length { .. } | ShapeError::Start { .. } => {
                ErrorKind::InvalidInput
            }
            ShapeError::Corrupt { .. } => ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

impl CommitError {
    /// Returns the number of the system's error, where that is all there is to say.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { errno } => Some(*errno),
            _ => None,
        }
    }
}

/// With this error as the inner one.
impl From<CommitError> for io::Error {
    fn from(error: CommitError) -> Self {
        let kind = match error {
            CommitError::NoRoom { .. } => ErrorKind::StorageFull,
            CommitError::TooLong { .. } => ErrorKind::FileTooLarge,
            CommitError::Truncated { .. } => ErrorKind::InvalidData,
            CommitError::NoDescriptor => ErrorKind::Other,
            CommitError::System { errno } => Self::from_raw_os_error(errno).kind(),
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_input_and_what_was_found_is_data() {
        let offset = OffsetError::Misaligned { bytes: 6, align: 4 };
        let text = offset.to_string();
        let error = io::Error::from(offset);
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::InvalidInput, text));
        assert_eq!(io::Error::from(ShapeError::Place(offset)).kind(), ErrorKind::InvalidInput);
        let corrupt = ShapeError::Corrupt { field: "length", found: 7 };
        assert_eq!(io::Error::from(corrupt).kind(), ErrorKind::InvalidData);
        assert_eq!(io::Error::from(HeaderError::ByteOrder).kind(), ErrorKind::InvalidData);
        let commit = CommitError::System { errno: 12 };
        assert_eq!(commit.errno(), Some(12));
        assert_eq!(io::Error::from(commit).kind(), ErrorKind::OutOfMemory);
    }
}
