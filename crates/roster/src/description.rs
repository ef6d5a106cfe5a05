//! How a participant comes to a file description of its own.

use core::ffi::CStr;
use core::fmt;
use core::ops::Range as Span;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{self, FcntlArg, FdFlag, OFlag};
use nix::sys::stat::{Mode, fstat};

use crate::mark::{carries_mark, is_used};
use crate::{JoinError, JoinErrorKind};

/// Where the private description comes from that carries a participant's locks.
///
/// It must be nobody else's: a lock belongs to the description, and lives as long as anybody has it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Description {
    /// Reopen the descriptor through `/proc/thread-self/fd`: the usual way.
    Proc,
    /// Open this name again; it must lead to the same file. The path is kept, so that a participant whose descriptor
    /// was closed by somebody can still ask who is alive.
    Path(PathBuf),
    /// A description that was opened for this participant: by the sender, who passed it and closed its own copy.
    ///
    /// For a receiver without `/proc`, without permission to open the file, or in a sandbox. It must be open for
    /// reading and writing, and received with `MSG_CMSG_CLOEXEC`: a program that another thread starts before the join
    /// sets the flag itself would inherit it, as a child forked between receiving and joining does.
    ///
    /// Where the receiver can open files through `/proc` after all, the ticket only says which, and it does not matter
    /// who else has it. Where it cannot, the ticket itself carries the locks:
    ///
    /// - Whoever else has it (a sender that keeps its copy, a child) keeps the participant's place after its death. To join
    ///   by it as well is refused ([`JoinErrorKind::TicketUsed`](crate::JoinErrorKind::TicketUsed)).
    /// - If it is a duplicate of somebody's *data* descriptor, that somebody does not see the locks, takes the living
    ///   participant for dead, and robs it. Only the receiver's own data descriptor is recognised
    ///   ([`JoinErrorKind::Ticket`](crate::JoinErrorKind::Ticket)). Send nothing but a description that was opened for
    ///   it: with segments, what `Segment::ticket` made.
    Ticket(OwnedFd),
}

/// Whether the file is to be found by name.
///
/// Closed: a file has names or has none.
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
    // This thread's: `/proc/self` shows the descriptors of the main thread, which may have ended, or have others.
    open_link(format_args!("/proc/thread-self/fd/{}", file.as_raw_fd()))
}

/// Opens another description of the file that is mapped at these addresses, and may have no descriptor and no name. The
/// kernel lets only those do so who may restore checkpoints: root, above all.
pub(crate) fn open_mapping(mapping: &Span<usize>) -> io::Result<OwnedFd> {
    open_link(format_args!("/proc/self/map_files/{:x}-{:x}", mapping.start, mapping.end))
}

fn open_link(link: fmt::Arguments<'_>) -> io::Result<OwnedFd> {
    // On the stack, as all that happens under the join lock (see `atfork`); the rest stays zero.
    let mut path = [0; 64];
    path[..].as_mut().write_fmt(link)?;
    let path = CStr::from_bytes_until_nul(&path).map_err(io::Error::other)?;
    open_by(path, OFlag::O_RDWR | OFlag::O_CLOEXEC)
}

/// Returns a description of the ticket's file that nobody else has: another one if it can be opened, which leaves the
/// ticket in its place, or else the ticket.
pub(crate) fn redeem(ticket: &mut Option<OwnedFd>) -> Result<OwnedFd, JoinError> {
    let failed = |error: io::Error| JoinError::with(JoinErrorKind::Description, error);
    let fd = ticket.as_ref().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    // No fork handlers run in `posix_spawn`: the program that it starts must not keep what will carry the locks.
    fcntl::fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map_err(|errno| failed(errno.into()))?;
    match reopen(fd.as_fd()) {
        Ok(own) => Ok(own),
        // Not for lack of a number: the ticket may be somebody's data descriptor.
        Err(e) if is_out_of_descriptors(&e) => Err(failed(e)),
        // Its locks would stand for two: whoever asks by the same description does not see them.
        Err(_) if carries_mark(fd.as_fd()) => Err(JoinError::new(JoinErrorKind::Ticket)),
        // Or neither's death would free them.
        Err(_) if is_used(fd.as_fd()) => Err(JoinError::new(JoinErrorKind::TicketUsed)),
        Err(_) => ticket.take().ok_or_else(|| failed(io::ErrorKind::NotFound.into())),
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let full = [Errno::EMFILE, Errno::ENFILE].map(|errno| errno as i32);
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

/// Opens another description of the file called `path`.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    // A name may have been made a symbolic link, or a pipe that nobody writes to.
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    open_by(path, flags)
}

/// Opens a file, again if a signal interrupts it.
fn open_by(path: &(impl NixPath + ?Sized), flags: OFlag) -> io::Result<OwnedFd> {
    loop {
        match fcntl::open(path, flags, Mode::empty()) {
            Err(Errno::EINTR) => {}
            opened => return Ok(opened?),
        }
    }
}

/// Returns a description of the file called `path` if it is `node`.
pub(crate) fn open_same(path: &Path, node: Node) -> Option<OwnedFd> {
    let file = open(path).ok()?;
    (Status::of(file.as_fd()).ok()?.node == node).then_some(file)
}
