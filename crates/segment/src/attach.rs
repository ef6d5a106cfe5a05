//! Joining a segment that exists.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirEntryExt;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, readlink};
use nix::sys::stat::Mode;
use shmkit_atomic::Deadline;
use shmkit_layout::{Header, Region};
use shmkit_roster::{
    Description, JoinError, JoinErrorKind, Link, OwnerId, Participant, Roster, RosterError,
};

use crate::directory::sweep;
use crate::error::{ErrorKind, Failure};
use crate::exit;
use crate::file::{is_sealed, retry};
use crate::growth;
use crate::inspect::{self, Expected, cannot_open, open_file};
use crate::mapping;
use crate::memory::Memory;
use crate::name::Place;
use crate::patience::{is_passing, pause};
use crate::shared::{Shared, unlinked};
use crate::status::{Identity, Status};
use crate::table::{self, Claim, Entry};

/// Where the private description of the roster comes from, if not from a name.
#[derive(Debug)]
pub(crate) enum Source {
    Descriptor,
    Ticket(OwnedFd),
}

/// Joins the segment that a name leads to.
pub(crate) fn by_name(place: &Place, expected: &Expected) -> Result<Arc<Shared>, Failure> {
    let deadline = Deadline::after(expected.time_limit);
    loop {
        match by_name_once(place, expected) {
            Err(failure) if is_passing(&failure) => pause(deadline, place)?,
            other => return other,
        }
    }
}

/// Joins the segment that a name leads to at this moment. The name may be gone when it is joined, which
/// [passes](is_passing).
pub(crate) fn by_name_once(place: &Place, expected: &Expected) -> Result<Arc<Shared>, Failure> {
    let file = open_file(place).map_err(|errno| cannot_open(errno, place))?;
    let found = Found::look(file.as_fd(), expected)?;
    let shared = match table::claim(found.identity) {
        Claim::Joined(shared) => {
            rejoin(&shared)?;
            shared.ask(expected.memory)?;
            shared
        }
        Claim::Free(entry) => {
            // By the path: it needs no `/proc`, and a participant whose descriptor is closed by somebody can ask by it.
            let description = Description::Path(place.path().to_owned());
            found.join(entry, file, description, Link::Named)?
        }
    };
    shared.found_at(place.clone());
    Ok(shared)
}

/// Joins the segment that a descriptor is open on.
pub(crate) fn by_descriptor(
    file: OwnedFd,
    source: Source,
    expected: &Expected,
) -> Result<Arc<Shared>, Failure> {
    let found = Found::look(file.as_fd(), expected)?;
    if found.status.links == 0 && !is_sealed(file.as_fd()) {
        return Err(unlinked());
    }
    let link = if found.status.links == 0 { Link::Nameless } else { Link::Named };
    let entry = match table::claim(found.identity) {
        Claim::Joined(shared) => {
            match source {
                Source::Descriptor => rejoin(&shared)?,
                Source::Ticket(ticket) => rejoin_by(&shared, Description::Ticket(ticket))?,
            };
            shared.ask(expected.memory)?;
            return Ok(shared);
        }
        Claim::Free(entry) => entry,
    };
    let place = if link == Link::Named { place_of(file.as_fd(), &found) } else { None };
    let description = match source {
        Source::Descriptor => Description::Proc,
        Source::Ticket(ticket) => Description::Ticket(ticket),
    };
    let shared = found.join(entry, file, description, link)?;
    if let Some(place) = place {
        shared.found_at(place);
    }
    Ok(shared)
}

/// Joins in a forked child; does nothing in a process that has its place.
pub(crate) fn rejoin(shared: &Shared) -> Result<OwnerId, Failure> {
    let participant = shared.participant();
    if let Some(id) = participant.id() {
        return Ok(id);
    }
    // Through the descriptor, by which alone an unlinked file can be told from one that never was; by the path if
    // there is no `/proc`, or if somebody closed the descriptor.
    let id = participant
        .rejoin_with(Description::Proc)
        .or_else(|error| match (error.kind(), shared.place()) {
            (JoinErrorKind::Description | JoinErrorKind::OtherFile, Some(place)) => {
                participant.rejoin_with(Description::Path(place.path().to_owned()))
            }
            _ => Err(error),
        })
        .map_err(|error| not_rejoined(shared, error))?;
    rejoined(shared)?;
    Ok(id)
}

