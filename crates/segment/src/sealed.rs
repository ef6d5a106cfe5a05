//! Memory that nobody can write to any more: for who does not trust the other side.

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use memmap2::{Advice, Mmap, MmapMut, MmapOptions};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use shmkit_layout::ShmSafe;
use shmkit_roster::{KeptFile, NoForks};

use crate::SegmentError;
use crate::error::{ErrorKind, Failure};
use crate::file;
use crate::status::Status;

/// Bytes that were written once and that nobody can change, cut off or let grow any more, whoever has them: not who made
/// them, not the receiver, not a third one. The kernel sees to it, by the seals of a [memory file].
///
/// It is what can be shared with a *hostile* peer. Everything else in this crate is for peers that cooperate: whoever may
/// write to a segment may do anything to it. Here it holds in both directions: who receives such memory need not trust who
/// made it, as the seals are looked at before anything else is, and who made it hands over nothing that can be written to.
///
/// There is no name, no header, no roster and no place in it: who has the descriptor has the bytes, and when the last one
/// has dropped it, they are gone. For a stream of messages make one for each.
///
/// # What it is not
///
/// The bytes are what the maker wanted them to be: a receiver checks what they mean, as it would with a message from a
/// socket, but need not copy them first, since they cannot change between the check and the use.
///
/// # Examples
///
/// ```
/// use shmkit_segment::SealedMemory;
///
/// # fn main() -> Result<(), shmkit_segment::SegmentError> {
/// let made = SealedMemory::new(5, |bytes| bytes.copy_from_slice(b"hello"))?;
/// // Another process has been sent the descriptor, through a socket or by inheritance:
/// let file = made.file()?.try_clone_to_owned().unwrap();
/// let received = SealedMemory::from_owned_fd(file)?;
/// assert_eq!(&received[..], b"hello");
/// # Ok(())
/// # }
/// ```
///
/// [memory file]: https://man7.org/linux/man-pages/man2/memfd_create.2.html
pub struct SealedMemory {
    mapping: Mmap,
    file: KeptFile,
}

/// Nobody can change the bytes, their number, or these seals.
const SEALS: SealFlag = SealFlag::F_SEAL_WRITE
    .union(SealFlag::F_SEAL_SHRINK)
    .union(SealFlag::F_SEAL_GROW)
    .union(SealFlag::F_SEAL_SEAL);

/// What must not be possible for the bytes to be borrowed. More may be.
const NEEDED: SealFlag = SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_SHRINK);

impl SealedMemory {
    /// Makes `len` bytes, zeros at first, which `fill` writes in place, and seals them.
    ///
    /// # Errors
    ///
    /// [`InvalidSize`](ErrorKind::InvalidSize) for a length of 0; no memory; and if the kernel cannot seal it, since
    /// something in this process still writes to it on its own (`io_uring`, or a raw `clone` of this moment).
    pub fn new(len: usize, fill: impl FnOnce(&mut [u8])) -> Result<Self, SegmentError> {
        let run = || {
            if len == 0 {
                let detail = "a length of 0 was asked for: ask for at least 1 byte";
                return Err(Failure::new(ErrorKind::InvalidSize, detail));
            }
            let file = file::unsealed_memory("shmkit-sealed", len as u64)?;
            let mut mapping = writable(&file, len)?;
            fill(&mut mapping);
            drop(mapping);
            fcntl(&file, FcntlArg::F_ADD_SEALS(SEALS))
                .map_err(|errno| Failure::os(errno, "F_ADD_SEALS"))?;
            Self::of(file)
        };
        run().map_err(|failure| failure.during(format!("make {len} bytes of sealed memory")))
    }

    /// Uses what another process has sent.
    ///
    /// # Errors
    ///
    /// [`NotSealed`](ErrorKind::NotSealed): somebody may write to it, or cut it off, now or later.
    pub fn from_owned_fd(file: OwnedFd) -> Result<Self, SegmentError> {
        Self::of(file).map_err(|failure| failure.during("use the sealed memory of a descriptor"))
    }

