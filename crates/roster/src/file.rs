//! A descriptor that is kept for long: a number that the program may have given to something else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Relaxed;

use crate::description::{Node, Status, open_same};
use crate::mark::{is_marked, mark};

/// A descriptor that is kept for long, in a program that may close it: a daemon's `close_range` does, and the next file
/// that the program opens may get its number. So whoever uses it [asks](Self::get) first, and it is closed only if it
/// still leads to its file.
///
/// A participant has one of its roster's file. No lock belongs to that one's description.
#[derive(Debug)]
pub struct KeptFile {
    /// The number, changed when the file was opened anew.
    number: AtomicU32,
    node: Node,
    /// Not if it only names its file (`O_PATH`).
    can_be_marked: bool,
    /// Whether it stays open when this is dropped.
    stays_open: bool,
}

impl KeptFile {
    /// Keeps a descriptor.
    ///
    /// # Errors
    ///
    /// It cannot be asked which file it leads to.
    pub fn new(file: OwnedFd) -> io::Result<Self> {
        mark(file.as_fd());
        Self::keep(file, true)
    }

    /// Keeps a descriptor that only names its file (`O_PATH`), and that no child inherits.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_path(file: OwnedFd) -> io::Result<Self> {
        Self::keep(file, false)
    }

    fn keep(file: OwnedFd, can_be_marked: bool) -> io::Result<Self> {
        let node = Status::of(file.as_fd())?.node;
        Ok(Self { number: AtomicU32::new(stored(file)), node, can_be_marked, stays_open: false })
    }

    /// Returns whether the other one leads to the same file.
    pub fn is_same(&self, other: &Self) -> bool {
        self.node == other.node
    }

    pub(crate) fn keep_open(&mut self, stays_open: bool) {
        self.stays_open = stays_open;
    }

    pub(crate) fn node(&self) -> Node {
        self.node
    }

    /// The descriptor as it is, whatever it leads to.
    pub(crate) fn unchecked(&self) -> BorrowedFd<'_> {
        // Relaxed, here and below: a number publishes nothing; what it leads to is the kernel's to order.
        borrowed(self.number.load(Relaxed))
    }

    /// Returns the descriptor, if it leads to the file; if not, a new one, by `path`, which takes its place.
    ///
    /// # Errors
    ///
    /// It leads elsewhere or nowhere, and so does `path`.
    pub fn get(&self, path: Option<&Path>) -> io::Result<BorrowedFd<'_>> {
        let found = self.number.load(Relaxed);
        if self.is_ours(borrowed(found)) {
            return Ok(borrowed(found));
        }
        let new = path.and_then(|path| open_same(path, self.node)).ok_or(Errno::EBADF)?;
        mark(new.as_fd());
        let new = stored(new);
        match self.number.compare_exchange(found, new, Relaxed, Relaxed) {
            Ok(_) => Ok(borrowed(new)),
            Err(theirs) => {
                // Another thread was faster.
                close(new);
                Ok(borrowed(theirs))
            }
        }
    }

    fn is_ours(&self, file: BorrowedFd<'_>) -> bool {
        Status::of(file).is_ok_and(|status| status.node == self.node)
    }
}

impl Drop for KeptFile {
    fn drop(&mut self) {
        let number = self.number.load(Relaxed);
        let file = borrowed(number);
        // What the program has put there of the same file lacks a mark: it is not ours to close.
        if !self.stays_open && self.is_ours(file) && is_marked(file, self.can_be_marked) {
            close(number);
        }
    }
}

fn stored(file: OwnedFd) -> u32 {
    file.into_raw_fd().cast_unsigned()
}

fn number(stored: u32) -> RawFd {
    stored.cast_signed()
}

fn borrowed<'f>(stored: u32) -> BorrowedFd<'f> {
    // SAFETY: a descriptor that was owned when its number was stored, so it is not -1, and that only `KeptFile`'s drop
    // closes, which outlives what `get` and `unchecked` return. If the program closed it, the kernel refuses the
    // number, or leads to another file, which `is_ours` and the answers' proof tell.
    unsafe { BorrowedFd::borrow_raw(number(stored)) }
}

