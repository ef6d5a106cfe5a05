//! The six steps to a place.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::anchor::Anchor;
use crate::atfork::NoForks;
use crate::description::{self, Node, Status};
use crate::era::Spent;
use crate::identity::Identity;
use crate::mark;
use crate::range::{self, Range};
use crate::slot::Slot;
use crate::{JoinError, JoinErrorKind, Link, OwnerId, Roster};

/// How often a join is tried while somebody holds the remover's range, which takes them microseconds.
const TRIES: u32 = 8;
/// The pause before the second try; each further one is twice as long: 13 ms in all.
const PAUSE: Duration = Duration::from_micros(100);
/// How often all slots are tried when none was free, and nobody had one a moment later.
const ROUNDS: u32 = 4;

/// What a join needs besides a description of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Join<'j> {
    pub(crate) roster: Roster<'j>,
    pub(crate) identity: &'j Identity,
    /// The data descriptor.
    pub(crate) file: BorrowedFd<'j>,
    pub(crate) node: Node,
    pub(crate) link: Link,
}

/// Where the private description comes from, for one join.
#[derive(Debug)]
pub(crate) enum Source<'j> {
    Proc,
    Path(&'j Path),
    /// The ticket; nothing while a try has it for its own description, and when it is spent.
    Ticket(Option<OwnedFd>),
}

