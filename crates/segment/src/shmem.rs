//! For programs that move over from `shared_memory`: our primitives in a [`Shmem`] that they already have.
//!
//! A region and a descriptor are all that a roster and its primitives need; the program's own bytes stay where they
//! are. `examples/moving_over.rs` shows the whole way: one lock moves over, the rest of the program stays as it is.
//!
//! What this does *not* do: give a `Shmem` the life cycle of a [`Segment`](crate::Segment). It is found before it is
//! whole, it is removed by its owner alone, and stays for ever if that one is killed: make a segment in the end.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use shared_memory::Shmem;
use shmkit_layout::Region;

use crate::SegmentError;
use crate::error::{ErrorKind, Failure};
use crate::file::{allocate, retry};
use crate::inspect::Status;
use crate::name::DIRECTORY;

/// Returns the bytes of a `Shmem`, and a descriptor of its file for [`Participant::join`].
///
/// All the memory is allocated: `shared_memory` leaves that to the first write, which is a SIGBUS when `/dev/shm` is
/// full.
///
/// [`Participant::join`]: shmkit_roster::Participant::join
///
/// # Errors
///
/// [`NotFound`](ErrorKind::NotFound) if the owner has removed the file, [`NoSpace`](ErrorKind::NoSpace),
/// [`Truncated`](ErrorKind::Truncated) if the file is shorter than the mapping.
///
/// # Safety
///
/// As long as the region is used, its bytes must be used by it alone, or by others only where no primitive lies; and
/// nobody may cut the file off.
///
/// # Examples
///
/// ```
/// use shared_memory::ShmemConf;
/// use shmkit_layout::Region;
/// use shmkit_roster::{Description, Link, Participant, Roster};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shmem = ShmemConf::new().size(64 << 10).create()?;
/// // SAFETY: this program uses the bytes from 4096 on for shmkit, and for nothing else.
/// let (region, file) = unsafe { shmkit_segment::shmem::region(&shmem) }?;
/// let place = region.sub(4096, Roster::bytes(16))?;
/// // SAFETY: new bytes are zero, and nobody knows of them yet.
/// let roster = unsafe { Roster::init(place, 16) }?;
/// let me = Participant::join(roster, file, Description::Proc, Link::Named)?;
/// assert!(me.id().is_some());
/// # Ok(())
/// # }
/// ```
pub unsafe fn region(shmem: &Shmem) -> Result<(Region<'_>, OwnedFd), SegmentError> {
    let name = shmem.get_os_id().trim_start_matches('/');
    let path = Path::new(DIRECTORY).join(name);
    let run = || {
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = retry(|| open(&path, flags, Mode::empty())).map_err(|errno| match errno {
            Errno::ENOENT => Failure::new(
                ErrorKind::NotFound,
                format!("there is no {}: its owner has dropped it, make it anew", path.display()),
            )
            .caused_by(errno),
            errno => Failure::os(errno, format_args!("opening {}", path.display())),
        })?;
        let len = shmem.len() as u64;
        let status = Status::of(file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?;
        if status.size < len {
            return Err(Failure::new(
                ErrorKind::Truncated,
                format!(
                    "{} has {} bytes where {len} are mapped: it was cut off or made anew, open it \
                     again",
                    path.display(),
                    status.size
                ),
            ));
        }
        allocate(file.as_fd(), len)
            .map_err(|errno| Failure::os(errno, format_args!("allocating {len} bytes")))?;
        let base = NonNull::new(shmem.as_ptr()).expect("a mapping is not at 0");
        // SAFETY: `len` bytes from `base` are mapped for reading and writing as long as `shmem` is borrowed; how others
        // use them is the caller's promise.
        Ok((unsafe { Region::from_raw_parts(base, shmem.len()) }, file))
    };
    run().map_err(|failure| failure.during(format!("use the shared memory {name:?}")))
}
