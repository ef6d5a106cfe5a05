//! The record locks that say who is alive, far past the data of the file.
//!
//! ```text
//! 0 …      2^61 = R               2^62 + salt = S                       S+2^45 = T              2^63
//! | data | remover | …            | 2^31 bytes a slot, in their order  | a byte an id | …          |
//!
//! a slot:  |<------------------ generation 1 holds ------------------>| 1 |
//!          |<------------- generation 2 holds ------------------->| 2 | 1 |
//!          |<--------- generation 3 holds ------------------->| 3 | 2 | 1 |
//! ```
//!
//! A participant holds **one lock**: from the first byte of its slot to the byte of its generation. The first byte keeps
//! others out of the slot. The byte of a generation tells whether whoever was called so lives: those that came later hold
//! less, and those that came before are gone, as there is one at a time. With a lock for the slot and one for the name the
//! kernel, which goes through all locks of a file at every question, took twice as long for each, and a join asked it
//! twice as often.
//!
//! The participants' are shifted by the roster's [salt](Salt), so that no other roster's answer for them. A remover has
//! a file that it has just opened by its name, and asks about everybody in it: it locks all of R to the end, whatever
//! the salt. So it can judge a file whose roster it cannot read.
//!
//! **Part of the format, and frozen**: in every version of the layout each participant holds a lock at 2^61 or above for
//! as long as it lives, nobody but a remover has the byte R, and who removes a dead file's name holds all from R to the
//! end. So every version may sweep what the dead of every other have left.
//!
//! They are [open file description locks]: owned by a description, not by a process, so that no other descriptor of
//! the file can drop them, and none of the calls here ever blocks.
//!
//! [open file description locks]: https://man7.org/linux/man-pages/man2/F_OFD_SETLK.2const.html

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::OwnerId;
use crate::salt::Salt;

/// R: the remover's byte, the first of all.
const REMOVER: u64 = 1 << 61;
/// The end of what can be locked.
const END: u64 = 1 << 63;
/// S, with a salt of 0: where the slots' bytes begin.
const SLOTS: u64 = 1 << 62;
/// Number of bytes of a slot: more than there are generations.
const SLOT: u64 = 1 << 31;
/// T - S: to where the bytes begin by which a joiner tries its ticket.
const TRIALS: u64 = OwnerId::MAX_SLOTS as u64 * SLOT;

const _: () =
    assert!(SLOTS + Salt::COUNT + TRIALS + (1 << 32) <= END, "no salt leads beyond the end");

/// Bytes of a file that are locked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    start: u64,
    /// Number of bytes; `u64::MAX` if there is no end.
    len: u64,
}

impl Range {
    /// R: held by whoever removes the file's name.
    pub(crate) const REMOVER: Self = Self { start: REMOVER, len: 1 };
    /// R to the end: somebody's lock in it means that the file is in use, by whatever roster.
    pub(crate) const EVERYBODY: Self = Self { start: REMOVER, len: END - REMOVER };

    /// All bytes of a slot.
    pub(crate) const fn slot(salt: Salt, slot: u32) -> Self {
        Self { start: SLOTS + salt.get() + slot as u64 * SLOT, len: SLOT }
    }

    /// The first byte of a slot: who has it keeps others out, and nobody is called by a name of the slot.
    pub(crate) const fn first(salt: Salt, slot: u32) -> Self {
        Self { len: 1, ..Self::slot(salt, slot) }
    }

    /// The bytes of a slot that its participant of this generation holds, 1 to 2^30.
    pub(crate) const fn held(salt: Salt, slot: u32, generation: u32) -> Self {
        Self { len: SLOT - generation as u64, ..Self::slot(salt, slot) }
    }

    /// The last of these bytes, which nobody holds who comes later: held as long as the participant lives.
    pub(crate) const fn mark(salt: Salt, slot: u32, generation: u32) -> Self {
        let held = Self::held(salt, slot, generation);
        Self { start: held.start + held.len - 1, len: 1 }
    }

