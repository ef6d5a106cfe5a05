//! The first page of the register: whether the segment outlives its participants.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use shmkit_layout::{Header, Region};

/// Bytes of a header.
const LEN: NonZeroUsize = NonZeroUsize::new(size_of::<Header>()).unwrap();

/// Says in the header whether the segment is persistent; nothing is written if it says so already.
pub(crate) fn set_persistent(file: BorrowedFd<'_>, is_wanted: bool) -> Result<(), Errno> {
    let mut bytes = [0; size_of::<Header>()];
    let len = nix::sys::uio::pread(file, &mut bytes, 0)?;
    let header = Header::parse(&bytes[..len], u64::MAX).map_err(|_| Errno::EINVAL)?;
    if header.is_persistent_for_ever() == is_wanted {
        return Ok(());
    }
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: anywhere; the file is open for reading and writing, and had a header a moment ago.
    let base = unsafe { mmap(None, LEN, access, MapFlags::MAP_SHARED, file, 0) }?;
    // SAFETY: the mapping above, of so many bytes, which others map as well: a region is for that.
    let region = unsafe { Region::from_raw_parts(base.cast(), LEN.get()) };
    let done = Header::set_persistence(region, is_wanted).map_err(|_| Errno::EINVAL);
    // SAFETY: the mapping above, which nobody borrows any more.
    let unmapped = unsafe { munmap(base, LEN.get()) };
    done.and(unmapped)
}
