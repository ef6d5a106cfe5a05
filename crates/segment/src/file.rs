//! The files behind segments: made without a name, allocated in full, linked when whole.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{
    AT_FDCWD, AtFlags, FallocateFlags, FcntlArg, OFlag, SealFlag, fallocate, fcntl, open,
    posix_fallocate,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, fchmod};
use nix::sys::statfs::{HUGETLBFS_MAGIC, fstatfs};
use nix::sys::statvfs::{Statvfs, fstatvfs};
use nix::unistd::linkat;

use crate::error::{ErrorKind, Failure};

/// Most bytes that are allocated by one call. Before Linux 6.9 a signal undoes the call that it interrupts, so the next
/// one asks for half: a profiler's timer could undo a whole segment for ever.
const MAX_STEP: u64 = 64 << 20;
/// What is smaller is allocated without looking first whether there is room for it.
const WORTH_A_LOOK: u64 = 1 << 20;
/// What no timer interrupts twice.
const MIN_STEP: u64 = 64 << 10;

/// What keeps an anonymous segment from being cut off for ever, and lets nobody add a seal against writing.
const SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_SEAL);

/// Makes a file of `size` bytes in `directory` that has no name yet: if this process dies now, nothing is left.
pub(crate) fn unnamed(directory: &Path, size: u64) -> Result<OwnedFd, Failure> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = retry(|| open(directory, flags, Mode::S_IRUSR | Mode::S_IWUSR))
        .map_err(|errno| cannot_make(errno, directory))?;
    if size >= WORTH_A_LOOK
        && let Ok(disk) = fstatvfs(&file)
    {
        // A full file system is seen here without first filling it; the allocation below is what decides.
        let free = free(&disk);
        // A file system without a limit (a tmpfs of size=0) reports no blocks at all.
        if disk.blocks() != 0 && size > free {
            return Err(no_space(size, free, directory).caused_by(Errno::ENOSPC));
        }
    }
    allocate(file.as_fd(), size).map_err(|errno| match errno {
        Errno::ENOSPC | Errno::EDQUOT => {
            let free = fstatvfs(&file).map_or(0, |disk| free(&disk));
            no_space(size, free, directory).caused_by(errno)
        }
        errno => cannot_allocate(errno, size),
    })?;
    Ok(file)
}

/// Makes a file of `size` bytes that never has a name, sealed against a change of that, but for growth if it `grows`.
pub(crate) fn memory(name: &str, size: u64, grows: bool) -> Result<OwnedFd, Failure> {
    let file = unsealed_memory(name, size)?;
    let seals = if grows { SEALS } else { SEALS | SealFlag::F_SEAL_GROW };
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))
        .map_err(|errno| Failure::os(errno, "F_ADD_SEALS"))?;
    Ok(file)
}

/// Makes a file of `size` bytes that never has a name, and can be sealed.
pub(crate) fn unsealed_memory(name: &str, size: u64) -> Result<OwnedFd, Failure> {
    // NOEXEC_SEAL (Linux 6.3) is what a system with vm.memfd_noexec=2 insists on; older kernels refuse it.
    let noexec = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = memfd_create(name, flags | noexec)
        .or_else(|errno| match errno {
            Errno::EINVAL => memfd_create(name, flags),
            errno => Err(errno),
        })
        .map_err(cannot_make_memory)?;
    let most = memory_size();
    if size > most {
        return Err(no_memory(size, most).caused_by(Errno::ENOSPC));
    }
    allocate(file.as_fd(), size).map_err(|errno| match errno {
        Errno::ENOSPC => no_memory(size, most).caused_by(errno),
        errno => cannot_allocate(errno, size),
    })?;
    Ok(file)
}

/// Returns whether a file is a memfd that nobody can shrink: the only nameless file that is safe to map.
pub(crate) fn is_sealed(file: BorrowedFd<'_>) -> bool {
    fcntl(file, FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(SealFlag::F_SEAL_SHRINK))
}