    /// T + id: held for a moment by the ticket of who takes that name, to see which descriptors share it. Says nothing.
    pub(crate) const fn trial(salt: Salt, id: OwnerId) -> Self {
        Self { start: SLOTS + salt.get() + TRIALS + id.get() as u64, len: 1 }
    }

    /// One byte of a file that is no roster's.
    pub(crate) const fn byte(at: u64) -> Self {
        Self { start: at, len: 1 }
    }

    /// The bytes of this range but for some, which may lie elsewhere.
    pub(crate) fn without(self, hole: Self) -> impl Iterator<Item = Self> {
        let end = self.start + self.len;
        let parts = [(self.start, hole.start), (hole.start + hole.len, end)];
        parts.into_iter().filter_map(move |(from, to)| {
            let (start, to) = (from.max(self.start), to.min(end));
            (start < to).then(|| Self { start, len: to - start })
        })
    }

    /// Returns whether all of `other` lies in here.
    pub(crate) const fn covers(self, other: Self) -> bool {
        self.start <= other.start
            && self.start.saturating_add(self.len) >= other.start.saturating_add(other.len)
    }
}

/// Takes a write lock for the description behind `file`; `false` if another description holds part of the range.
pub(crate) fn try_lock(file: BorrowedFd<'_>, range: Range) -> io::Result<bool> {
    match fcntl(file, libc::F_OFD_SETLK, libc::F_WRLCK, range) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Takes a read lock for the description behind `file`, which need not be open for writing. Nobody in this house takes
/// write locks beside read locks, so that it is always given.
pub(crate) fn share(file: BorrowedFd<'_>, range: Range) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, libc::F_RDLCK, range).map(drop)
}

/// Gives up what the description behind `file` holds of a range.
pub(crate) fn unlock(file: BorrowedFd<'_>, range: Range) -> io::Result<()> {
    fcntl(file, libc::F_OFD_SETLK, libc::F_UNLCK, range).map(drop)
}

/// Returns a lock in the range that *another* description than `file`'s holds, if there is one.
pub(crate) fn conflict(file: BorrowedFd<'_>, range: Range) -> io::Result<Option<Range>> {
    fcntl(file, libc::F_OFD_GETLK, libc::F_WRLCK, range)
}

/// Returns whether `error` says that the file, or the kernel, has no such locks. Not `ENOLCK`: that is what a local file
/// says of a lock that there was no memory for.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    const NO_LOCKS: [i32; 3] = [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP];
    error.raw_os_error().is_some_and(|code| NO_LOCKS.contains(&code))
}

#[cfg(target_pointer_width = "64")]
use libc::{SYS_fcntl as SYS_FCNTL, flock as Flock};
#[cfg(target_pointer_width = "32")]
use libc::{SYS_fcntl64 as SYS_FCNTL, flock64 as Flock};

