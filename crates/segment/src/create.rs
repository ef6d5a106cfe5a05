//! Making a segment: whole before anybody can find it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memmap2::MmapRaw;
use nix::errno::Errno;
use shmkit_atomic::Deadline;
use shmkit_layout::{Header, TypeTag};
use shmkit_roster::{Description, Link, Participant, Roster, RosterError, random};

use crate::attach::{self, By, bad_roster, cannot_join};
use crate::checked::{Checked, Persistence};
use crate::directory;
use crate::error::{ErrorKind, Failure};
use crate::file;
use crate::growth;
use crate::inspect::{self, Expected};
use crate::maker::{Election, Office, time_to_make};
use crate::mapping;
use crate::name::Place;
use crate::patience::{is_passing, pause};
use crate::remove::{self, Dead, RemoveOutcome, Terms};
use crate::shared::Shared;
use crate::status::{Identity, Status};
use crate::sweep;
use crate::table::{self, Entry};

/// What a name begins with that nobody has chosen.
const AUTOMATIC: &str = "auto-";

/// What is smaller is made by everybody that wants to: to be too late costs less than an election.
const WORTH_AN_ELECTION: u64 = 256 << 10;

/// Makes a new segment with a name.
pub(crate) fn create(place: &Place, options: &Checked) -> Result<Arc<Shared>, Failure> {
    let deadline = deadline(options);
    let mut election = None;
    if options.size >= WORTH_AN_ELECTION {
        election = Some(Election::new(place, options.size));
    }
    let mut made = None;
    // Whether the name was found to be somebody's.
    let mut is_taken = false;
    loop {
        // Before anything is allocated that may be for nothing, if that is dearer than a look.
        let is_cheap = election.is_none() && !is_taken;
        if !is_cheap && Status::of_path(place.path()).is_ok() {
            clear(place, options, deadline)?;
        }
        match name_new(place, options, election.as_ref(), &mut made, deadline) {
            Ok(Some(named)) => {
                sweep::sample(place);
                return Ok(named);
            }
            Ok(None) => {}
            // What bears the name may be what is missing, or the better reason.
            Err(_) if is_cheap && Status::of_path(place.path()).is_ok() => {}
            Err(failure) => return Err(failure),
        }
        if !is_cheap {
            wait(place, election.as_mut(), deadline)?;
        }
        is_taken = true;
    }
}

/// Joins the segment of a name, or makes it; says which.
pub(crate) fn open_or_create(
    place: &Place,
    options: &Checked,
    expected: &Expected,
) -> Result<(Arc<Shared>, bool), Failure> {
    let deadline = deadline(options);
    let mut election = None;
    let mut made = None;
    loop {
        if options.fresh {
            remove::consider(place, Terms { owner: options.owner, ..Terms::mine(Dead::Remove) })?;
        }
        match attach::by_name_once(place, expected) {
            Err(failure) if failure.kind == ErrorKind::NotFound => {
                let election = election.get_or_insert_with(|| Election::new(place, options.size));
                if let Some(named) = name_new(place, options, Some(election), &mut made, deadline)?
                {
                    sweep::sample(place);
                    return Ok((named, true));
                }
            }
            Err(failure) if is_passing(&failure) => {}
            other => return other.map(|found| (found, false)),
        }
        wait(place, election.as_mut(), deadline)?;
    }
}

fn deadline(options: &Checked) -> Deadline {
    Deadline::after(options.time_limit.saturating_add(time_to_make(options.size)))
}

