//! What each error is to those who speak of [`io::Error`], and the system's number for it.

use std::io::{self, ErrorKind};

use crate::{JoinError, JoinErrorKind, RosterError};

impl RosterError {
    /// Returns the number of the system's error, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Random { errno } => Some(*errno),
            _ => None,
        }
    }
}

/// With this error as the inner one.
impl From<RosterError> for io::Error {
    fn from(error: RosterError) -> Self {
        let kind = match error {
            RosterError::Slots { .. } | RosterError::Numbers { .. } | RosterError::Place(_) => {
                ErrorKind::InvalidInput
            }
            RosterError::Corrupt { .. } | RosterError::Salt { .. } => ErrorKind::InvalidData,
            RosterError::Random { errno } => Self::from_raw_os_error(errno).kind(),
        };
        Self::new(kind, error)
    }
}

impl JoinError {
    /// Returns the kind of the standard library that comes nearest.
    pub fn io_kind(&self) -> ErrorKind {
        match self.kind() {
            JoinErrorKind::Full { .. } | JoinErrorKind::Removing => ErrorKind::ResourceBusy,
            JoinErrorKind::Unlinked => ErrorKind::NotFound,
            JoinErrorKind::Unsupported => ErrorKind::Unsupported,
            JoinErrorKind::NoMemory => ErrorKind::OutOfMemory,
            JoinErrorKind::Ticket | JoinErrorKind::TicketUsed | JoinErrorKind::OtherFile => {
                ErrorKind::InvalidInput
            }
            JoinErrorKind::Description | JoinErrorKind::System => {
                self.system_error().map_or(ErrorKind::Other, io::Error::kind)
            }
            JoinErrorKind::Exhausted { .. } | JoinErrorKind::Unswept { .. } => ErrorKind::Other,
        }
    }

    /// Returns the number of the system's error, if the system gave one.
    pub fn errno(&self) -> Option<i32> {
        self.system_error().and_then(io::Error::raw_os_error)
    }
}

/// With this error as the inner one, whose source is what the system said.
impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_said_is_the_kind_and_the_number() {
        let error = JoinError::system(io::Error::from_raw_os_error(libc::EACCES));
        assert_eq!(error.errno(), Some(libc::EACCES));
        let text = error.to_string();
        let error = io::Error::from(error);
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::PermissionDenied, text));
        let error = RosterError::Random { errno: libc::ENOSYS };
        assert_eq!(error.errno(), Some(libc::ENOSYS));
        assert_eq!(io::Error::from(error).kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn what_the_system_did_not_say_has_no_number() {
        let error = JoinError::new(JoinErrorKind::Full { slots: 4 });
        assert_eq!((error.errno(), error.io_kind()), (None, ErrorKind::ResourceBusy));
        let error = RosterError::Slots { found: 0 };
        assert_eq!(error.errno(), None);
        assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
    }
}