/// `fcntl` with 64-bit offsets on every target, which the C library's (and `nix`'s) are not.
fn fcntl(
    file: BorrowedFd<'_>,
    command: libc::c_int,
    kind: libc::c_int,
    range: Range,
) -> io::Result<Option<Range>> {
    loop {
        // SAFETY: plain numbers, for which zero is a value.
        let mut lock: Flock = unsafe { core::mem::zeroed() };
        lock.l_type = kind as _;
        lock.l_whence = libc::SEEK_SET as _;
        lock.l_start = range.start as _;
        // To the kernel 0 is without end.
        lock.l_len = if range.len == u64::MAX { 0 } else { range.len as _ };
        let lock_ptr = &raw mut lock;
        // SAFETY: the descriptor is open for the length of the call (`BorrowedFd`), and `lock` is a live `flock` that
        // these three commands read and may write.
        let result = unsafe { libc::syscall(SYS_FCNTL, file.as_raw_fd(), command, lock_ptr) };
        if result == -1 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue; // A remote file system; a local one never waits.
            }
            return Err(error);
        }
        if command != libc::F_OFD_GETLK || i32::from(lock.l_type) == libc::F_UNLCK {
            return Ok(None);
        }
        let len = if lock.l_len == 0 { u64::MAX } else { lock.l_len as u64 };
        return Ok(Some(Range { start: lock.l_start as u64, len }));
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::testing::{memfd, reopen};

    #[test]
    fn ranges_do_not_overlap() {
        for salt in [1, 2, Salt::COUNT - 1].map(|salt| Salt::new(salt).unwrap()) {
            let [first, second, last] =
                [0, 1, OwnerId::MAX_SLOTS - 1].map(|slot| Range::slot(salt, slot));
            let trials = [1, OwnerId::LAST].map(|id| Range::trial(salt, OwnerId::new(id).unwrap()));
            let in_order = [Range::REMOVER, first, second, last, trials[0], trials[1]];
            for pair in in_order.windows(2) {
                assert!(pair[0].start + pair[0].len <= pair[1].start, "{pair:?}");
            }
            assert!(in_order.iter().all(|&range| Range::EVERYBODY.covers(range)));
            assert!(in_order[1..].iter().all(|range| !range.covers(Range::REMOVER)));
        }
        assert!(!Range::EVERYBODY.covers(Range { start: REMOVER - 1, len: 1 }));
        assert_eq!(Range::EVERYBODY.start + Range::EVERYBODY.len - 1, i64::MAX as u64);
    }

    #[test]
    fn a_generation_holds_its_mark_and_none_of_an_earlier_one() {
        let salt = Salt::new(7).unwrap();
        for slot in [0, 5, OwnerId::MAX_SLOTS - 1] {
            let (all, first) = (Range::slot(salt, slot), Range::first(salt, slot));
            for generation in [1, 2, 3, OwnerId::LAST - 1, OwnerId::LAST] {
                let held = Range::held(salt, slot, generation);
                assert!(all.covers(held) && held.covers(first), "{generation}");
                assert!(!first.covers(Range::mark(salt, slot, generation)), "{generation}");
                assert!(held.covers(Range::mark(salt, slot, generation)), "{generation}");
                assert!(!held.covers(Range::mark(salt, slot, generation - 1)), "{generation}");
            }
        }
    }

    #[test]
    fn a_lock_on_everything_is_found_to_be_one() {
        let one = memfd();
        let two = reopen(&one);
        assert!(try_lock(one.as_fd(), Range::EVERYBODY).unwrap());
        let found = conflict(two.as_fd(), Range::EVERYBODY).unwrap().unwrap();
        assert!(found.covers(Range::EVERYBODY), "{found:?}");
        assert!(!try_lock(two.as_fd(), Range::REMOVER).unwrap());
        assert!(!try_lock(two.as_fd(), Range { start: END - 1, len: 1 }).unwrap());
    }

    #[test]
    fn a_range_is_what_is_left_without_its_hole() {
        let range = |start, end| Range { start, len: end - start };
        let left = |hole| range(10, 20).without(hole).collect::<Vec<_>>();
        assert_eq!(left(range(12, 15)), [range(10, 12), range(15, 20)]);
        assert_eq!(left(range(10, 19)), [range(19, 20)]);
        assert_eq!(left(range(12, 30)), [range(10, 12)]);
        assert_eq!(left(range(2, 12)), [range(12, 20)]);
        assert_eq!(left(range(2, 5)), [range(10, 20)]);
        assert_eq!(left(range(2, 30)), []);
    }

    #[test]
    fn one_description_excludes_another() {
        let one = memfd();
        let two = reopen(&one);
        let slot = |n| Range::slot(Salt::new(7).unwrap(), n);
        assert!(try_lock(one.as_fd(), slot(5)).unwrap());
        assert!(!try_lock(two.as_fd(), slot(5)).unwrap());
        assert!(try_lock(two.as_fd(), slot(6)).unwrap());
        assert_eq!(conflict(two.as_fd(), slot(5)).unwrap(), Some(slot(5)));
        assert_eq!(conflict(one.as_fd(), slot(5)).unwrap(), None, "its own");
        assert!(!try_lock(one.as_fd(), Range::EVERYBODY).unwrap());
        unlock(one.as_fd(), slot(5)).unwrap();
        assert_eq!(conflict(two.as_fd(), slot(5)).unwrap(), None);
        drop(two);
        assert!(try_lock(one.as_fd(), Range::EVERYBODY).unwrap());
    }
}