    fn of(file: OwnedFd) -> Result<Self, Failure> {
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain);
        match seals {
            Ok(seals) if seals.contains(NEEDED) => {}
            Ok(seals) => {
                return Err(not_sealed(&format!("its seals are {seals:?}")));
            }
            Err(errno) => return Err(not_sealed(&"it is no memory file").caused_by(errno)),
        }
        // After the seals: from then on it does not change.
        let size = Status::of(file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?.size;
        let fails = |error: std::io::Error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Failure::os(errno, format_args!("mapping {size} bytes"))
        };
        let len = usize::try_from(size).map_err(|_| Failure::os(Errno::ENOMEM, "mapping it"))?;
        // Private, as kernels before 6.7 take any shared mapping for one that may be written to.
        // SAFETY: the seals forbid everybody to write to the file or to shorten it, for ever, and a private mapping that is
        // never written through shows the file; to seal it nobody could have it mapped for writing.
        let mapping = unsafe { MmapOptions::new().len(len).map_copy_read_only(&file) };
        let mapping = mapping.map_err(fails)?;
        let file = KeptFile::new(file).map_err(fails)?;
        Ok(Self { mapping, file })
    }

    /// Returns a copy of the value that begins at byte `at`, of a type whose every bit pattern is a value. What it means is for
    /// who reads it to check; a [`Checked`](shmkit_layout::Checked) one checks whether it is one.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](ErrorKind::OutOfBounds) if its bytes do not all lie in the memory.
    pub fn read<T: ShmSafe>(&self, at: usize) -> Result<T, SegmentError> {
        let bytes = at.checked_add(size_of::<T>()).and_then(|end| self.get(at..end));
        bytes.map(bytemuck::pod_read_unaligned).ok_or_else(|| {
            let len = self.len();
            Failure::new(ErrorKind::OutOfBounds, format!("they do not all lie in its {len} bytes"))
                .during(format!("read {} bytes of sealed memory at byte {at}", size_of::<T>()))
        })
    }

    /// Returns the descriptor, to be sent to a process that [uses the memory](Self::from_owned_fd). It stays ours: do not
    /// close it.
    ///
    /// # Errors
    ///
    /// [`NoDescriptor`](ErrorKind::NoDescriptor): something in this process has closed it.
    pub fn file(&self) -> Result<BorrowedFd<'_>, SegmentError> {
        self.file.get(None).map_err(|_| {
            Failure::new(ErrorKind::NoDescriptor, "something in this process has closed it")
                .during("find the descriptor of sealed memory")
        })
    }
}

/// Maps a new file for the one time that it is written to. No child inherits the mapping: it would keep the seals off.
fn writable(file: &OwnedFd, len: usize) -> Result<MmapMut, Failure> {
    let no_forks = NoForks::hold().ok();
    // SAFETY: the file was made by this thread a moment ago, and nobody else has it.
    let mapping = unsafe { MmapOptions::new().len(len).map_mut(file) };
    let mapping = mapping.and_then(|mapping| {
        mapping.advise(Advice::DontFork)?;
        Ok(mapping)
    });
    drop(no_forks);
    mapping.map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Failure::os(errno, format_args!("mapping {len} bytes"))
    })
}

fn not_sealed(found: &dyn fmt::Display) -> Failure {
    Failure::new(
        ErrorKind::NotSealed,
        format!(
            "{found}, where {NEEDED:?} were expected: whoever has it may change it while it is \
             used, or cut it off; have it made by `SealedMemory::new`"
        ),
    )
}

impl Deref for SealedMemory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.mapping
    }
}

impl AsRef<[u8]> for SealedMemory {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for SealedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedMemory").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use nix::unistd::ftruncate;

    use super::*;

    #[test]
    fn nobody_can_change_what_is_sealed() {
        let made = SealedMemory::new(5000, |bytes| bytes.fill(7)).unwrap();
        assert!(made.len() == 5000 && made.iter().all(|&byte| byte == 7));
        let file = made.file().unwrap();
        for attempt in [
            nix::unistd::write(file, b"x").map(drop),
            ftruncate(file, 0),
            ftruncate(file, 10_000),
            fcntl(file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).map(drop),
        ] {
            assert_eq!(attempt, Err(Errno::EPERM));
        }
        // SAFETY: it must not succeed.
        let writable = unsafe { MmapOptions::new().len(5000).map_mut(&file) };
        assert_eq!(writable.unwrap_err().raw_os_error(), Some(libc::EPERM));
        let other = SealedMemory::from_owned_fd(file.try_clone_to_owned().unwrap()).unwrap();
        drop(made);
        assert_eq!((other.len(), other[4999]), (5000, 7));
        assert_eq!(other.read::<u16>(4997).unwrap(), 0x0707);
        for at in [4999, 5000, usize::MAX] {
            let error = other.read::<u16>(at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfBounds, "{error}");
        }
    }

    #[test]
    fn what_somebody_may_write_to_is_refused() {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let none = SealFlag::empty();
        for seals in [none, SealFlag::F_SEAL_WRITE, SealFlag::F_SEAL_SHRINK, NEEDED] {
            let file = memfd_create("test", flags).unwrap();
            ftruncate(&file, 100).unwrap();
            fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
            match SealedMemory::from_owned_fd(file) {
                Ok(sealed) => assert!(seals == NEEDED && sealed.len() == 100),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotSealed, "{error}");
                    assert!(seals != NEEDED && error.to_string().contains("SealedMemory::new"));
                }
            }
        }
        let file = tempfile::tempfile().unwrap().into();
        let error = SealedMemory::from_owned_fd(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSealed, "{error}");
        // A segment is sealed against other things.
        let segment = crate::Options::new(100).anonymous().unwrap();
        let file = segment.file().unwrap().try_clone_to_owned().unwrap();
        assert_eq!(SealedMemory::from_owned_fd(file).unwrap_err().kind(), ErrorKind::NotSealed);
        let error = SealedMemory::new(0, |_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSize);
    }

    #[test]
    fn a_panic_while_it_is_written_leaves_nothing_mapped() {
        let made = std::panic::catch_unwind(|| SealedMemory::new(100, |_| panic!("no data")));
        assert!(made.is_err());
    }
}