/// As [`rejoin`], by a description that somebody made for this process.
pub(crate) fn rejoin_by(shared: &Shared, description: Description) -> Result<OwnerId, Failure> {
    let id = shared
        .participant()
        .rejoin_with(description)
        .map_err(|error| not_rejoined(shared, error))?;
    rejoined(shared)?;
    Ok(id)
}

/// What is left to do for a forked child that has its place.
fn rejoined(shared: &Shared) -> Result<(), Failure> {
    let what = match shared.use_inherited() {
        Ok(None) => {
            shared.entry().inherit();
            return opened(shared.header(), shared.region());
        }
        Ok(Some(_)) => "an object to which this process has inherited a handle was removed before it joined: drop such handles first, \
             or join before anybody removes what they lead to"
            .to_owned(),
        Err(reason) => format!("the directory of its objects cannot be used: {reason}"),
    };
    // SAFETY: it has joined a moment ago, and nothing but the handles of its parent's, which are of no use, is there.
    unsafe { shared.participant().leave() };
    Err(Failure::new(ErrorKind::ObjectRemoved, what))
}

/// Has a segment that is persistent until somebody opens it be an ordinary one.
fn opened(header: &Header, region: Region<'_>) -> Result<(), Failure> {
    if header.waits_for_opener() {
        Header::end_persistence(region)?;
    }
    Ok(())
}

fn not_rejoined(shared: &Shared, error: JoinError) -> Failure {
    match shared.still_named() {
        Ok(()) => cannot_join(error, By::Descriptor),
        Err(unlinked) => unlinked,
    }
}

/// A file that was found to be a good segment.
struct Found {
    status: Status,
    header: Header,
    identity: Identity,
    memory: Memory,
}

impl Found {
    fn look(file: BorrowedFd<'_>, expected: &Expected) -> Result<Self, Failure> {
        let status = Status::of(file).map_err(|errno| Failure::os(errno, "fstat"))?;
        let header = inspect::header(file, &status, expected)?;
        let identity = Identity::new(&status, &header);
        Ok(Self { status, header, identity, memory: expected.memory })
    }

    fn join(
        self,
        entry: Entry,
        file: OwnedFd,
        description: Description,
        link: Link,
    ) -> Result<Arc<Shared>, Failure> {
        let by = match description {
            Description::Path(_) => By::Name,
            _ => By::Descriptor,
        };
        let mapping = mapping::map(file.as_fd(), self.header.limit())?;
        self.memory.apply(&mapping, self.header.size)?;
        // SAFETY: `Shared` keeps the mapping for longer than the roster, or this function drops both.
        let region = unsafe { mapping::whole(&mapping) };
        let slots = self.header.roster_slots;
        let roster = region
            .sub(self.header.roster, Roster::bytes(slots))
            .map_err(|error| bad_roster(RosterError::Place(error)))?;
        // SAFETY: `create` made a roster of so many slots there before the segment could be found, as the checked
        // header says; if somebody else made the file, they are atomics nonetheless, for which every pattern is valid.
        let roster = unsafe { Roster::attach(roster, slots) }.map_err(bad_roster)?;
        // SAFETY: all words that name participants are objects' or the directory's own: `Object` and `Segment` say so.
        let roster = unsafe { roster.swept_by(region, sweep::segment) };
        // SAFETY: `mapping` is of this file.
        let mut participant = unsafe { Participant::join(roster, file, description, link) }
            .map_err(|error| cannot_join(error, by))?;
        growth::back(&mut participant, &mapping, &self.header, self.memory);
        // In time: with the place nobody removes it before.
        opened(&self.header, region)?;
        let named = link == Link::Named;
        // SAFETY: `participant` borrows `mapping`.
        let shared = unsafe { Shared::new(mapping, participant, self.header, entry, named) };
        Ok(enter(shared))
    }
}

/// Shows the other threads of this process what was joined, and has it leave at the process's end.
pub(crate) fn enter(shared: Shared) -> Arc<Shared> {
    exit::register();
    let shared = Arc::new(shared);
    table::enter(shared.entry(), &shared);
    shared
}

/// Returns a participant's descriptor, if it leads to the segment still, or a new one.
pub(crate) fn own_file<'p>(participant: &'p Participant<'_>) -> Result<BorrowedFd<'p>, Failure> {
    participant.file().map_err(|error| no_descriptor().caused_by(error))
}

fn no_descriptor() -> Failure {
    Failure::new(
        ErrorKind::NoDescriptor,
        "its descriptor was closed, and maybe used for another file, by something in this \
         process, and no name leads to it: leave the descriptors of segments alone",
    )
}