/// Gives a nameless file its name, if nobody has it yet.
pub(crate) fn link(file: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    let by_descriptor = linkat(file, "", AT_FDCWD, name, AtFlags::AT_EMPTY_PATH);
    match by_descriptor {
        // Without CAP_DAC_READ_SEARCH kernels before 6.10 say so.
        Err(Errno::ENOENT | Errno::EPERM | Errno::EINVAL) => {
            let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
            linkat(AT_FDCWD, path.as_str(), AT_FDCWD, name, AtFlags::AT_SYMLINK_FOLLOW)
        }
        other => other,
    }
}

/// Calls again what a signal interrupted.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Takes all the memory now, so that no later write meets a full file system, which would be a SIGBUS.
pub(crate) fn allocate(file: BorrowedFd<'_>, size: u64) -> Result<(), Errno> {
    allocate_from(file, 0..size)
}

/// As [`allocate`], of a file in use, for bytes that nobody uses yet; it becomes longer, if need be, and never shorter.
pub(crate) fn commit(file: BorrowedFd<'_>, from: u64, to: u64) -> Result<(), Errno> {
    if to - from > memory_size() {
        return Err(Errno::ENOMEM);
    }
    allocate_from(file, from..to)
}

/// Gives the memory behind some bytes of a file back. They are zeros, and the file is as long as before.
pub(crate) fn punch(file: BorrowedFd<'_>, from: u64, to: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let (start, len) = (offset(from)?, offset(to - from)?);
    retry(|| fallocate(file, flags, start, len))
}

fn allocate_from(file: BorrowedFd<'_>, bytes: Range<u64>) -> Result<(), Errno> {
    // Past RLIMIT_FSIZE the kernel would not only refuse but send SIGXFSZ.
    if getrlimit(Resource::RLIMIT_FSIZE).is_ok_and(|(soft, _)| bytes.end > wide(soft)) {
        return Err(Errno::EFBIG);
    }
    in_steps(bytes, |start, len| posix_fallocate(file, offset(start)?, offset(len)?))
}

fn offset(bytes: u64) -> Result<libc::off_t, Errno> {
    libc::off_t::try_from(bytes).map_err(|_| Errno::EFBIG)
}

