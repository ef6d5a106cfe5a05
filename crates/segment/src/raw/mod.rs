//! Raw segments: bytes under a name, and nothing else, for programs that know nothing of shmkit.
//!
//! ```text
//! 0 the user's bytes … size        in /dev/shm/NAME
//! ```

mod options;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process;

use memmap2::MmapRaw;
use nix::errno::Errno;
use nix::unistd::unlink;
use shmkit_layout::Region;
use shmkit_roster::KeptFile;

use crate::SegmentError;
use crate::error::{ErrorKind, Failure};
use crate::mapping;
use crate::name::Place;
use crate::remove::nameless;
use crate::status::Status;

pub use self::options::RawOptions;

/// Bytes under a name, as POSIX's `shm_open` and Python's `multiprocessing.shared_memory.SharedMemory` make them.
///
/// It is for what has to be shared with programs of other languages. Its file holds no header, no roster and no directory:
/// all of it is the user's, and its name is exactly the one that is given.
///
/// ```
/// use shmkit_segment::{RawOptions, RawSegment};
///
/// # fn main() -> Result<(), shmkit_segment::SegmentError> {
/// # let name = &format!("doc-raw-{}", std::process::id());
/// let ours = RawOptions::new().remove_on_drop(true).create(name, 512)?;
/// ours.write(0, b"hello")?;
/// // In Python: SharedMemory(name=…).buf[:5]
/// let mut bytes = [0; 5];
/// RawSegment::open(name)?.read(0, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// # Ok(())
/// # }
/// ```
///
/// # What it is not
///
/// Nobody takes part in it, so nobody can say whether it is used: it stays until somebody [unlinks](Self::unlink) it, and no
/// sweep looks at it. Only with [`remove_on_drop`](RawOptions::remove_on_drop) it goes with this handle; after a kill it stays.
/// Nothing tells who writes: what is read while others write may be of both. For locks, and for what goes with its last user,
/// make a [`Segment`](crate::Segment).
///
/// All its memory is allocated, whoever made it, so that no access meets a full file system. But whoever may write to
/// the file may cut it off, and then an access beyond its end is a SIGBUS: no program does that to memory that is shared, and
/// neither CPython nor this crate does.
///
/// # Python
///
/// `SharedMemory(name=NAME)` opens what is made here, and [`open`](Self::open) what Python made. Up to Python 3.12, and from 3.13 on
/// unless it is told `track=False`, Python also *removes* what it only opened: its resource tracker takes every process
/// that opens a name for one that has to clean it up, and unlinks the name when that one ends, under everybody else
/// ([gh-82300]). The cure, for every version, which is also in this crate's folder `python`, and leaves it to others to unlink:
///
/// ```python
#[doc = include_str!("../../python/untracked.py")]
/// ```
///
/// [gh-82300]: https://github.com/python/cpython/issues/82300
pub struct RawSegment {
    mapping: MmapRaw,
    file: KeptFile,
    place: Place,
    was_created: bool,
    /// The process that removes the name when it drops this. A forked child does not.
    remover: Option<u32>,
}

impl RawSegment {
    /// Makes a new one of `size` bytes, all zero; see [`RawOptions::create`].
    ///
    /// # Errors
    ///
    /// Those of [`RawOptions::create`].
    pub fn create(name: &str, size: u64) -> Result<Self, SegmentError> {
        RawOptions::new().create(name, size)
    }

