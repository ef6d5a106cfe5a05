//! The life of a named segment.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, posix_fallocate};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{linkat, unlink};
use shmkit_benches::{Candidate, Group};
use shmkit_segment::Options;

/// Bytes asked for.
const SIZE: u64 = 1 << 16;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let name = format!("bench-{}", std::process::id());
    let ours = Candidate::new("create + drop of a named segment", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            drop(Options::new(SIZE).create(&name)?);
        }
        Ok(began.elapsed())
    });
    let path = CString::new(format!("/dev/shm/shmkit-bare-{}", std::process::id()))?;
    let bare = Candidate::new("the bare system calls", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            bare_life(&path)?;
        }
        Ok(began.elapsed())
    });
    Ok(vec![Group::new("create + unlink", 200, ours).against(bare)])
}

/// What the kernel has to do for any segment that is never seen half-made: nothing of the roster, nothing checked.
fn bare_life(path: &CString) -> Result<()> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open("/dev/shm", flags, Mode::from_bits_truncate(0o600)).context("open")?;
    posix_fallocate(&file, 0, SIZE as i64).context("posix_fallocate")?;
    fchmod(&file, Mode::from_bits_truncate(0o600)).context("fchmod")?;
    // SAFETY: with a null hint the kernel picks unused addresses; nothing existing is touched.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            SIZE as usize,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    ensure!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // SAFETY: mapped above for SIZE bytes, which is more than one.
    unsafe { at.cast::<u8>().write_volatile(1) };
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(AT_FDCWD, own.as_str(), AT_FDCWD, path.as_c_str(), AtFlags::AT_SYMLINK_FOLLOW)
        .context("linkat")?;
    unlink(path.as_c_str()).context("unlink")?;
    // SAFETY: exactly the mapping from above, to which nothing refers.
    let failed = unsafe { libc::munmap(at, SIZE as usize) };
    ensure!(failed == 0, "munmap: {}", std::io::Error::last_os_error());
    Ok(())
}