/// Makes a segment and gives it the name; `None` if somebody else has it or is about to.
fn name_new(
    place: &Place,
    options: &Checked,
    election: Option<&Election>,
    made: &mut Option<Made>,
    deadline: Deadline,
) -> Result<Option<Arc<Shared>>, Failure> {
    let office = match election.map(Election::stand) {
        None => Office::Unelected,
        Some(Some(office)) => office,
        Some(None) => return Ok(None),
    };
    // Elected by the end of another's office, it finds what that one has made.
    if matches!(office, Office::Elected { .. }) && Status::of_path(place.path()).is_ok() {
        return Ok(None);
    }
    let new = match made.take() {
        Some(new) => new,
        None => match Made::new(place.directory(), options) {
            // What the elected one has is what is missing here.
            Err(failure)
                if failure.kind == ErrorKind::NoSpace
                    && matches!(office, Office::Impatient)
                    && !deadline.has_passed() =>
            {
                return Ok(None);
            }
            new => new?,
        },
    };
    match file::link(new.file()?, place.path()) {
        Ok(()) => Ok(Some(new.named(place))),
        // Somebody was faster. Ours is still good if theirs goes at once.
        Err(Errno::EEXIST) => {
            *made = Some(new);
            Ok(None)
        }
        Err(errno) => Err(cannot_link(errno, place)),
    }
}

/// Lets others finish; fails when there was time enough.
fn wait(place: &Place, election: Option<&mut Election>, deadline: Deadline) -> Result<(), Failure> {
    match election {
        Some(election) if !election.is_over() => election.wait(),
        _ => pause(deadline, place)?,
    }
    Ok(())
}

/// Makes a segment without a name.
pub(crate) fn anonymous(options: &Checked) -> Result<Arc<Shared>, Failure> {
    let file = file::memory("shmkit", options.size, options.limit != 0)?;
    Ok(Made::on(file, options)?.enter(false))
}

/// A segment that is whole, that this process has joined, and that nobody can find yet: dropped, or killed with its
/// process, nothing is left.
struct Made {
    participant: Participant<'static>,
    mapping: MmapRaw,
    header: Header,
    /// Dropped last: who else wants the segment waits until this process has left.
    entry: Entry,
}

impl Made {
    fn new(directory: &Path, options: &Checked) -> Result<Self, Failure> {
        let unnamed = || file::unnamed(directory, options.size);
        let file = unnamed().or_else(|failure| match failure.kind {
            // What the dead left may be what is missing.
            ErrorKind::NoSpace if sweep::makes_room(directory) => unnamed(),
            _ => Err(failure),
        })?;
        Self::on(file, options)
    }

    fn on(file: std::os::fd::OwnedFd, options: &Checked) -> Result<Self, Failure> {
        let Checked {
            plan,
            size,
            limit,
            participants,
            names,
            objects,
            persistence,
            content,
            memory,
            mode,
            ..
        } = *options;
        let mut header = header(size, cookie()?, persistence, content).growing_to(limit);
        header.roster = plan.roster;
        header.roster_slots = participants;
        header.directory = plan.directory;
        header.directory_entries = objects;
        let status = Status::of(file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?;
        if status.mode != mode {
            file::permit(file.as_fd(), mode)?;
        }
        if header.grows() {
            file::may_grow(file.as_fd())?;
        }
        let mapping = mapping::map(file.as_fd(), header.limit())?;
        memory.apply(&mapping, size)?;
        // SAFETY: the participant, which borrows it, is dropped before the mapping (`Made`, `Shared`), or lets go of
        // it without touching it.
        let region = unsafe { mapping::whole(&mapping) };
        header.write(region)?;
        let roster = region
            .sub(plan.roster, Roster::bytes(participants))
            .map_err(|error| bad_roster(RosterError::Place(error)))?;
        // SAFETY: the file is new, so its bytes are zero, and nobody else has it. A directory of zeros is empty.
        let roster = unsafe { Roster::init_numbered(roster, participants, names) };
        // SAFETY: all words that name participants are objects' or the directory's own: `Object` and `Segment` say so.
        let roster =
            unsafe { roster.map_err(bad_roster)?.swept_by(region, directory::sweep::segment) };
        // Before it has a name: who opens it as soon as it has waits for this thread.
        let (entry, no_forks) = table::begin(Identity::new(&status, &header)).ok_or_else(|| {
            Failure::new(ErrorKind::Os, "this process has the new file open, as a segment")
        })?;
        // SAFETY: `mapping` is of this file.
        let joined = unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) };
        // The join holds them off, too: one time is cheaper than two.
        drop(no_forks);
        let mut participant = joined.map_err(|error| cannot_join(error, By::Descriptor))?;
        growth::back(&mut participant, &mapping, &header, memory);
        Ok(Self { participant, mapping, header, entry })
    }

    fn file(&self) -> Result<BorrowedFd<'_>, Failure> {
        attach::own_file(&self.participant)
    }

    /// It has its name now.
    fn named(mut self, place: &Place) -> Arc<Shared> {
        self.participant.set_path(place.path().to_owned());
        let shared = self.enter(true);
        shared.named(place.clone());
        shared
    }

    fn enter(self, is_named: bool) -> Arc<Shared> {
        let Self { participant, mapping, header, entry } = self;
        // SAFETY: `participant` borrows `mapping`.
        let shared = unsafe { Shared::new(mapping, participant, header, entry, is_named) };
        attach::enter(shared)
    }
}