    /// Opens what this program or another one has made; see [`RawOptions::open`].
    ///
    /// # Errors
    ///
    /// Those of [`RawOptions::open`].
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        RawOptions::new().open(name)
    }

    /// Returns its name: that of its file.
    pub fn name(&self) -> &str {
        // It was opened or made by a `str` (`Place::raw`).
        self.place.name().to_str().unwrap_or_default()
    }

    /// Returns the path of its file.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Returns its size, in bytes: at least 1.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u64 {
        self.mapping.len() as u64
    }

    /// Returns whether this handle made it.
    pub fn was_created(&self) -> bool {
        self.was_created
    }

    /// Copies bytes out, from byte `start` on. Each byte is read on its own: what others write meanwhile may be in it or not.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](ErrorKind::OutOfBounds) if they do not all lie in it; then none is copied.
    pub fn read(&self, start: u64, to: &mut [u8]) -> Result<(), SegmentError> {
        let len = to.len();
        self.bytes().read_bytes(start, to).map_err(|_| self.out_of_bounds("read", start, len))
    }

    /// Copies bytes in, from byte `start` on. Each byte is written on its own: who is killed meanwhile leaves some of them.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](ErrorKind::OutOfBounds) if they do not all lie in it; then none is copied.
    pub fn write(&self, start: u64, from: &[u8]) -> Result<(), SegmentError> {
        let len = from.len();
        self.bytes().write_bytes(start, from).map_err(|_| self.out_of_bounds("write", start, len))
    }

    /// Returns its bytes.
    ///
    /// # Safety
    ///
    /// A region lends atomics of any size at any place, and copies by atomics as wide as the copied type is aligned, up to
    /// 8 bytes; [`read`](Self::read) and [`write`](Self::write) copy byte by byte. Whoever uses the bytes, in this process
    /// or another, must access each of them by atomics of one size, as long as somebody may write to it meanwhile: to mix
    /// sizes is a data race. A program in another language takes part in that by what its own stores are.
    ///
    /// Nothing borrowed from it outlives the mapping (SHM-23: in Python a use after `close`):
    ///
    /// ```compile_fail,E0505
    /// # fn main() -> Result<(), shmkit_segment::SegmentError> {
    /// let raw = shmkit_segment::RawSegment::open("it")?;
    /// // SAFETY: nobody else uses the bytes.
    /// let region = unsafe { raw.region() };
    /// drop(raw);
    /// println!("{}", region.len());
    /// # Ok(())
    /// # }
    /// ```
    pub unsafe fn region(&self) -> Region<'_> {
        self.bytes()
    }

    fn bytes(&self) -> Region<'_> {
        // SAFETY: the mapping lives as long as the borrow of `self`.
        unsafe { mapping::whole(&self.mapping) }
    }

    /// Returns whether the name leads to this memory still. If not, somebody has removed it, and may have made another one of
    /// the same name.
    pub fn is_linked(&self) -> bool {
        self.named().is_ok()
    }

    /// Removes the name. Whoever has it open keeps it, and nobody can open it any more.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound) if the name does not lead to this memory any more;
    /// [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn unlink(&self) -> Result<(), SegmentError> {
        self.remove().map_err(|failure| failure.during(format!("unlink {self:?}")))
    }

    fn remove(&self) -> Result<(), Failure> {
        self.named()?;
        remove(&self.place)
    }

    /// Checks that the name leads to this file. This process has it mapped, so that no other file can have its number.
    fn named(&self) -> Result<(), Failure> {
        let found = self.place.status().map_err(|errno| nameless().caused_by(errno))?;
        let file = self.kept()?;
        let ours = Status::of(file).map_err(|errno| Failure::os(errno, "fstat"))?;
        match (found.device, found.inode) == (ours.device, ours.inode) {
            true => Ok(()),
            false => Err(nameless()),
        }
    }

    /// Returns the descriptor of its file. It stays ours: do not close it.
    ///
    /// # Errors
    ///
    /// [`NoDescriptor`](ErrorKind::NoDescriptor): something in this process has closed it, and the name leads elsewhere.
    pub fn file(&self) -> Result<BorrowedFd<'_>, SegmentError> {
        self.kept().map_err(|failure| failure.during(format!("find the descriptor of {self:?}")))
    }

    fn kept(&self) -> Result<BorrowedFd<'_>, Failure> {
        self.file.get(Some(self.place.path())).map_err(|error| {
            let detail = "something in this process has closed it, and the name leads elsewhere";
            Failure::new(ErrorKind::NoDescriptor, detail).caused_by(error)
        })
    }

    fn out_of_bounds(&self, verb: &str, start: u64, len: usize) -> SegmentError {
        let size = self.len();
        Failure::new(
            ErrorKind::OutOfBounds,
            format!("they do not all lie inside its {size} bytes: ask for less, or begin earlier"),
        )
        .during(format!("{verb} {len} bytes at byte {start} of {self:?}"))
    }
}

/// Removes a name that was looked at.
fn remove(place: &Place) -> Result<(), Failure> {
    unlink(place.path()).map_err(|errno| match errno {
        Errno::ENOENT => nameless().caused_by(errno),
        errno => Failure::os(errno, format_args!("removing {}", place.path().display())),
    })
}

impl Drop for RawSegment {
    fn drop(&mut self) {
        if self.remover == Some(process::id()) {
            // Nobody could be told, and somebody else may have removed it.
            let _ = self.remove();
        }
    }
}

impl fmt::Debug for RawSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSegment").field("name", &self.name()).field("len", &self.len()).finish()
    }
}
