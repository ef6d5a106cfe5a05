//! For programs that move over from `shared_memory`: our primitives in a [`Shmem`] that they already have.
//!
//! A region and a descriptor are all that a roster and its primitives need; the program's own bytes stay where they
//! are. `examples/moving_over.rs` shows the whole way: one lock moves over, the rest of the program stays as it is.
//!
//! What this does *not* do: give a `Shmem` the life cycle of a [`Segment`](crate::Segment). It is found before it is
//! whole, it is removed by its owner alone, and stays for ever if that one is killed: make a segment in the end.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, major, minor};
use shared_memory::Shmem;
use shmkit_layout::Region;

use crate::SegmentError;
use crate::error::{ErrorKind, Failure};
use crate::file::{allocate, retry};
use crate::name::DIRECTORY;
use crate::status::Status;

/// Returns the bytes of a `Shmem`, and a descriptor of its file for [`Participant::join`].
///
/// All the memory is allocated: `shared_memory` leaves that to the first write, which is a SIGBUS when `/dev/shm` is
/// full.
///
/// [`Participant::join`]: shmkit_roster::Participant::join
///
/// # Errors
///
/// [`NotFound`](ErrorKind::NotFound) if the owner has removed the file, or if its name leads to another file than is
/// mapped; what keeps this process from reading `/proc/self/maps`, which tells; [`NoSpace`](ErrorKind::NoSpace),
/// [`Truncated`](ErrorKind::Truncated) if the file is shorter than the mapping.
///
/// # Safety
///
/// As long as the region is used, its bytes must be used by it alone, or by others only where no primitive lies; and
/// nobody may cut the file off.
///
/// The descriptor is of the very file that is mapped, which is checked: record locks on another one would let two
/// participants have one name. Join with it, and with no descriptor that was opened by name.
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
/// // SAFETY: the mapping is of this file, and everybody joins by it.
/// let me = unsafe { Participant::join(roster, file, Description::Proc, Link::Named) }?;
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
        let base = NonNull::new(shmem.as_ptr()).expect("a mapping is not at 0");
        if mapped(base.addr().get())?
            != Some((major(status.device), minor(status.device), status.inode))
        {
            return Err(Failure::new(
                ErrorKind::NotFound,
                format!(
                    "{} leads to another file than is mapped: somebody has removed the name and \
                     made it anew, open it again",
                    path.display()
                ),
            ));
        }
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
        // SAFETY: `len` bytes from `base` are mapped for reading and writing as long as `shmem` is borrowed; how others
        // use them is the caller's promise.
        Ok((unsafe { Region::from_raw_parts(base, shmem.len()) }, file))
    };
    run().map_err(|failure| failure.during(format!("use the shared memory {name:?}")))
}

/// Major and minor device number, and the file's number, of what is mapped at an address; `None` if nothing is.
fn mapped(address: usize) -> Result<Option<(u64, u64, u64)>, Failure> {
    const MAPS: &str = "/proc/self/maps";
    let maps = fs::read(MAPS).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
        Failure::os(errno, format_args!("reading {MAPS}, which says what is mapped"))
    })?;
    // Paths may be in any encoding.
    Ok(String::from_utf8_lossy(&maps).lines().find_map(|line| node_at(line, address)))
}

/// Reads a line such as `7f1200000000-7f1200010000 rw-s 00000000 00:1a 77 /dev/shm/x`, if the address lies in it.
fn node_at(line: &str, address: usize) -> Option<(u64, u64, u64)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hexadecimal = |digits| u64::from_str_radix(digits, 16).ok();
    let address = address as u64;
    if !(hexadecimal(start)?..hexadecimal(end)?).contains(&address) {
        return None;
    }
    let (major, minor) = words.nth(2)?.split_once(':')?;
    Some((hexadecimal(major)?, hexadecimal(minor)?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use shared_memory::ShmemConf;

    use super::*;

    #[test]
    fn a_line_tells_the_file_of_its_addresses() {
        let line = "1000-3000 rw-s 00000000 00:1a 77 /dev/shm/a b";
        for (address, found) in [(0xfff, false), (0x1000, true), (0x2fff, true), (0x3000, false)] {
            assert_eq!(node_at(line, address), found.then_some((0, 0x1a, 77)));
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_found() {
        let id = format!("shmkit-test-{}-rebound", std::process::id());
        let shmem = ShmemConf::new().os_id(&id).size(8192).create().unwrap();
        // SAFETY: nobody uses the bytes.
        let (region, _) = unsafe { region(&shmem) }.unwrap();
        assert_eq!(region.len(), shmem.len());

        // The name is removed, and given to another file of the same size.
        let path = Path::new(DIRECTORY).join(&id);
        fs::remove_file(&path).unwrap();
        fs::write(&path, [0; 8192]).unwrap();
        // SAFETY: as above.
        let error = unsafe { super::region(&shmem) }.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("another file than is mapped"), "{error}");
    }
}