fn close(stored: u32) {
    // SAFETY: `stored` was given up by `OwnedFd::into_raw_fd`, and is given back once: by who could not store it, or by
    // the drop of who did.
    drop(unsafe { OwnedFd::from_raw_fd(number(stored)) });
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::testing::memfd;

    /// A directory of this test, with a file in it.
    fn named() -> (tempfile::TempDir, std::path::PathBuf, OwnedFd) {
        let directory =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let path = directory.path().join("file");
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap()
            .into();
        (directory, path, file)
    }

    /// What a program does that closes all descriptors and opens another file.
    fn take_number(data: &KeptFile) {
        let (stranger, fd) = (memfd(), data.unchecked().as_raw_fd());
        // SAFETY: the number is ours; that its owner does not know is the test.
        assert_eq!(unsafe { libc::dup2(stranger.as_raw_fd(), fd) }, fd);
    }

    #[test]
    fn a_foreign_descriptor_is_replaced_by_path_and_left_open() {
        let (_directory, path, file) = named();
        let data = KeptFile::new(file).unwrap();
        let was = data.get(None).unwrap().as_raw_fd();
        take_number(&data);
        assert!(data.get(None).is_err(), "nothing leads to the file");
        let now = data.get(Some(&path)).unwrap();
        assert_ne!(now.as_raw_fd(), was);
        assert_eq!(Status::of(now).unwrap().node, data.node());
        assert_eq!(data.unchecked().as_raw_fd(), now.as_raw_fd(), "it is kept");
        // A name that leads elsewhere by now.
        take_number(&data);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another").unwrap();
        assert!(data.get(Some(&path)).is_err());
        let last = data.unchecked().as_raw_fd();
        drop(data);
        for number in [was, last] {
            // SAFETY: asks which file a number leads to.
            let left = unsafe { BorrowedFd::borrow_raw(number) };
            assert!(Status::of(left).is_ok(), "not ours to close");
            close(number.cast_unsigned());
        }
    }

    /// What a program does that closes all descriptors and opens the same file.
    #[test]
    fn a_descriptor_of_the_same_file_that_the_program_put_there_is_left_open() {
        let (_directory, path, file) = named();
        let dup = file.try_clone().unwrap();
        let opened: OwnedFd = std::fs::File::open(&path).unwrap().into();
        for (theirs, flags) in [(&opened, libc::O_CLOEXEC), (&opened, 0), (&dup, 0)] {
            let data = KeptFile::new(file.try_clone().unwrap()).unwrap();
            let fd = data.unchecked().as_raw_fd();
            // SAFETY: the number is ours; that its owner does not know is the test.
            assert_eq!(unsafe { libc::dup3(theirs.as_raw_fd(), fd, flags) }, fd);
            assert_eq!(data.get(None).unwrap().as_raw_fd(), fd, "it leads to the file");
            drop(data);
            // SAFETY: asks which file a number leads to.
            let left = unsafe { BorrowedFd::borrow_raw(fd) };
            assert!(Status::of(left).is_ok(), "not ours to close");
            close(fd.cast_unsigned());
        }
        let data = KeptFile::new(file).unwrap();
        let fd = data.unchecked().as_raw_fd();
        let _no_forks = crate::NoForks::hold();
        drop(data);
        // SAFETY: asks for the flags of a number; it may be another test's by now, of another file.
        let left = unsafe { BorrowedFd::borrow_raw(fd) };
        let node = Status::of(dup.as_fd()).unwrap().node;
        assert!(
            Status::of(left).is_ok_and(|status| status.node != node) || Status::of(left).is_err()
        );
    }

    #[test]
    fn a_descriptor_that_cannot_be_marked_is_closed_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_DIRECTORY;
        let mode = nix::sys::stat::Mode::empty();
        let flags = flags | nix::fcntl::OFlag::O_CLOEXEC;
        let file = nix::fcntl::open(directory.path(), flags, mode).unwrap();
        let kept = KeptFile::of_path(file).unwrap();
        let (fd, node) = (kept.unchecked().as_raw_fd(), kept.node());
        drop(kept);
        // SAFETY: asks which file a number leads to; it may be another test's by now.
        let left = unsafe { BorrowedFd::borrow_raw(fd) };
        assert!(
            Status::of(left).is_ok_and(|status| status.node != node) || Status::of(left).is_err()
        );
    }
}
