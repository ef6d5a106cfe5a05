//! A place in a roster.

use core::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use shmkit_atomic::AtomicU32;

use crate::atfork::NoForks;
use crate::backing::Backing;
use crate::description::{self, Description, Link, Status};
use crate::file::KeptFile;
use crate::identity::Identity;
use crate::join::{Join, Source};
use crate::{DeathWatch, JoinError, JoinErrorKind, Judge, OwnerId, Person, Roster, beside};

/// An address space that takes part in a roster: the kernel's answer to the two questions of [`Judge`].
///
/// Every handle and guard borrows it, so that nobody leaves while a lock is in use. Dropping it leaves: the kernel
/// hears of it, and nothing shared is written but a hint that the place is free.
///
/// **Alive** means that the kernel has not finished this address space's exit. A stopped process (SIGSTOP), one whose
/// main thread has ended, one that closed every descriptor, and one that still dumps its core are alive; a zombie is
/// dead. A child inherits nothing: after a fork it is nobody ([`Judge::me`] answers `None`, and every operation of a
/// primitive fails or does nothing) until it takes a place of its own with [`rejoin`](Self::rejoin).
///
/// # If a peer dies
///
/// None of the calls here waits for a peer. One that dies in the middle of joining leaves nothing but a number that
/// nobody will ever be called by.
///
/// # Not supported
///
/// Checkpoint and restore; `io_uring` and `O_DIRECT` into the shared bytes, which the kernel may go on writing after
/// the participant is dead. A raw `clone` or `_Fork` in the microseconds of a join, whose child neither executes nor
/// exits, keeps the place of its parent until it ends.
pub struct Participant<'a> {
    identity: Identity,
    roster: Roster<'a>,
    file: KeptFile,
    path: Option<PathBuf>,
    link: Link,
    /// Where the memory comes from that is not there yet; nowhere if all is.
    pub(crate) backing: Option<Box<dyn Backing>>,
    /// Whether no descriptor of the file may be closed in the program's table.
    keeps: bool,
    /// Whether the roster's bytes may be gone.
    vacated: bool,
}

impl<'a> Participant<'a> {
    /// Joins a roster that lies in `file`.
    ///
    /// The first to join also learns whether the file system has the locks that tell who is alive. The file must be
    /// open for reading and writing.
    ///
    /// **A program's own locks.** Joining and leaving close descriptors of the file, and with any of them the kernel takes
    /// away all *classic* record locks (`F_SETLK`, as SQLite and `lockf` use them) that this process has on the file,
    /// wherever in it: that is [POSIX's rule][1]. A program that has such locks joins [beside
    /// them](Self::join_beside_locks). Open file description locks (`F_OFD_SETLK`) and `flock` are not touched. A lock on
    /// the *whole* file, to its end wherever that is, covers the bytes by which the roster tells who is alive: nobody can
    /// join while another process has one, and the dead seem to live. Lock below 2^61.
    ///
    /// # Errors
    ///
    /// [`JoinError`], of every kind. Nothing is left behind by a join that fails, except that a name may have been
    /// spent.
    ///
    /// # Safety
    ///
    /// The roster must lie in a mapping of this very file, and so must it for all who ever join it: the locks of one file
    /// say nothing of who joins by another, and would let two have one name.
    ///
    /// [1]: https://man7.org/linux/man-pages/man2/F_GETLK.2const.html
    pub unsafe fn join(
        roster: Roster<'a>,
        file: OwnedFd,
        description: Description,
        link: Link,
    ) -> Result<Self, JoinError> {
        Self::join_keeping(roster, file, description, link, false)
    }

    /// As [`join`](Self::join), for a program that has classic record locks on the file: it loses none of them, now or
    /// when it leaves, or when the handle [joins again](Self::rejoin).
    ///
    /// What must be closed is closed by a thread that has a table of descriptors for itself, which is started for that:
    /// some 50 µs. `file` is never closed: it stays open until the process ends, as its owner's other descriptors of it
    /// should. If the program closes it nevertheless, nobody is found dead any more.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join); and no thread could be started, or not have its own descriptors.
    ///
    /// # Safety
    ///
    /// As [`join`](Self::join).
    pub unsafe fn join_beside_locks(
        roster: Roster<'a>,
        file: OwnedFd,
        description: Description,
        link: Link,
    ) -> Result<Self, JoinError> {
        Self::join_keeping(roster, file, description, link, true)
    }