/// Opens another description of a file.
pub(crate) fn reopen(file: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
    retry(|| open(path.as_str(), OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()))
        .map_err(|errno| Failure::os(errno, format_args!("opening {path}")))
}

/// Finds what a descriptor's file is called. The kernel knows for whoever opened it by name; a description that is
/// older than the name (the creator's) shows the directory alone, which is searched for the file's number.
///
/// The answer is used only if the name leads to the file, and whoever removes checks again.
fn place_of(file: BorrowedFd<'_>, found: &Found) -> Option<Place> {
    let path = readlink(format!("/proc/thread-self/fd/{}", file.as_raw_fd()).as_str()).ok()?;
    let path = PathBuf::from(path);
    let leads_here = |place: &Place| inspect::names(place, found.identity);
    if let Some(place) = Place::of_path(path.clone()).filter(leads_here) {
        return Some(place);
    }
    fs::read_dir(path.parent()?)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.ino() == found.identity.inode)
        .filter_map(|entry| Place::of_path(entry.path()))
        .find(leads_here)
}

pub(crate) fn bad_roster(error: RosterError) -> Failure {
    Failure::new(ErrorKind::Corrupt, "its roster is damaged: remove it and make it anew")
        .caused_by(error)
}

/// How the roster was to come to a description of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Name,
    Descriptor,
}

pub(crate) fn cannot_join(error: JoinError, by: By) -> Failure {
    use JoinErrorKind::{
        Description, Exhausted, Full, OtherFile, Removing, System, Ticket, TicketUsed, Unlinked,
        Unsupported, Unswept,
    };
    let errno = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .and_then(std::io::Error::raw_os_error)
        .map(Errno::from_raw);
    let (kind, detail) = match (error.kind(), errno) {
        // The name leads elsewhere, or nowhere, by now.
        (OtherFile, _) | (Description, Some(Errno::ENOENT)) if by == By::Name => {
            return unlinked().caused_by(error);
        }
        (Unlinked, _) => return unlinked().caused_by(error),
        (Description, Some(Errno::EBADF)) => return no_descriptor().caused_by(error),
        (OtherFile, _) | (Description, Some(Errno::ENOENT)) => (
            ErrorKind::Unsupported,
            "this process cannot open its file anew: mount /proc, or join by name or by ticket"
                .to_owned(),
        ),
        (Description, Some(Errno::EACCES | Errno::EPERM)) => (
            ErrorKind::PermissionDenied,
            format!(
                "user {} may not open its file anew: \
                 join by a ticket of a process that may, or of before the privileges were dropped \
                 (`Segment::ticket`; a forked child by `join_after_fork_by`), or have children join \
                 at the fork, before they drop theirs (`join_all_at_fork`)",
                nix::unistd::geteuid()
            ),
        ),
        (_, Some(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOLCK))) => {
            return Failure::os(errno, "joining its roster");
        }
        (Removing, _) => (
            ErrorKind::TimedOut,
            "somebody is removing it: open or create the name again".to_owned(),
        ),
        (Full { slots }, _) => (
            ErrorKind::Full,
            format!(
                "all its {slots} places are taken: \
                 wait until a participant leaves, or make it with more `participants`"
            ),
        ),
        (Exhausted { .. }, _) => (
            ErrorKind::Exhausted,
            "its free places have given out all their names: make it anew".to_owned(),
        ),
        (Unswept { why }, _) => (
            ErrorKind::Exhausted,
            format!(
                "its free places have given out all their names, and cannot begin anew, for {why}: make it anew"
            ),
        ),
        (Ticket, _) => (
            ErrorKind::Join,
            "the ticket is a duplicate of the descriptor, where a description of its own was \
             expected: make it with `Segment::ticket`"
                .to_owned(),
        ),
        (TicketUsed, _) => (
            ErrorKind::Join,
            "somebody has joined by this ticket, and each participant needs one of its own: make \
             another with `Segment::ticket`"
                .to_owned(),
        ),
        (Unsupported, _) => (
            ErrorKind::Unsupported,
            "its file system or the kernel has no record locks that a mapping carries: \
             choose a directory on a tmpfs, or an anonymous segment"
                .to_owned(),
        ),
        (System, Some(errno)) => (
            ErrorKind::Join,
            format!(
                "the system refused something that joining needs ({}): look at the process's \
                 limits, and whether a sandbox or a seccomp filter forbids it",
                errno.desc()
            ),
        ),
        _ => (ErrorKind::Join, "its roster has no place for this process".to_owned()),
    };
    Failure::new(kind, detail).caused_by(error)
}
