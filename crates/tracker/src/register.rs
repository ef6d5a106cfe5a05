//! The register: who has registered what, in a segment of the tracker's own.
//!
//! ```text
//! shmkit.tracker-<uid>:  header | roster: who registers | … size | head | unit | unit | …
//! ```
//!
//! Behind the segment's bytes the file goes on with what is registered. It is read and written by system calls alone, under a
//! record lock: the kernel gives the lock up for whoever dies, copies a unit whole or not at all, and says that a file was
//! cut off where a mapping would kill. So there is nothing to repair, and a watcher that was forked from a program with many
//! threads may use it: nothing here allocates or waits for a thread.
//!
//! The segment is persistent as long as anything is registered, or a sweep that knows nothing of registrations would
//! remove it with them.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, openat};
use nix::sys::stat::Mode;
use nix::sys::uio::{pread, pwrite};
use nix::unistd::geteuid;
use shmkit_atomic::Deadline;
use shmkit_layout::{Header, TypeTag};
use shmkit_roster::{NoForks, OwnerId, removal};

use crate::identity::{Identity, Thing};
use crate::page;
use crate::record::{HEAD, Head, UNIT, Units};
use crate::scratch::Scratch;

/// What the register's segment holds.
pub(crate) const CONTENT: &str = "shmkit-tracker/1";
const TAG: TypeTag = TypeTag::named(CONTENT);

/// Its bytes as a segment, of which nothing is used.
pub(crate) const SIZE: u64 = 256;

/// Most units, 16 MiB of them.
pub(crate) const LIMIT: usize = 1 << 16;

/// The byte whose lock is the right to change what is registered. Below all bytes of rosters, so that no remover sees it.
const LOCK: u64 = 1 << 60;
/// The byte whose lock makes a process the watcher.
const WATCHER: u64 = LOCK + 1;

/// How long anybody waits for the lock, which others have for microseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The first pause between two looks for the lock, and the longest one.
const FIRST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(16);

/// A description of the register that nobody else has.
#[derive(Debug)]
pub(crate) struct Register {
    file: OwnedFd,
    pub(crate) identity: Identity,
    /// Where the roster begins.
    roster: u64,
    /// Where the head begins.
    records: u64,
}

/// What the head says, which comes before the units and is as long as one.
#[derive(Clone, Copy, Debug)]
struct Status {
    /// One past the last unit that is in use.
    used: usize,
    /// Whether a watcher is at work, or was killed at it.
    is_watched: bool,
}