    fn join_keeping(
        roster: Roster<'a>,
        file: OwnedFd,
        description: Description,
        link: Link,
        keeps: bool,
    ) -> Result<Self, JoinError> {
        let file = KeptFile::new(file).map_err(JoinError::system)?;
        let identity = Identity::new().map_err(JoinError::system)?;
        let (path, ticket) = match description {
            Description::Proc => (None, None),
            Description::Path(path) => (Some(path), None),
            Description::Ticket(ticket) => (None, Some(ticket)),
        };
        let mut this =
            Self { identity, roster, file, path, link, backing: None, keeps, vacated: false };
        this.file.keep_open(keeps);
        let source = match ticket {
            Some(ticket) => Source::Ticket(Some(ticket)),
            None => this.source(),
        };
        // It was asked whose it is a moment ago, when it was kept.
        this.join_with(this.file.unchecked(), source)?;
        Ok(this)
    }

    /// Takes a new place in a forked child, in the same way as the parent did (through `/proc` if that was by
    /// ticket); does nothing if this address space has its place.
    ///
    /// Also takes a new place, under a new name, after the old one [was lost](Self::is_lost).
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join). A named file whose last participant left meanwhile has lost its name, and is
    /// [`Unlinked`](crate::JoinErrorKind::Unlinked): join in the child before the parent leaves.
    pub fn rejoin(&self) -> Result<OwnerId, JoinError> {
        self.join_by(self.source())
    }

    /// As [`rejoin`](Self::rejoin), with another way to a description: a new ticket, above all.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn rejoin_with(&self, description: Description) -> Result<OwnerId, JoinError> {
        match description {
            Description::Proc => self.join_by(Source::Proc),
            Description::Path(path) => self.join_by(Source::Path(&path)),
            Description::Ticket(fd) => self.join_by(Source::Ticket(Some(fd))),
        }
    }

    /// Notes that the nameless file was given a name since: who [rejoins](Self::rejoin) when the name is gone is
    /// [`Unlinked`](crate::JoinErrorKind::Unlinked), and a participant whose descriptor was closed by somebody asks
    /// by `path`.
    pub fn set_path(&mut self, path: PathBuf) {
        self.path = Some(path);
        self.link = Link::Named;
    }

    /// Says how the memory of the file is had that is not there yet: the participant is the [`Commit`](shmkit_layout::Commit) of
    /// what lies in it. Without, all of it is there.
    pub fn back_by(&mut self, backing: Box<dyn Backing>) {
        self.backing = Some(backing);
    }

    /// Returns the name, or `None` in a forked child that has not [joined](Self::rejoin), and after the place was
    /// [lost](Self::is_lost).
    #[inline]
    pub fn id(&self) -> Option<OwnerId> {
        self.identity.id()
    }

    /// Returns whether the kernel has forgotten this participant, so that the others take it for dead: something in
    /// this process unmapped memory that was not its own. All it held is somebody else's now.
    pub fn is_lost(&self) -> bool {
        self.identity.is_lost()
    }

    /// Leaves, as a drop does, while there are still references to it: this address space is nobody from now on, and may
    /// [rejoin](Self::rejoin).
    ///
    /// # Safety
    ///
    /// Nobody in this process uses what this participant holds any more: to the others it is dead, and what its guards
    /// guard is theirs.
    pub unsafe fn leave(&self) {
        // It can fail only before the first join of this process.
        let _no_rejoin = NoForks::hold();
        // Before the lock falls: the dead write nothing.
        if let Some(id) = self.id() {
            self.roster.free(id);
        }
        self.identity.leave();
    }

    /// Returns who `owner` is or was, as long as its slot is not given to another.
    pub fn person(&self, owner: OwnerId) -> Option<Person> {
        Judge::person(self, owner)
    }

    /// Watches over another participant.
    pub fn watch(&self, owner: OwnerId) -> DeathWatch<&Self> {
        DeathWatch::new(self, owner)
    }

    /// Returns the descriptor of the file, after a look at whether it is that still.
    ///
    /// A program that closed all descriptors, as daemons do, has none, or has opened something else under the number.
    /// Then the file is opened anew by the path that was given when it was [joined](Self::join), and that descriptor is
    /// kept instead.
    ///
    /// # Errors
    ///
    /// The descriptor is gone, and no path leads to the file.
    pub fn file(&self) -> io::Result<BorrowedFd<'_>> {
        self.file.get(self.path())
    }

    /// Notes in the roster that this place is about to be free, as dropping does. From now on the roster's bytes are
    /// not written any more: for who unmaps them before it drops the participant.
    pub fn vacate(&mut self) {
        // Before the lock falls: the dead write nothing. In a forked child it is the parent's place.
        if let Some(id) = self.id().filter(|_| !self.vacated) {
            self.roster.free(id);
        }
        self.vacated = true;
    }

    /// Notes for people that this process is about to leave in good order, by ending: it keeps its place until then.
    pub fn note_exit(&self) {
        if let Some(id) = self.id().filter(|_| !self.vacated) {
            self.roster.note_leave(id);
        }
    }

    /// Returns the roster.
    pub fn roster(&self) -> Roster<'a> {
        self.roster
    }

    /// The descriptor's number, whatever it leads to by now.
    pub(crate) fn unchecked_file(&self) -> BorrowedFd<'_> {
        self.file.unchecked()
    }

    /// The word with the name, which stays where it is as long as this lives.
    pub(crate) fn id_word(&self) -> &AtomicU32 {
        self.identity.word()
    }

    /// Whether a descriptor leads to our file.
    pub(crate) fn is_ours(&self, file: BorrowedFd<'_>) -> bool {
        Status::of(file).is_ok_and(|status| status.node == self.file.node())
    }

    /// Opens a description of our file that does without our descriptor: by its path, or by the mapping that carries
    /// our locks.
    pub(crate) fn open_anew(&self) -> Option<OwnedFd> {
        if self.keeps {
            return None; // It would be closed.
        }
        let by_path = self.path().and_then(|path| description::open(path).ok());
        let by_path = by_path.filter(|file| self.is_ours(file.as_fd()));
        by_path.or_else(|| {
            let file = description::open_mapping(&self.identity.anchor()?).ok();
            file.filter(|file| self.is_ours(file.as_fd()))
        })
    }

    /// Opens a description of our file, by any way that there is.
    pub(crate) fn open_private(&self, file: BorrowedFd<'_>) -> Option<OwnedFd> {
        self.open_anew().or_else(|| {
            let again = description::reopen(file).ok().filter(|_| !self.keeps);
            again.filter(|file| self.is_ours(file.as_fd()))
        })
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The kernel has forgotten us.
    pub(crate) fn lose(&self, me: OwnerId) {
        // It can fail only before the first join of this process.
        let _no_rejoin = NoForks::hold();
        self.identity.lose(me);
    }

    fn source(&self) -> Source<'_> {
        self.path().map_or(Source::Proc, Source::Path)
    }

    fn join_by(&self, source: Source<'_>) -> Result<OwnerId, JoinError> {
        let path = match source {
            Source::Path(path) => Some(path),
            _ => self.path(),
        };
        let file = match self.keeps {
            // To open it anew might close one.
            true => Ok(self.file.unchecked()),
            false => self.file.get(path),
        };
        self.join_with(file.map_err(|e| JoinError::with(JoinErrorKind::Description, e))?, source)
    }

    fn join_with(&self, file: BorrowedFd<'_>, source: Source<'_>) -> Result<OwnerId, JoinError> {
        let join = Join {
            roster: self.roster,
            identity: &self.identity,
            file,
            node: self.file.node(),
            link: self.link,
        };
        if !self.keeps {
            return join.run(source);
        }
        beside::with_own_descriptors(|| join.run(source)).map_err(JoinError::system)?
    }
}

