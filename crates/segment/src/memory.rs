//! What a process asks of the kernel for the memory of a segment: that it is there, and stays.

use memmap2::{Advice, MmapRaw};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use crate::error::{ErrorKind, Failure};

/// What is asked for, in one process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) huge: bool,
    pub(crate) populated: bool,
    pub(crate) locked: bool,
}

impl Memory {
    /// Asks for it, for a mapping of which so many bytes are there.
    pub(crate) fn apply(self, mapping: &MmapRaw, size: u64) -> Result<(), Failure> {
        if self.huge {
            mapping.advise(Advice::HugePage).map_err(|error| no_huge_pages(errno(&error)))?;
        }
        if self.locked {
            lock(mapping)?;
        }
        if self.populated {
            // No more than is mapped, whose length is a `usize`.
            let len = (size as usize).min(mapping.len());
            populate(mapping.as_mut_ptr(), len).map_err(|errno| not_populated(errno, size))?;
        }
        Ok(())
    }
}

/// Has the pages of a mapping from `base` on in this process's page table, with all that is in them.
pub(crate) fn populate(base: *mut u8, len: usize) -> Result<(), Errno> {
    loop {
        // SAFETY: it changes no byte.
        let done = unsafe { libc::madvise(base.cast(), len, libc::MADV_POPULATE_WRITE) };
        match Errno::result(done) {
            // Signals interrupt it; what is done stays done.
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            other => return other.map(drop),
        }
    }
}

/// Locks each page as soon as it is there, those that the segment grows by, too.
fn lock(mapping: &MmapRaw) -> Result<(), Failure> {
    let (base, len) = (mapping.as_mut_ptr(), mapping.len());
    // SAFETY: it changes no byte; the lock goes with the mapping.
    let locked = unsafe { libc::mlock2(base.cast(), len, libc::MLOCK_ONFAULT as libc::c_uint) };
    Errno::result(locked).map(drop).map_err(|errno| not_locked(errno, len))
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

fn no_huge_pages(errno: Errno) -> Failure {
    match errno {
        Errno::EINVAL => Failure::new(
            ErrorKind::Unsupported,
            "this kernel has no transparent huge pages: do without `huge_pages`",
        )
        .caused_by(errno),
        errno => Failure::os(errno, "asking for huge pages"),
    }
}

fn not_populated(errno: Errno, size: u64) -> Failure {
    match errno {
        Errno::EINVAL => Failure::new(
            ErrorKind::Unsupported,
            "this kernel is older than Linux 5.14, and cannot have pages there beforehand: do without `populated`",
        )
        .caused_by(errno),
        // Some of what is only reserved found no memory.
        Errno::EFAULT => Failure::new(
            ErrorKind::NoSpace,
            format!(
                "{size} bytes are to be there beforehand, those included that objects have only reserved, and the file system is full: enlarge it, or do without `populated`"
            ),
        )
        .caused_by(errno),
        errno => Failure::os(errno, format_args!("having {size} bytes there beforehand")),
    }
}

fn not_locked(errno: Errno, len: usize) -> Failure {
    match errno {
        Errno::ENOMEM | Errno::EPERM | Errno::EAGAIN => {
            let limit = getrlimit(Resource::RLIMIT_MEMLOCK)
                .map_or_else(|_| "its limit".to_owned(), |(soft, _)| format!("{soft} bytes"));
            Failure::new(
                ErrorKind::NoMemory,
                format!(
                    "{len} bytes are to be locked into memory, as many as the segment may have, and RLIMIT_MEMLOCK lets this process lock {limit} in all: raise it (`ulimit -l`), or do without `locked`"
                ),
            )
            .caused_by(errno)
        }
        Errno::ENOSYS => Failure::new(
            ErrorKind::Unsupported,
            "this kernel is older than Linux 4.4, and cannot lock pages as they come: do without `locked`",
        )
        .caused_by(errno),
        errno => Failure::os(errno, "mlock2"),
    }
}
