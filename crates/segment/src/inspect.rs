//! Looking at a file before anything in it is believed.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use shmkit_layout::{Header, HeaderError, TypeTag, align_up};
use shmkit_roster::{OwnerId, Roster};

use crate::directory::Directory;
use crate::error::{ErrorKind, Failure};
use crate::file::retry;
use crate::memory::Memory;
use crate::name::Place;
use crate::status::{At, Identity, Status};

/// Opens what bears the name, whatever it is, without following, blocking or inheriting.
pub(crate) fn open_file(place: &Place) -> Result<OwnedFd, Errno> {
    open_at(place.at())
}

/// As [`open_file`], for who only looks at it.
pub(crate) fn open_to_read(place: &Place) -> Result<OwnedFd, Errno> {
    open_as(OFlag::O_RDONLY, place.at())
}

/// As [`open_file`], for who knows where it is.
pub(crate) fn open_at(at: At<'_>) -> Result<OwnedFd, Errno> {
    open_as(OFlag::O_RDWR, at)
}

fn open_as(access: OFlag, (directory, path): At<'_>) -> Result<OwnedFd, Errno> {
    let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    retry(|| openat(directory, path, flags, Mode::empty()))
}

/// Says why a file could not be opened.
pub(crate) fn cannot_open(errno: Errno, place: &Place) -> Failure {
    let path = place.path().display();
    let (kind, detail) = match errno {
        Errno::ENOENT if !place.directory().is_dir() => (
            ErrorKind::NoDirectory,
            format!(
                "the directory {} does not exist: mount a tmpfs there, or choose another directory",
                place.directory().display()
            ),
        ),
        Errno::ENOENT => (
            ErrorKind::NotFound,
            format!("there is no {path}: create it first, or use `open_or_create`"),
        ),
        Errno::ENOTDIR => (
            ErrorKind::NoDirectory,
            format!("{} is not a directory: choose another", place.directory().display()),
        ),
        Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::ENODEV => return not_regular(&path),
        Errno::EACCES => {
            let found = Status::of_path(place.path()).map_or(String::new(), |status| {
                format!(" (it belongs to user {}, with mode {:04o})", status.owner, status.mode)
            });
            (
                ErrorKind::PermissionDenied,
                format!(
                    "user {} may not read and write {path}{found}: run as its owner, or make it \
                     with a wider `mode`",
                    nix::unistd::geteuid()
                ),
            )
        }
        errno => return Failure::os(errno, format_args!("opening {path}")),
    };
    Failure::new(kind, detail).caused_by(errno)
}

pub(crate) fn not_regular(path: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        ErrorKind::NotRegular,
        format!("{path} is no regular file, as every segment is: use another name"),
    )
}

/// What an opener expects of a file besides a good header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Whose it is; `None`: anybody's.
    pub(crate) owner: Option<u32>,
    /// The widest permissions that are accepted.
    pub(crate) mode: u32,
    /// What it holds; `None`: anything.
    pub(crate) content: Option<TypeTag>,
    /// What it must have room for.
    pub(crate) room: Room,
    /// What this process asks of the kernel for it.
    pub(crate) memory: Memory,
    /// How long it may take while others make and remove the name all the time.
    pub(crate) time_limit: Duration,
}

/// What a segment has room for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// Of objects, or the user's own.
    pub(crate) bytes: u64,
    pub(crate) objects: u32,
    pub(crate) participants: u32,
}

impl Room {
    /// What there is, by a header whose [parts](parts) were checked.
    fn of(header: &Header) -> Self {
        let plan = Plan::new(header.roster_slots, header.directory_entries);
        Self {
            bytes: header.limit() - plan.data,
            objects: header.directory_entries,
            participants: header.roster_slots,
        }
    }

    fn holds(self, asked: Self) -> bool {
        self.bytes >= asked.bytes
            && self.objects >= asked.objects
            && self.participants >= asked.participants
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, objects, participants } = self;
        write!(f, "{bytes} bytes, {objects} objects and {participants} participants")
    }
}

/// Checks that a file is a segment that this program can map, and returns its header. What is read is a private
/// copy; nothing in the file is used before all of it was checked.
pub(crate) fn header(
    file: BorrowedFd<'_>,
    status: &Status,
    expected: &Expected,
) -> Result<Header, Failure> {
    if !status.is_regular {
        return Err(not_regular(&"what was opened"));
    }
    permitted(status, expected.owner, expected.mode)?;
    let header = read(file, status.size)?;
    if let Some(content) = expected.content.filter(|&content| content != header.content) {
        return Err(Failure::new(
            ErrorKind::WrongContent,
            format!(
                "it holds {:?}, where {:?} was expected: use another name, or the version of the \
                 program that made it",
                header.content.name(),
                content.name()
            ),
        ));
    }
    parts(&header)?;
    let (found, asked) = (Room::of(&header), expected.room);
    if !found.holds(asked) {
        return Err(Failure::new(
            ErrorKind::TooSmall,
            format!(
                "it has room for {found}, where {asked} were asked for: ask for no more, use \
                 another name, or have a dead one made anew (`fresh`)"
            ),
        ));
    }
    Ok(header)
}