impl Join<'_> {
    /// Takes a place, or returns the id of the place that this address space has already.
    pub(crate) fn run(self, mut source: Source<'_>) -> Result<OwnerId, JoinError> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.try_once(&mut source) {
                Err(error) if error.kind() == JoinErrorKind::Removing => {}
                other => return other,
            }
            thread::sleep(pause);
            pause *= 2;
        }
        self.try_once(&mut source)
    }

    fn try_once(self, source: &mut Source<'_>) -> Result<OwnerId, JoinError> {
        let _no_forks = NoForks::hold().map_err(JoinError::system)?;
        if let Some(id) = self.identity.id() {
            return Ok(id); // Another thread was faster.
        }
        // 1: a description that nobody else has.
        let failed = |error| JoinError::with(JoinErrorKind::Description, error);
        let own = match source {
            Source::Proc => description::reopen(self.file).map_err(failed)?,
            Source::Path(path) => description::open(path).map_err(failed)?,
            Source::Ticket(ticket) => description::redeem(ticket)?,
        };
        let status = Status::of(own.as_fd()).map_err(JoinError::system)?;
        if status.node != self.node {
            return Err(JoinError::new(JoinErrorKind::OtherFile));
        }
        // 2: the mapping that will carry its locks, before there are any. Whatever fails from here on, the locks
        // vanish with `own` and `anchor`.
        let anchor = Anchor::map(own.as_fd(), status.block).map_err(JoinError::system)?;
        // 3 to 5: the locks.
        let id = match self.take_place(own.as_fd()) {
            Err(error) if error.kind() == JoinErrorKind::Removing => {
                if let Source::Ticket(ticket @ None) = source {
                    *ticket = Some(own); // It holds no lock: good for another try.
                }
                return Err(error);
            }
            other => other?,
        };
        if let Err(error) = self.prove(source, id) {
            if let Some(held) = self.roster.held(id) {
                give_back(own.as_fd(), held);
            }
            return Err(error);
        }
        if let Source::Ticket(None) = source {
            mark::mark_used(own.as_fd());
        }
        // 6: no descriptor. There are file systems (overlayfs) whose mappings keep another description than the
        // descriptor's: what everybody will ask the kernel must have the right answer from now on.
        drop(own);
        if !self.sees(id)? {
            return Err(JoinError::new(JoinErrorKind::Unsupported));
        }
        self.identity.settle(id, anchor);
        Ok(id)
    }

    /// Locks a slot, and takes the name that it gives out.
    fn take_place(self, own: BorrowedFd<'_>) -> Result<OwnerId, JoinError> {
        let mut was_full = false;
        for _ in 0..ROUNDS {
            if let Some(id) = self.go_round(own)? {
                return Ok(id);
            }
            // Was it participants that had all the slots, or a remover? One that lives there itself has all but its own.
            if range::conflict(own, Range::REMOVER).map_err(lock_error)?.is_some() {
                return Err(JoinError::new(JoinErrorKind::Removing));
            }
            // A remover may have gone in between, and left one who lives there: that is no answer yet.
            let anybody = range::conflict(own, Range::EVERYBODY).map_err(lock_error)?.is_some();
            if anybody && std::mem::replace(&mut was_full, true) {
                break;
            }
        }
        Err(JoinError::new(JoinErrorKind::Full { slots: self.roster.slots() }))
    }

    /// Tries every slot once: those that must begin anew only if there is no other.
    fn go_round(self, own: BorrowedFd<'_>) -> Result<Option<OwnerId>, JoinError> {
        for spent in [false, true] {
            for (n, slot) in self.roster.round() {
                if slot.is_spent(n, self.roster.numbering()) != spent {
                    continue;
                }
                if let Some(id) = self.take_slot(own, n, slot)? {
                    return Ok(Some(id));
                }
            }
        }
        Ok(None)
    }

    /// Takes the name that a slot gives out, which is number `n`; nothing if somebody has the slot.
    ///
    /// One lock is asked for, that of the name which seems to be the next. If it was another's by the time it was given,
    /// that one has left again, or died: until the lock is set right, which is done at once, it seems to live.
    fn take_slot(
        self,
        own: BorrowedFd<'_>,
        n: u32,
        slot: &Slot,
    ) -> Result<Option<OwnerId>, JoinError> {
        let salt = self.roster.salt();
        let guess = match slot.next(n, self.roster.numbering()) {
            Some(next) => Range::held(salt, n, next),
            None => Range::first(salt, n),
        };
        if !range::try_lock(own, guess).map_err(lock_error)? {
            return Ok(None);
        }
        let taken = self.take_locked(own, n, slot, guess);
        if taken.is_err() {
            give_back(own, Range::slot(salt, n));
        }
        taken
    }

    /// Takes the name that a slot gives out of which some is locked, from its first byte on.
    fn take_locked(
        self,
        own: BorrowedFd<'_>,
        n: u32,
        slot: &Slot,
        guess: Range,
    ) -> Result<Option<OwnerId>, JoinError> {
        // The lock keeps removers out: a name that is there now stays as long as we do.
        if self.link == Link::Named && Status::of(own).map_err(JoinError::system)?.links == 0 {
            return Err(JoinError::new(JoinErrorKind::Unlinked));
        }
        self.renew(n, slot)?;
        let id = slot.begin(n, self.roster.numbering());
        let Some((id, held)) = id.and_then(|id| Some((id, self.roster.held(id)?))) else {
            range::unlock(own, guess).map_err(lock_error)?;
            return Ok(None);
        };
        if held != guess {
            // The slot is ours, so nobody has any of it; what comes first stays locked all the time.
            range::try_lock(own, held).map_err(lock_error)?;
            for rest in guess.without(held) {
                range::unlock(own, rest).map_err(lock_error)?;
            }
        }
        slot.sign();
        self.roster.take(n);
        Ok(Some(id))
    }

    /// Sees to it that a locked slot gives out no name that stands in a word.
    fn renew(self, n: u32, slot: &Slot) -> Result<(), JoinError> {
        let slots = self.roster.slots();
        let spent = slot.is_spent(n, self.roster.numbering());
        let rebooted = self.roster.is_of_another_boot(slot);
        match self.roster.sweep() {
            _ if !spent && !rebooted => {}
            None if spent => return Err(JoinError::new(JoinErrorKind::Exhausted { slots })),
            None => slot.jump(n, self.roster.numbering()),
            Some(sweep) => {
                let place = Spent::new(self.roster.numbering(), n);
                (sweep.run)(sweep.memory, &place)
                    .map_err(|why| JoinError::new(JoinErrorKind::Unswept { why }))?;
                slot.begin_anew();
            }
        }
        Ok(())
    }

    /// Sees to it that what was joined by is good for it: that everybody else sees the lock, as long as this process
    /// lives and no longer.
    fn prove(self, source: &Source<'_>, id: OwnerId) -> Result<(), JoinError> {
        let is_good = match source {
            // What was opened here is no duplicate of the data descriptor.
            Source::Proc | Source::Path(_) => true,
            // The ticket itself.
            Source::Ticket(None) => self.sees(id)?,
            Source::Ticket(Some(ticket)) => !self.is_shared(ticket.as_fd(), id)?,
        };
        if is_good { Ok(()) } else { Err(JoinError::new(JoinErrorKind::Ticket)) }
    }

    /// Returns whether a ticket that was only reopened is a duplicate of the data descriptor. That did no harm here;
    /// where there is no `/proc` it would, and had better not be found out there.
    fn is_shared(self, ticket: BorrowedFd<'_>, id: OwnerId) -> Result<bool, JoinError> {
        // Nobody else has this byte: whatever others try at the same time, they try under other names.
        let trial = Range::trial(self.roster.salt(), id);
        if !range::try_lock(ticket, trial).map_err(lock_error)? {
            return Ok(false);
        }
        let seen = range::conflict(self.file, trial).map(|lock| lock.is_some());
        range::unlock(ticket, trial).map_err(lock_error)?;
        Ok(!seen.map_err(lock_error)?)
    }

    /// Returns whether the data descriptor shows that `id` is taken, as every other process will see it.
    fn sees(self, id: OwnerId) -> Result<bool, JoinError> {
        let Some(mark) = self.roster.mark(id) else { return Ok(false) };
        range::conflict(self.file, mark).map(|lock| lock.is_some()).map_err(lock_error)
    }
}

/// Gives up what was locked, for a join that fails: the description is not closed with `own` if it came by a ticket of
/// which somebody else has a copy.
fn give_back(own: BorrowedFd<'_>, range: Range) {
    // Cannot fail for what is locked; if it did, the lock would go with the description.
    let _ = range::unlock(own, range);
}