impl Register {
    /// Opens the register of this user; `None` if there is none, or what bears its name is none.
    pub(crate) fn open(folder: BorrowedFd<'_>, name: &CStr) -> Result<Option<Self>, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let found = match Thing::at(folder, name) {
            Err(Errno::ENOENT) => return Ok(None),
            found => found?,
        };
        // To open a pipe would wake its writer.
        if !found.is_regular() {
            return Ok(None);
        }
        let file = match openat(folder, name, flags, Mode::empty()) {
            Err(Errno::ENOENT | Errno::ELOOP) => return Ok(None),
            file => file?,
        };
        Self::of(file)
    }

    /// Of a file that is open, if it is a register of this user.
    pub(crate) fn of(file: OwnedFd) -> Result<Option<Self>, Errno> {
        let thing = Thing::of(file.as_fd())?;
        // Commands are run that stand in it.
        if !thing.is_regular() || thing.owner != geteuid().as_raw() {
            return Ok(None);
        }
        let mut bytes = [0; size_of::<Header>()];
        let len = pread(&file, &mut bytes, 0)?;
        let Ok(header) = Header::parse(&bytes[..len], u64::MAX) else { return Ok(None) };
        if header.content != TAG || header.roster > header.size || header.size > 1 << 32 {
            return Ok(None);
        }
        let records = header.size.next_multiple_of(UNIT as u64);
        Ok(Some(Self { file, identity: thing.identity, roster: header.roster, records }))
    }

    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether somebody takes part in it.
    pub(crate) fn in_use(&self) -> bool {
        // Who cannot tell lets it be.
        removal::in_use(self.file()).unwrap_or(true)
    }

    /// Whether its name was removed.
    pub(crate) fn is_unlinked(&self) -> bool {
        nix::sys::stat::fstat(&self.file).is_ok_and(|status| status.st_nlink == 0)
    }

    /// Whether the owner of a record is gone. Who cannot tell says no.
    pub(crate) fn is_dead(&self, owner: u32) -> bool {
        let Some(owner) = OwnerId::from_word(owner) else { return false };
        removal::is_held(self.file(), self.roster, owner).is_ok_and(|held| !held)
    }

    /// Whether a watcher is at work.
    pub(crate) fn has_watcher(&self) -> Result<bool, Errno> {
        self.is_locked(WATCHER)
    }

    fn is_locked(&self, at: u64) -> Result<bool, Errno> {
        let mut lock = flock(at, libc::F_WRLCK);
        fcntl(&self.file, FcntlArg::F_OFD_GETLK(&mut lock))?;
        Ok(i32::from(lock.l_type) != libc::F_UNLCK)
    }

    /// Becomes the watcher, as long as this description is open anywhere; `false` if somebody is.
    pub(crate) fn try_watch(&self) -> Result<bool, Errno> {
        try_lock(&self.file, WATCHER)
    }

    /// As [`try_watch`](Self::try_watch), but waits until nobody is.
    pub(crate) fn watch_next(&self) -> Result<(), Errno> {
        loop {
            let lock = flock(WATCHER, libc::F_WRLCK);
            match fcntl(&self.file, FcntlArg::F_OFD_SETLKW(&lock)) {
                Err(Errno::EINTR) => {}
                taken => return taken.map(drop),
            }
        }
    }

    /// Is the watcher no more.
    pub(crate) fn unwatch(&self) -> Result<(), Errno> {
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&flock(WATCHER, libc::F_UNLCK))).map(drop)
    }

    /// Waits for the right to change what is registered: `ETIMEDOUT` if others have it for so long.
    ///
    /// Nobody is woken when it is free, so whoever waits looks again, ever more rarely: two hundred that look every
    /// millisecond take the processor from the one that has it.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, Errno> {
        let deadline = Deadline::after(PATIENCE);
        let mut pause = FIRST;
        loop {
            // One system call where it is taken.
            if !self.is_locked(LOCK)?
                && let Some(locked) = self.try_lock()?
            {
                return Ok(locked);
            }
            if deadline.has_passed() {
                return Err(Errno::ETIMEDOUT);
            }
            std::thread::sleep(pause / 2 + jitter(pause));
            pause = (pause * 2).min(LONGEST);
        }
    }

    fn try_lock(&self) -> Result<Option<Locked<'_>>, Errno> {
        // A child forked now would have the description, and the lock, until it is executed.
        let no_forks = NoForks::hold().ok();
        let taken = try_lock(&self.file, LOCK)?;
        Ok(taken.then_some(Locked { register: self, _no_forks: no_forks }))
    }

    fn at(&self, unit: usize) -> i64 {
        // The head is as long as a unit. Below 2^33.
        (self.records + ((1 + unit) * UNIT) as u64) as i64
    }

    fn status(&self) -> Result<Status, Errno> {
        let mut bytes = [0; 8];
        let len = pread(&self.file, &mut bytes, self.records as i64)?;
        // Nothing was registered yet where the file ends before.
        bytes[len..].fill(0);
        let (used, watched) = bytes.split_at(4);
        let word = |part: &[u8]| part.try_into().map_or(0, u32::from_ne_bytes);
        Ok(Status { used: (word(used) as usize).min(LIMIT), is_watched: word(watched) != 0 })
    }

    /// Whether the last watcher was killed at work.
    pub(crate) fn is_watched(&self) -> Result<bool, Errno> {
        Ok(self.status()?.is_watched)
    }

    /// Notes whether a watcher is at work: for who is it.
    pub(crate) fn set_watched(&self, is_watched: bool) -> Result<(), Errno> {
        self.write(self.records as i64 + 4, &u32::from(is_watched).to_ne_bytes())
    }

    fn write(&self, at: i64, bytes: &[u8]) -> Result<(), Errno> {
        match pwrite(&self.file, bytes, at)? {
            len if len == bytes.len() => Ok(()),
            _ => Err(Errno::ENOSPC),
        }
    }
}

