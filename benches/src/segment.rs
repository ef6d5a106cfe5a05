//! The life of a named segment.

use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, posix_fallocate};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{linkat, unlink};
use shmkit_benches::{Candidate, Group};
use shmkit_segment::Options;

/// Bytes asked for.
const SIZE: u64 = 1 << 16;

/// Other segments in the folder.
const OTHERS: u32 = 2000;
/// How many times as long as the bare system calls a life may take.
const LIMIT: f64 = 1.3;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let [alone, crowded] = [Folder::make(0)?, Folder::make(OTHERS)?].map(Rc::new);
    Ok(vec![
        Group::new("create + unlink", 200, alone.ours()).at_most(LIMIT, alone.bare()?),
        Group::new("create + unlink beside 2,000 others", 200, crowded.ours())
            .at_most(LIMIT, crowded.bare()?),
    ])
}

/// A folder of this run, with so many segments in it; removed with all that is in it.
struct Folder(PathBuf);

impl Folder {
    fn make(others: u32) -> Result<Self> {
        let path = format!("/dev/shm/shmkit-bench-{}-{others}", std::process::id());
        std::fs::create_dir(&path).context("create_dir")?;
        let this = Self(path.into());
        let options = Options::new(512).participants(1).objects(0).persistent(true);
        for n in 0..others {
            options.clone().directory(&this.0).create(&n.to_string())?;
        }
        Ok(this)
    }

    fn ours(self: &Rc<Self>) -> Candidate<'static> {
        let this = self.clone();
        Candidate::new("create + drop of a named segment", move |n| {
            let options = Options::new(SIZE).directory(&this.0);
            let began = Instant::now();
            for _ in 0..n {
                drop(options.create("life")?);
            }
            Ok(began.elapsed())
        })
    }

    /// The same file, as large as ours with its roster.
    fn bare(self: &Rc<Self>) -> Result<Candidate<'static>> {
        let size = Options::new(SIZE).anonymous()?.header().size;
        let (folder, path) = (c_path(&self.0)?, c_path(&self.0.join("bare"))?);
        Ok(Candidate::new("the bare system calls", move |n| {
            let began = Instant::now();
            for _ in 0..n {
                bare_life(&folder, &path, size as usize)?;
            }
            Ok(began.elapsed())
        }))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes()).context("a NUL in a path")
}

/// What the kernel has to do for any segment that is never seen half-made: nothing of the roster, nothing checked.
fn bare_life(folder: &CString, path: &CString, size: usize) -> Result<()> {
    let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    let file = open(folder.as_c_str(), flags, Mode::from_bits_truncate(0o600)).context("open")?;
    posix_fallocate(&file, 0, size as i64).context("posix_fallocate")?;
    fchmod(&file, Mode::from_bits_truncate(0o600)).context("fchmod")?;
    // SAFETY: with a null hint the kernel picks unused addresses; nothing existing is touched.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    ensure!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
    // SAFETY: mapped above for `size` bytes, which is more than one.
    unsafe { at.cast::<u8>().write_volatile(1) };
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(AT_FDCWD, own.as_str(), AT_FDCWD, path.as_c_str(), AtFlags::AT_SYMLINK_FOLLOW)
        .context("linkat")?;
    unlink(path.as_c_str()).context("unlink")?;
    // SAFETY: exactly the mapping from above, to which nothing refers.
    let failed = unsafe { libc::munmap(at, size) };
    ensure!(failed == 0, "munmap: {}", std::io::Error::last_os_error());
    Ok(())
}