fn lock_error(error: io::Error) -> JoinError {
    let kind = match error.raw_os_error() {
        _ if range::is_unsupported(&error) => JoinErrorKind::Unsupported,
        Some(libc::ENOLCK | libc::ENOMEM) => JoinErrorKind::NoMemory,
        _ => JoinErrorKind::System,
    };
    JoinError::with(kind, error)
}

#[cfg(test)]
mod tests {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;
    use crate::removal;
    use crate::testing::{Bytes, memfd, reopen};

    fn is_closed_on_exec(fd: &OwnedFd) -> bool {
        fcntl(fd, FcntlArg::F_GETFD).unwrap() & FdFlag::FD_CLOEXEC.bits() != 0
    }

    #[test]
    fn nobody_keeps_an_earlier_one_of_its_place_alive() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(1));
        let (roster, identity) = (bytes.roster(1), Identity::new().unwrap());
        let node = Status::of(file.as_fd()).unwrap().node;
        let join =
            Join { roster, identity: &identity, file: file.as_fd(), node, link: Link::Nameless };
        let (_, slot) = roster.round().next().unwrap();
        let held = |generation| Range::held(roster.salt(), 0, generation);
        let alive = || {
            let mark = |id: u32| roster.mark(OwnerId::new(id).unwrap()).unwrap();
            let is_held = |&id: &u32| range::conflict(file.as_fd(), mark(id)).unwrap().is_some();
            (1..9).filter(is_held).collect::<Vec<_>>()
        };
        // Others came and died between a look at the slot and the lock of what it would have given out.
        for (guess, expected) in [(1, 4), (4, 5), (6, 6)] {
            while slot.next(0, roster.numbering()) != Some(expected) {
                slot.begin(0, roster.numbering());
            }
            let own = reopen(&file);
            assert!(range::try_lock(own.as_fd(), held(guess)).unwrap());
            let id = join.take_locked(own.as_fd(), 0, slot, held(guess)).unwrap().unwrap();
            assert_eq!(id.get(), expected);
            assert_eq!(alive(), (expected..9).collect::<Vec<_>>(), "who comes later is nobody yet");
        }
        // A slot that begins anew was locked by its first byte alone.
        let own = reopen(&file);
        let first = Range::first(roster.salt(), 0);
        assert!(range::try_lock(own.as_fd(), first).unwrap());
        assert_eq!(alive(), [], "nobody is called so meanwhile");
        slot.begin_anew();
        let id = join.take_locked(own.as_fd(), 0, slot, first).unwrap();
        assert_eq!(id, OwnerId::new(1));
        assert_eq!(alive(), (1..9).collect::<Vec<_>>());
    }

    /// It may be a ticket's, of which the sender has a copy.
    #[test]
    fn a_join_that_fails_leaves_no_lock_to_its_description() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(2));
        let (roster, identity) = (bytes.roster(2), Identity::new().unwrap());
        let node = Status::of(file.as_fd()).unwrap().node;
        let join =
            Join { roster, identity: &identity, file: file.as_fd(), node, link: Link::Named };
        let (_, slot) = roster.round().next().unwrap();
        let ticket = reopen(&file);
        // A memfd has no name.
        let error = join.take_slot(ticket.as_fd(), 0, slot).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Unlinked);
        assert_eq!(range::conflict(file.as_fd(), Range::EVERYBODY).unwrap(), None);
    }

    #[test]
    fn no_memory_for_a_lock_is_not_a_file_without_locks() {
        let kind = |errno| lock_error(io::Error::from_raw_os_error(errno)).kind();
        assert_eq!(kind(libc::ENOLCK), JoinErrorKind::NoMemory);
        assert_eq!(kind(libc::EINVAL), JoinErrorKind::Unsupported);
        assert_eq!(kind(libc::EBADF), JoinErrorKind::System);
        assert!(
            lock_error(io::Error::from_raw_os_error(libc::ENOLCK)).to_string().contains("memory")
        );
    }

    #[test]
    fn a_ticket_is_closed_on_exec_before_any_lock() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(2));
        let identity = Identity::new().unwrap();
        let join = Join {
            roster: bytes.roster(2),
            identity: &identity,
            file: file.as_fd(),
            node: Status::of(file.as_fd()).unwrap().node,
            link: Link::Nameless,
        };
        // A child that another test forks now would inherit the ticket and the remover.
        let _no_forks = NoForks::hold().unwrap();
        let ticket = reopen(&file);
        fcntl(&ticket, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        assert!(!is_closed_on_exec(&ticket));
        // A try that cannot get a lock, and gives the ticket back.
        let remover = reopen(&file);
        let removal = removal::nobody_alive(remover.as_fd()).unwrap().unwrap();
        let mut source = Source::Ticket(Some(ticket));
        let error = join.try_once(&mut source).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Removing);
        let Source::Ticket(Some(ticket)) = &source else { panic!("{source:?}") };
        assert!(is_closed_on_exec(ticket));
        drop(removal);
        join.run(source).unwrap();
    }
}