/// The right to change what is registered.
#[derive(Debug)]
pub(crate) struct Locked<'r> {
    register: &'r Register,
    _no_forks: Option<NoForks>,
}

impl Locked<'_> {
    /// Copies all units.
    pub(crate) fn units(&self) -> Result<Scratch<[u8; UNIT]>, Errno> {
        let register = self.register;
        let mut units = Scratch::new(register.status()?.used)?;
        let bytes = units.bytes();
        let mut done = 0;
        while done < bytes.len() {
            match pread(&register.file, &mut bytes[done..], register.at(0) + done as i64) {
                // Cut off: the rest was never there.
                Ok(0) => break,
                Ok(len) => done += len,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(units)
    }

    /// Writes a record into free units, and then its owner's word. `false` if there is no room.
    pub(crate) fn put(
        &self,
        all: &[[u8; UNIT]],
        units: &Units,
        owner: OwnerId,
    ) -> Result<bool, Errno> {
        let (register, units) = (self.register, units.units());
        let first = free_run(all, units.len());
        let end = first + units.len();
        if end > LIMIT {
            return Ok(false);
        }
        for (n, unit) in units.iter().enumerate() {
            register.write(register.at(first + n), unit)?;
        }
        if end > all.len() {
            register.write(register.records as i64, &(end as u32).to_ne_bytes())?;
        }
        // The step that counts.
        register.write(register.at(first), &owner.get().to_ne_bytes())?;
        Ok(true)
    }

    /// Changes all of a record but its owner and its text, in one step.
    pub(crate) fn change(&self, unit: usize, head: &Head) -> Result<(), Errno> {
        self.register.write(self.register.at(unit) + 4, &head.to_bytes()[4..HEAD])
    }

    /// Frees a record, in one step.
    pub(crate) fn free(&self, unit: usize) -> Result<(), Errno> {
        self.register.write(self.register.at(unit), &0_u32.to_ne_bytes())
    }

    /// Ends with the last record that is left, and has the segment outlive its participants only if there is one. Returns
    /// how many there are.
    pub(crate) fn settle(&self) -> Result<usize, Errno> {
        let units = self.units()?;
        let (used, count) = records(&units)
            .fold((0, 0), |(_, count), (at, head)| (at + head.span(units.len() - at), count + 1));
        if used < units.len() {
            let end = used as u32;
            self.register.write(self.register.records as i64, &end.to_ne_bytes())?;
        }
        if count == 0 {
            page::set_persistent(self.register.file(), false)?;
        }
        Ok(count)
    }

    /// Has the segment outlive its participants from now on.
    pub(crate) fn keep(&self) -> Result<(), Errno> {
        page::set_persistent(self.register.file(), true)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Cannot fail for a byte that is locked; if it did, the lock would go with the descriptor.
        let _ = fcntl(&self.register.file, FcntlArg::F_OFD_SETLK(&flock(LOCK, libc::F_UNLCK)));
    }
}

/// The records among units, each with where it begins.
pub(crate) fn records(units: &[[u8; UNIT]]) -> impl Iterator<Item = (usize, Head)> {
    let mut next = 0;
    std::iter::from_fn(move || {
        loop {
            let (at, head) = (next, Head::parse(units.get(next)?));
            if head.owner == 0 {
                next += 1;
                continue;
            }
            next += head.span(units.len() - at);
            return Some((at, head));
        }
    })
}

/// Where so many units in a row are free: among those in use, or behind.
fn free_run(units: &[[u8; UNIT]], len: usize) -> usize {
    let mut end = 0;
    for (at, head) in records(units) {
        if at - end >= len {
            return end;
        }
        end = at + head.span(units.len() - at);
    }
    end
}

/// Up to so long: whoever waits does not look when all the others do.
fn jitter(most: Duration) -> Duration {
    let now = Deadline::now().as_nanos().unwrap_or(0);
    Duration::from_nanos(now.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (most.as_nanos() as u64).max(1))
}

fn try_lock(file: &OwnedFd, at: u64) -> Result<bool, Errno> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&flock(at, libc::F_WRLCK))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn flock(at: u64, kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as _,
        l_whence: libc::SEEK_SET as _,
        l_start: at as _,
        l_len: 1,
        l_pid: 0,
    }
}

impl AsRawFd for Register {
    fn as_raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }
}
