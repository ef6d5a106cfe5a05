//! What the environment of a program says of a segment that was shared with it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::error::{ErrorKind, Failure};
use crate::status::Identity;

/// What the names of the environment's variables begin with.
const VARIABLE: &str = "SHMKIT_SEGMENT_";

/// The first number that no program uses for something else.
pub(crate) const FIRST: RawFd = 3;

/// Duplicates a descriptor to a number that is neither input, output nor error, and that no child inherits.
pub(crate) fn duplicate(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let fd = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(FIRST)).map_err(|errno| match errno {
        // The limit is below the first number.
        Errno::EINVAL => Errno::EMFILE,
        errno => errno,
    })?;
    // SAFETY: the call just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Where the descriptors are, and which file they must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The data descriptor.
    pub(crate) fd: RawFd,
    /// A description that was opened for this child alone, by which it joins where it cannot open the file anew.
    pub(crate) ticket: Option<RawFd>,
    pub(crate) identity: Identity,
}

impl Token {
    pub(crate) fn to_value(self) -> OsString {
        let Self { fd, ticket, identity: Identity { device, inode, cookie } } = self;
        let ticket = ticket.map_or("-".to_owned(), |fd| fd.to_string());
        OsString::from_vec(format!("{fd}:{ticket}:{device:x}:{inode:x}:{cookie:x}").into_bytes())
    }

    pub(crate) fn from_value(value: &OsStr) -> Option<Self> {
        let mut parts = std::str::from_utf8(value.as_bytes()).ok()?.split(':');
        let number = |part: &str| part.parse().ok().filter(|&fd| fd >= FIRST);
        let fd = number(parts.next()?)?;
        let ticket = match parts.next()? {
            "-" => None,
            part => Some(number(part)?),
        };
        let mut word = || u64::from_str_radix(parts.next()?, 16).ok();
        let identity = Identity { device: word()?, inode: word()?, cookie: word()? };
        parts.next().is_none().then_some(Self { fd, ticket, identity })
    }
}

/// The variable of a key.
pub(crate) fn variable(key: &str) -> Result<String, Failure> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if key.is_empty() || key.len() > 64 || !key.bytes().all(good) {
        return Err(Failure::new(
            ErrorKind::InvalidName,
            format!("the key is {key:?}: 1 to 64 letters, digits and underscores are possible"),
        ));
    }
    Ok(format!("{VARIABLE}{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let identity = Identity { device: 25, inode: 77, cookie: u64::MAX };
        let token = Token { fd: 3, ticket: Some(4), identity };
        assert_eq!(token.to_value(), "3:4:19:4d:ffffffffffffffff");
        assert_eq!(Token::from_value(&token.to_value()), Some(token));
        let token = Token { ticket: None, ..token };
        assert_eq!(token.to_value(), "3:-:19:4d:ffffffffffffffff");
        assert_eq!(Token::from_value(&token.to_value()), Some(token));
    }

    #[test]
    fn nonsense_in_the_environment_is_refused() {
        for value in [
            "",
            "3",
            "2:-:1:1:1",
            "-1:-:1:1:1",
            "3:2:1:1:1",
            "3::1:1:1",
            "3:-:1:1",
            "3:-:1:1:1:1",
            "3:-:x:1:1",
            "3: -:1:1:1",
            "3:1:1:1",
        ] {
            assert_eq!(Token::from_value(OsStr::new(value)), None, "{value:?}");
        }
    }

    #[test]
    fn keys_are_words() {
        assert_eq!(variable("work_1").unwrap(), "SHMKIT_SEGMENT_work_1");
        for key in ["", "a=b", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(variable(key).unwrap_err().kind, ErrorKind::InvalidName);
        }
    }
}
