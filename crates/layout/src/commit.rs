//! Memory that is reserved first, and had later.

use core::error::Error;
use core::fmt;

use crate::Region;

/// Has the memory behind bytes that are only reserved: what keeps a region mapped answers.
///
/// A region may have more bytes than there is memory for yet: a segment that [may grow] maps as many as it may ever have. Of
/// an object that asks for it ([`Object::committed`](crate::Object::committed)) only the first bytes are there when it is
/// made. To touch the others is a SIGBUS, or takes memory that nobody has counted, until somebody has committed them.
///
/// How an object grows in place:
///
/// 1. It keeps in its own memory up to where it is committed, a word that only ever grows, and touches nothing beyond. What
///    it has at first is what `committed` said.
/// 2. Who needs more calls [`commit`](Self::commit) with the object's region and the bytes from that end to the new one, in
///    steps of some pages at least, as each is a system call. Two may do so at a time.
/// 3. When it has returned `Ok`, and not before, it stores the new end, with Release: under a lock of the object's, or as a
///    maximum.
///
/// Killed between the two, the memory is there and nobody knows: the next one commits the same bytes again, which takes no
/// more memory. New bytes are zeros.
///
/// Where all memory is there from the beginning both calls do nothing, as the default is: an implementation for an array, a
/// mapping of one's own or a model is empty.
///
/// # Safety
///
/// When `commit` has returned `Ok`, the bytes must be there for as long as the region is mapped. When `discard` has returned
/// true, they must be zero.
///
/// [may grow]: https://docs.rs/shmkit-segment
pub unsafe trait Commit {
    /// Has the memory behind the bytes of a region from `from` to before `to`, in bytes from the region's first. What was
    /// written to them is there still.
    ///
    /// # Errors
    ///
    /// [`CommitError`]. What was there stays; of the rest some may be there.
    fn commit(&self, region: Region<'_>, from: u64, to: u64) -> Result<(), CommitError> {
        let _ = (region, from, to);
        Ok(())
    }

    /// Gives the memory behind these bytes back, which nobody uses until they are committed anew, and are zero then.
    ///
    /// Returns whether that was done. If not, they are what they were, or some of them zero.
    fn discard(&self, region: Region<'_>, from: u64, to: u64) -> bool {
        let _ = (region, from, to);
        false
    }
}

// SAFETY: the same answers.
unsafe impl<C: Commit + ?Sized> Commit for &C {
    fn commit(&self, region: Region<'_>, from: u64, to: u64) -> Result<(), CommitError> {
        (**self).commit(region, from, to)
    }

    fn discard(&self, region: Region<'_>, from: u64, to: u64) -> bool {
        (**self).discard(region, from, to)
    }
}

/// Why the memory behind reserved bytes is not to be had. What was there before is there still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitError {
    /// The file system, or the machine, has no room for them.
    NoRoom {
        /// How many bytes were asked for.
        needed: u64,
        /// How many bytes the file system has left, if it says so.
        left: Option<u64>,
    },
    /// A file of this process may not become so long (RLIMIT_FSIZE).
    TooLong {
        /// How long it would be, in bytes.
        needed: u64,
    },
    /// Somebody has cut the file off.
    Truncated {
        /// Its length, in bytes.
        found: u64,
        /// What its length was, in bytes.
        expected: u64,
    },
    /// Something in this process has closed the file's descriptor, and no name leads to the file.
    NoDescriptor,
    /// The system failed in a way that has no meaning of its own here.
    System {
        /// The number of its error.
        errno: i32,
    },
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoRoom { needed, left: Some(left) } => write!(
                f,
                "{needed} bytes more are needed, and the file system has {left} left: remove what is unused (`shmkit gc`), or enlarge it (`mount -o remount,size=…`)"
            ),
            Self::NoRoom { needed, left: None } => {
                write!(f, "{needed} bytes more are needed, and the machine has not so much memory")
            }
            Self::TooLong { needed } => write!(
                f,
                "the file would be {needed} bytes long, more than a file of this process may be: raise RLIMIT_FSIZE (`ulimit -f`)"
            ),
            Self::Truncated { found, expected } => write!(
                f,
                "the file has {found} bytes where it had {expected}: somebody has cut it off, and who touches the rest dies of it; leave the segment, remove it and make it anew"
            ),
            Self::NoDescriptor => f.write_str(
                "its descriptor was closed, and maybe used for another file, by something in this process, and no name leads to it: leave the descriptors of segments alone",
            ),
            Self::System { errno } => write!(f, "the system gave no memory for it (errno {errno})"),
        }
    }
}

impl Error for CommitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_says_what_was_found_and_what_to_do() {
        let text = |error: CommitError| error.to_string();
        let no_room = text(CommitError::NoRoom { needed: 7, left: Some(3) });
        assert!(no_room.contains("7 bytes more") && no_room.contains("3 left"), "{no_room}");
        assert!(no_room.contains("gc"), "{no_room}");
        assert!(text(CommitError::NoRoom { needed: 7, left: None }).contains("machine"));
        assert!(text(CommitError::TooLong { needed: 9 }).contains("RLIMIT_FSIZE"));
        let cut = text(CommitError::Truncated { found: 1, expected: 2 });
        assert!(cut.contains("has 1 bytes where it had 2"), "{cut}");
        assert!(text(CommitError::NoDescriptor).contains("descriptor"));
        assert!(text(CommitError::System { errno: 5 }).contains("errno 5"));
    }
}
