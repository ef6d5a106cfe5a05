//! What is in a folder, without an allocation.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

/// Bytes that are read at a time: some dozens of entries. It is on the stack, once for each folder in a folder.
const BUFFER: usize = 2 << 10;

/// Where an entry's name begins: after its number, position, length and type.
const NAME: usize = 19;

#[repr(align(8))]
struct Buffer([u8; BUFFER]);

/// An entry of a folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'b> {
    pub(crate) inode: u64,
    pub(crate) name: &'b CStr,
    /// Whether it is a folder; `None` if the file system does not say.
    pub(crate) is_folder: Option<bool>,
}

/// Shows every entry but `.` and `..` to `look`, until that answers `false`.
pub(crate) fn each(
    folder: BorrowedFd<'_>,
    mut look: impl FnMut(Entry<'_>) -> bool,
) -> Result<(), Errno> {
    // A description of our own has a position of its own.
    let folder = open_folder(folder, c".")?;
    let mut buffer = Buffer([0; BUFFER]);
    loop {
        let to = buffer.0.as_mut_ptr();
        // SAFETY: an open folder, and room for so many bytes.
        let len = unsafe { libc::syscall(libc::SYS_getdents64, folder.as_raw_fd(), to, BUFFER) };
        let len = match Errno::result(len) {
            Err(Errno::EINTR) => continue,
            len => len? as usize,
        };
        if len == 0 {
            return Ok(());
        }
        let mut rest = &buffer.0[..len.min(BUFFER)];
        while let Some((entry, left)) = parse(rest) {
            rest = left;
            if !matches!(entry.name.to_bytes(), b"." | b"..") && !look(entry) {
                return Ok(());
            }
        }
    }
}

/// Opens a folder in a folder; a symbolic link is not followed.
pub(crate) fn open_folder(folder: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

fn parse(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let inode = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?);
    let len = u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?);
    let (entry, rest) = bytes.split_at_checked(usize::from(len))?;
    let is_folder = match *entry.get(18)? {
        libc::DT_UNKNOWN => None,
        kind => Some(kind == libc::DT_DIR),
    };
    let name = CStr::from_bytes_until_nul(entry.get(NAME..)?).ok()?;
    Some((Entry { inode, name, is_folder }, rest))
}