fn header(size: u64, cookie: u64, persistence: Persistence, content: TypeTag) -> Header {
    let Persistence { is_wanted, until_opened, expires } = persistence;
    let header = Header::new(size, cookie, is_wanted, content);
    if !is_wanted {
        return header;
    }
    let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() != 0);
    let expiry = expires.map_or(0, |time| inspect::now().saturating_add(seconds(time).max(1)));
    header.persistent_until(until_opened, expiry)
}

/// Makes room for a new segment, if nobody lives in the old one.
fn clear(place: &Place, options: &Checked, deadline: Deadline) -> Result<(), Failure> {
    let exists = |found: &str, what_to_do: &str| {
        Err(Failure::new(
            ErrorKind::AlreadyExists,
            format!("{} exists and {found}: {what_to_do}", place.path().display()),
        ))
    };
    match remove::if_dead_by(place, options.owner, deadline)? {
        RemoveOutcome::Removed | RemoveOutcome::Gone => Ok(()),
        RemoveOutcome::Persistent => {
            exists("is persistent", "open it, unlink it, or use another name")
        }
        RemoveOutcome::Foreign => {
            exists("is not a segment of the user that is expected", "use another name")
        }
        RemoveOutcome::Damaged(defect) => exists(
            &format!("is a segment that this program cannot use ({defect})"),
            "have it removed if nobody lives there (`shmkit gc --damaged`), or use another name",
        ),
        RemoveOutcome::Linked(names) => exists(
            &format!("is dead, but has other names ({names} in all)"),
            "remove them, or use another name",
        ),
        RemoveOutcome::InUse | RemoveOutcome::Dead => {
            exists("is in use", "open it, use `open_or_create`, or use another name")
        }
    }
}

fn cannot_link(errno: Errno, place: &Place) -> Failure {
    match errno {
        Errno::EOPNOTSUPP | Errno::EXDEV | Errno::ENOENT => Failure::new(
            ErrorKind::Unsupported,
            format!(
                "a file made without a name cannot be called {}: mount /proc, and choose a \
                 directory on a tmpfs",
                place.path().display()
            ),
        )
        .caused_by(errno),
        errno => Failure::os(errno, format_args!("naming the file {}", place.path().display())),
    }
}

/// Makes a new segment under a name that nobody has.
pub(crate) fn create_unique(directory: &Path, options: &Checked) -> Result<Arc<Shared>, Failure> {
    loop {
        // Of 64 random bits: another one is needed when somebody has tried to guess it.
        let place = Place::new(directory, format!("{AUTOMATIC}{:016x}", cookie()?))?;
        match create(&place, options) {
            Err(failure) if failure.kind == ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
}

/// A random number other than 0.
fn cookie() -> Result<u64, Failure> {
    let errno = |e: std::io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0));
    loop {
        let cookie = random().map_err(|e| Failure::os(errno(e), "getrandom"))?;
        if cookie != 0 {
            return Ok(cookie);
        }
    }
}