/// Calls `allocate(start, len)` for all of `bytes`, in steps that signals let through.
fn in_steps(
    bytes: Range<u64>,
    mut allocate: impl FnMut(u64, u64) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (mut done, mut most) = (bytes.start, MAX_STEP);
    while done < bytes.end {
        let step = most.min(bytes.end - done);
        match allocate(done, step) {
            Ok(()) => done += step,
            Err(Errno::EINTR) => most = (most / 2).max(MIN_STEP),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Sets the permissions, which the umask or the kernel may have made others.
pub(crate) fn permit(file: BorrowedFd<'_>, mode: u32) -> Result<(), Failure> {
    fchmod(file, Mode::from_bits_truncate(mode)).map_err(|errno| Failure::os(errno, "fchmod"))
}

fn cannot_make(errno: Errno, directory: &Path) -> Failure {
    let directory = directory.display();
    let (kind, detail) = match errno {
        Errno::ENOENT => (
            ErrorKind::NoDirectory,
            format!(
                "the directory {directory} does not exist: mount a tmpfs there, or choose another \
                 directory"
            ),
        ),
        Errno::ENOTDIR | Errno::ELOOP => {
            (ErrorKind::NoDirectory, format!("{directory} is not a directory: choose another"))
        }
        Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL => (
            ErrorKind::Unsupported,
            format!(
                "the file system of {directory} cannot make files without a name (O_TMPFILE): \
                 choose a directory on a tmpfs, ext4, xfs or btrfs"
            ),
        ),
        Errno::ENOSPC | Errno::EDQUOT => (
            ErrorKind::NoSpace,
            format!(
                "{directory} has no room for one more file: remove what is unused (`shmkit gc`), \
                 or enlarge it"
            ),
        ),
        errno => return Failure::os(errno, format_args!("making a file in {directory}")),
    };
    Failure::new(kind, detail).caused_by(errno)
}

fn cannot_make_memory(errno: Errno) -> Failure {
    match errno {
        Errno::EACCES | Errno::EPERM => Failure::new(
            ErrorKind::PermissionDenied,
            "memfd_create is forbidden here, by a sandbox or a seccomp filter: have it allowed, or \
             use a segment with a name",
        )
        .caused_by(errno),
        errno => Failure::os(errno, "memfd_create"),
    }
}

fn cannot_allocate(errno: Errno, size: u64) -> Failure {
    match errno {
        Errno::EFBIG => Failure::new(
            ErrorKind::NoSpace,
            format!(
                "{size} bytes are more than a file of this process or file system may have: ask \
                 for less, or raise RLIMIT_FSIZE (`ulimit -f`)"
            ),
        )
        .caused_by(errno),
        errno => Failure::os(errno, format_args!("allocating {size} bytes")),
    }
}

/// Fails for a file that cannot become longer under a mapping that is longer already.
pub(crate) fn may_grow(file: BorrowedFd<'_>) -> Result<(), Failure> {
    match fstatfs(file) {
        Ok(system) if system.filesystem_type() == HUGETLBFS_MAGIC => Err(Failure::new(
            ErrorKind::Unsupported,
            "the directory is on a hugetlbfs, where a mapping takes all its huge pages at once, so that nothing \
             can grow there: make the segment as large as it is ever to be, or on a tmpfs",
        )),
        // Where the system does not say, the mapping does.
        _ => Ok(()),
    }
}

/// How many bytes are left on the file system of a file, if it has a limit.
pub(crate) fn left(file: BorrowedFd<'_>) -> Option<u64> {
    fstatvfs(file).ok().filter(|disk| disk.blocks() != 0).map(|disk| free(&disk))
}

/// How many bytes are left.
fn free(disk: &Statvfs) -> u64 {
    wide(disk.blocks_available()).saturating_mul(wide(disk.fragment_size()))
}

/// A number of the C library, which has 32 or 64 bits.
fn wide(number: impl Into<u64>) -> u64 {
    number.into()
}

fn no_space(size: u64, free: u64, directory: &Path) -> Failure {
    Failure::new(
        ErrorKind::NoSpace,
        format!(
            "{size} bytes are needed and {} has {free} free: remove what is unused (`shmkit gc`), \
             ask for less, or enlarge it (`mount -o remount,size=…`)",
            directory.display()
        ),
    )
}

fn no_memory(size: u64, most: u64) -> Failure {
    Failure::new(
        ErrorKind::NoSpace,
        format!(
            "{size} bytes are needed and the machine has {most} of memory and swap: ask for less"
        ),
    )
}

/// Memory and swap of the machine, in bytes: more than that would only call the out-of-memory killer.
fn memory_size() -> u64 {
    nix::sys::sysinfo::sysinfo()
        .map_or(u64::MAX, |info| info.ram_total().saturating_add(info.swap_total()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_make_the_steps_smaller_until_they_get_through() {
        let (mut end, mut calls) = (0, 0);
        let size = (1 << 30) + 5;
        // A timer that fires in the time that a mebibyte takes.
        in_steps(0..size, |start, len| {
            calls += 1;
            assert_eq!(start, end, "all of it, in order");
            if len > 1 << 20 {
                return Err(Errno::EINTR);
            }
            end += len;
            Ok(())
        })
        .unwrap();
        assert_eq!(end, size);
        assert_eq!(calls, 6 + 1024 + 1);
    }

    #[test]
    fn other_errors_end_the_allocation() {
        assert_eq!(in_steps(0..5, |_, _| Err(Errno::ENOSPC)), Err(Errno::ENOSPC));
        assert_eq!(in_steps(0..0, |_, _| Err(Errno::ENOSPC)), Ok(()));
    }
}