impl Drop for Participant<'_> {
    /// Leaves. The anchor goes with the identity, a field.
    fn drop(&mut self) {
        self.vacate();
    }
}

impl fmt::Debug for Participant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("id", &self.identity)
            .field("roster", &self.roster)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Bytes, in_child, memfd, reopen};
    use crate::{Verdict, removal};

    fn join<'a>(roster: Roster<'a>, file: &OwnedFd) -> Result<Participant<'a>, JoinError> {
        let file = file.try_clone().unwrap();
        // SAFETY: `Bytes` maps the same file, and the tests join by no other.
        unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }
    }

    /// A handle that borrows for a shorter time than the region lives can take it.
    #[expect(dead_code, reason = "compiles")]
    fn is_covariant<'short>(participant: Participant<'static>) -> Participant<'short> {
        participant
    }

    #[test]
    fn a_participant_lives_until_it_leaves() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let roster = bytes.roster(4);
        let (one, two) = (join(roster, &file).unwrap(), join(roster, &file).unwrap());
        let (a, b) = (one.me().unwrap(), two.me().unwrap());
        assert_eq!([a, b].map(|id| roster.slot_of(id)), [Some(0), Some(1)]);
        assert_eq!(one.verdict(b), Verdict::Alive);
        assert_eq!(one.verdict(a), Verdict::Alive);
        assert_eq!(one.person(b).unwrap().pid, std::process::id());
        assert!(removal::in_use(file.as_fd()).unwrap());
        drop(two);
        assert_eq!(one.verdict(b), Verdict::Dead);
        let members = roster.participants(file.as_fd());
        let verdicts: Vec<_> = members.iter().map(|m| (m.id, m.verdict)).collect();
        assert_eq!(verdicts, [(a, Verdict::Alive), (b, Verdict::Dead)]);
        drop(one);
        assert!(!removal::in_use(file.as_fd()).unwrap());
        assert!(roster.participants(file.as_fd()).iter().all(|m| m.verdict == Verdict::Dead));
    }

    #[test]
    fn a_slot_is_reused_under_another_name() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(1));
        let roster = bytes.roster(1);
        let first = join(roster, &file).unwrap().id().unwrap();
        let second = join(roster, &file).unwrap();
        assert_eq!(second.id(), OwnerId::new(2));
        assert_eq!(second.verdict(first), Verdict::Dead);
        assert_eq!(second.person(first), None);
        let error = join(roster, &file).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Full { slots: 1 });
    }

    #[test]
    fn an_id_that_nobody_was_given_is_corrupt_and_not_dead() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let roster = bytes.roster(4);
        let one = join(roster, &file).unwrap();
        let gone = join(roster, &file).unwrap().id().unwrap();
        assert_eq!(one.verdict(gone), Verdict::Dead);
        for number in [gone.get() + 1, 5, OwnerId::LAST] {
            assert_eq!(one.verdict(OwnerId::new(number).unwrap()), Verdict::Nobody, "{number}");
        }
        assert_eq!(one.verdict(OwnerId::GONE), Verdict::Dead);
    }

    #[test]
    fn a_child_is_nobody_until_it_rejoins() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let one = join(bytes.roster(4), &file).unwrap();
        let id = one.id().unwrap();
        assert_eq!(one.rejoin().unwrap(), id);
        in_child(|| {
            assert_eq!((one.me(), one.is_lost()), (None, false));
            assert_eq!(one.verdict(id), Verdict::Unknown);
            let mine = one.rejoin().unwrap();
            assert_ne!(mine, id);
            assert_eq!(one.me(), Some(mine));
            assert_eq!(one.verdict(id), Verdict::Alive);
            assert_eq!(one.person(mine).unwrap().pid, std::process::id());
        });
        assert_eq!(one.id(), Some(id));
        assert_eq!(one.verdict(OwnerId::new(2).unwrap()), Verdict::Dead, "the child");
    }

    #[test]
    fn a_ticket_is_good_for_one_join() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let roster = bytes.roster(4);
        // A child that another test forks now would inherit the tickets.
        let no_forks = NoForks::hold().unwrap();
        let by = |ticket: OwnedFd, data: &OwnedFd| {
            let data = data.try_clone().unwrap();
            // SAFETY: as in `join`.
            unsafe { Participant::join(roster, data, Description::Ticket(ticket), Link::Nameless) }
        };
        let one = by(reopen(&file), &file).unwrap();
        assert_eq!(one.verdict(one.id().unwrap()), Verdict::Alive);
        let error = by(file.try_clone().unwrap(), &file).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Ticket);
        let error = by(memfd(), &file).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::OtherFile);
        drop((one, no_forks));
        let stranger = reopen(&file);
        assert!(!removal::in_use(stranger.as_fd()).unwrap(), "failed joins left nothing");
    }

    #[test]
    fn who_lost_its_place_is_nobody() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let one = join(bytes.roster(4), &file).unwrap();
        let id = one.id().unwrap();
        let gone = join(one.roster(), &file).unwrap().id().unwrap();
        one.identity.unmap_anchor_behind_its_back();
        assert_eq!(one.verdict(gone), Verdict::Unknown);
        assert_eq!((one.me(), one.is_lost()), (None, true));
        let again = one.rejoin().unwrap();
        assert!(again != id && !one.is_lost());
        assert_eq!(one.verdict(id), Verdict::Dead);
    }

    #[test]
    fn a_removal_keeps_joiners_out() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(4));
        let roster = bytes.roster(4);
        let fresh = reopen(&file);
        let removal = removal::nobody_alive(fresh.as_fd()).unwrap().unwrap();
        let error = join(roster, &file).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Removing);
        drop(removal);
        let one = join(roster, &file).unwrap();
        assert!(removal::nobody_alive(fresh.as_fd()).unwrap().is_none());
        let removal = removal::remover(fresh.as_fd()).unwrap().unwrap();
        assert!(removal::remover(reopen(&file).as_fd()).unwrap().is_none());
        let two = join(roster, &file).unwrap();
        drop((removal, one, two));
        assert!(removal::nobody_alive(fresh.as_fd()).unwrap().is_some());
    }
}
