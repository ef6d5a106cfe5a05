//! How a participant comes to a file description of its own.

use core::ffi::CStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{self, OFlag};
use nix::sys::stat::{Mode, fstat};

/// Where the private description comes from that carries a participant's locks.
///
/// It must be nobody else's: a lock belongs to the description, and lives as long as anybody has it.
#[derive(Debug)]
pub enum Description {
    /// Reopen the descriptor through `/proc/self/fd`: the usual way.
    Proc,
    /// Open this name again; it must lead to the same file. The path is kept, so that a participant whose descriptor
    /// was closed by somebody can still ask who is alive.
    Path(PathBuf),
    /// A description that was opened for this participant: by the sender, who passed it and closed its own copy.
    ///
    /// For a receiver without `/proc`, without permission to open the file, or in a sandbox. It must be open for
    /// reading and writing. A sender that keeps its copy, or a child forked between receiving and joining, keeps the
    /// participant's place after its death.
    Ticket(OwnedFd),
}

/// Whether the file is to be found by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It has a name: to join it when the name is gone is [`Unlinked`](crate::JoinErrorKind::Unlinked).
    Named,
    /// It has none, or none yet: a memfd, a file made with `O_TMPFILE`.
    Nameless,
}

/// Which file a descriptor leads to. As long as somebody has it open, no other file can have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    device: u64,
    inode: u64,
}

/// What `fstat` says of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    pub(crate) node: Node,
    /// Number of names.
    pub(crate) links: u64,
    /// Size of a block, in bytes; a page, or a huge page.
    pub(crate) block: usize,
}

impl Status {
    #[allow(clippy::useless_conversion, reason = "the fields' types differ between targets")]
    pub(crate) fn of(file: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = fstat(file)?;
        let node = Node { device: stat.st_dev.into(), inode: stat.st_ino.into() };
        let block = usize::try_from(stat.st_blksize).unwrap_or(0);
        Ok(Self { node, links: stat.st_nlink.into(), block })
    }
}

/// Opens another description of the file behind `file`, through `/proc`.
pub(crate) fn reopen(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // On the stack, as all that happens under the join lock (see `atfork`); the rest stays zero.
    let mut path = [0; 32];
    write!(&mut path[..], "/proc/self/fd/{}", file.as_raw_fd())?;
    let path = CStr::from_bytes_until_nul(&path).map_err(io::Error::other)?;
    Ok(fcntl::open(path, OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// Opens another description of the file called `path`.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    // A name may have been made a symbolic link, or a pipe that nobody writes to.
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    Ok(fcntl::open(path, flags, Mode::empty())?)
}

/// Returns a description of the file called `path` if it is `node`.
pub(crate) fn open_same(path: &Path, node: Node) -> Option<OwnedFd> {
    let file = open(path).ok()?;
    (Status::of(file.as_fd()).ok()?.node == node).then_some(file)
}
