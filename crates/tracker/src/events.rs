//! What the kernel tells of a folder: whose description of which file was closed.
//!
//! A participant's lock is kept by a description, and the description by a mapping. When its address space is gone the
//! kernel closes the description, says so to whoever watches the folder, and then gives the lock up. So a watcher hears of
//! every death without knowing who lives: in whatever PID namespace, however it joined, and once for each process.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd::read;

/// Bytes that are read at a time: some dozens of events.
const BUFFER: usize = 4 << 10;

/// Bytes of an event before its name.
const HEAD: usize = 16;

#[repr(align(8))]
struct Buffer([u8; BUFFER]);

/// A descriptor that tells of one folder, and of the register in it.
#[derive(Debug)]
pub(crate) struct Events {
    file: OwnedFd,
    folder: i32,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened<'b> {
    /// A description of a file that could be written to was closed.
    Closed(&'b [u8]),
    /// The same, of a file by its number: the description was made before the file had its name, by who made the segment.
    ClosedByMaker(u64),
    /// Something else about the register: whether it has a name still, above all.
    Register,
    /// More than the kernel could tell.
    Lost,
}

impl Events {
    pub(crate) fn of(folder: &CStr, register: BorrowedFd<'_>) -> Result<Self, Errno> {
        // SAFETY: a plain call.
        let file = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        Errno::result(file)?;
        // SAFETY: it was made a moment ago, and is nobody else's.
        let file = unsafe { OwnedFd::from_raw_fd(file) };
        let watch = |path: &CStr, mask| {
            // SAFETY: an open descriptor, and a string with its end.
            let number = unsafe { libc::inotify_add_watch(file.as_raw_fd(), path.as_ptr(), mask) };
            Errno::result(number)
        };
        let number = watch(folder, libc::IN_CLOSE_WRITE | libc::IN_ONLYDIR)?;
        let mut path = [0; 32];
        let _ = std::io::Write::write_fmt(
            &mut &mut path[..31],
            format_args!("/proc/self/fd/{}", register.as_raw_fd()),
        );
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::ENAMETOOLONG)?;
        // Without /proc nobody tells that the register was removed by force: the next who asks for a watcher makes another.
        let _ = watch(path, libc::IN_ATTRIB | libc::IN_DELETE_SELF);
        Ok(Self { file, folder: number })
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Shows everything that has happened.
    pub(crate) fn drain(&self, mut show: impl FnMut(Happened<'_>)) -> Result<(), Errno> {
        let mut buffer = Buffer([0; BUFFER]);
        loop {
            let len = match read(&self.file, &mut buffer.0) {
                Err(Errno::EAGAIN) | Ok(0) => return Ok(()),
                Err(Errno::EINTR) => continue,
                len => len?,
            };
            let mut rest = &buffer.0[..len];
            while let Some((happened, left)) = self.parse(rest) {
                rest = left;
                show(happened);
            }
        }
    }

    fn parse<'b>(&self, bytes: &'b [u8]) -> Option<(Happened<'b>, &'b [u8])> {
        let word = |at: usize| {
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
            word.map(u32::from_ne_bytes)
        };
        let (watch, mask, len) = (word(0)?.cast_signed(), word(4)?, word(12)? as usize);
        let (event, rest) = bytes.split_at_checked(HEAD + len)?;
        let name = CStr::from_bytes_until_nul(event.get(HEAD..)?).map_or(&b""[..], CStr::to_bytes);
        let happened = match name.split_first() {
            _ if mask & libc::IN_Q_OVERFLOW != 0 => Happened::Lost,
            _ if watch != self.folder => Happened::Register,
            // A nameless file is called by its number (`O_TMPFILE`).
            Some((b'#', number)) => match number_of(number) {
                Some(inode) => Happened::ClosedByMaker(inode),
                None => Happened::Closed(name),
            },
            _ => Happened::Closed(name),
        };
        Some((happened, rest))
    }
}

fn number_of(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}