/// Checks that a file is a trusted user's, and open to no more users than expected.
pub(crate) fn permitted(status: &Status, owner: Option<u32>, mode: u32) -> Result<(), Failure> {
    if let Some(owner) = owner.filter(|&owner| owner != status.owner) {
        return Err(Failure::new(
            ErrorKind::ForeignOwner,
            format!(
                "it belongs to user {}, where user {owner} was expected: say so with `owner` if \
                 that user is trusted",
                status.owner
            ),
        ));
    }
    if status.mode & !mode != 0 {
        return Err(Failure::new(
            ErrorKind::UnsafeMode,
            format!(
                "its mode is {:04o}, where at most {:04o} was expected: say so with `mode` if \
                 others may use it",
                status.mode, mode
            ),
        ));
    }
    Ok(())
}

/// Reads and checks the header alone.
pub(crate) fn read(file: BorrowedFd<'_>, size: u64) -> Result<Header, Failure> {
    let header = try_read(file, size).map_err(|errno| Failure::os(errno, "reading the header"))?;
    Ok(header?)
}

/// As [`read`], with what is wrong with the header apart from what is wrong with reading. It allocates nothing.
pub(crate) fn try_read(
    file: BorrowedFd<'_>,
    mut size: u64,
) -> Result<Result<Header, HeaderError>, Errno> {
    loop {
        let header = try_once(file, size)?;
        // It may have grown since its size was asked for, and is as long now as the header that was read says.
        let Err(HeaderError::Truncated { .. }) = header else { return Ok(header) };
        match Status::of(file)?.size {
            now if now > size => size = now,
            _ => return Ok(header),
        }
    }
}

fn try_once(file: BorrowedFd<'_>, size: u64) -> Result<Result<Header, HeaderError>, Errno> {
    let mut bytes = [0; size_of::<Header>()];
    let mut done = 0;
    while done < bytes.len() {
        // At most 128: no overflow.
        match retry(|| pread(file, &mut bytes[done..], done as libc::off_t)) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(errno) => return Err(errno),
        }
    }
    Ok(Header::parse(&bytes[..done], size))
}

/// Reads from the bytes that mean the same in every version whether a segment outlives its participants.
pub(crate) fn is_persistent(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut bytes = [0; size_of::<Header>()];
    let len = retry(|| pread(file, &mut bytes, 0))?;
    Ok(Header::is_persistent_in(&bytes[..len], now()))
}

/// Seconds since 1970, by which persistent segments expire.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Checks that roster and directory lie where the header says, one after the other, inside the segment.
fn parts(header: &Header) -> Result<(), Failure> {
    let corrupt = |field: &str, found: u64, expected: String| {
        Err(Failure::new(
            ErrorKind::Corrupt,
            format!(
                "its {field} is {found}, where {expected} was expected: remove it and make it anew"
            ),
        ))
    };
    if header.roster_slots == 0 || header.roster_slots > OwnerId::MAX_SLOTS {
        let found = header.roster_slots.into();
        return corrupt("number of places", found, format!("1 to {}", OwnerId::MAX_SLOTS));
    }
    let plan = Plan::new(header.roster_slots, header.directory_entries);
    if header.roster != plan.roster {
        return corrupt("roster offset", header.roster, plan.roster.to_string());
    }
    if header.directory != plan.directory {
        return corrupt("directory offset", header.directory, plan.directory.to_string());
    }
    if header.size <= plan.data {
        return corrupt("size", header.size, format!("more than {}", plan.data));
    }
    Ok(())
}

/// Where everything lies in a segment, in bytes from its base. It follows from two numbers alone, so that a header
/// that says anything else is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) roster: u64,
    /// 0 if there is no directory.
    pub(crate) directory: u64,
    /// Where the user's bytes begin.
    pub(crate) data: u64,
}

impl Plan {
    pub(crate) fn new(slots: u32, entries: u32) -> Self {
        // Below 2^12 slots of a few lines and 2^32 entries of a few hundred bytes: far from overflow.
        let align = |at| align_up(at, Roster::ALIGN).unwrap_or(u64::MAX);
        let roster = align(size_of::<Header>() as u64);
        let end = align(roster + Roster::bytes(slots));
        let (directory, data) = if entries == 0 {
            (0, end)
        } else {
            (end, align(end + Directory::bytes(entries, slots)))
        };
        Self { roster, directory, data }
    }
}

/// Returns whether a name leads to this segment now. This process has it open or mapped: as long as it does, no other
/// file can have the same number.
pub(crate) fn names(place: &Place, identity: Identity) -> bool {
    place.status().is_ok_and(|status| status.is_file_of(identity))
}
