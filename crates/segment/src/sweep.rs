//! Removing what the dead left: every segment in a directory that no living participant uses.
//!
//! It is safe beside anything: a file is removed only with the lock that proves that nobody is alive and keeps joiners
//! out, and only if it is a regular file of this user that begins like a segment, is not persistent, and still bears
//! its name. A living segment costs one call to the kernel, however many participants it has.
//!
//! A creator looks at a few files now and then, at most [`SAMPLE`] at a time, and at all of them when the file system is
//! full. Whoever opens a segment looks at none.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::SegmentError;
use crate::error::{ErrorKind, Failure};
use crate::name::{PREFIX, Place};
use crate::remove::{self, Dead, RemoveOutcome, Terms};

/// Most files that a creator looks at.
pub const SAMPLE: usize = 8;

/// How much longer than a sample took there is none: 1.5 percent of the time at most.
const SPARED: u32 = 64;

/// Most names that a creator reads in order to choose among them.
const NAMES: usize = 1024;

/// A file whose name begins as a segment's does, and what became of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// The file.
    pub path: PathBuf,
    /// What became of it, or why it could not be considered.
    pub outcome: Result<RemoveOutcome, SegmentError>,
}

/// Removes every dead segment in `directory`, and says of each file that is called like a segment what became of it.
///
/// # Errors
///
/// The directory cannot be read. What cannot be read in it is in the list, with its error.
///
/// # If a peer dies
///
/// while this runs, its segment is removed or left to the next sweep. A sweep that is killed leaves everything whole.
pub fn full(directory: &Path) -> Result<Vec<Swept>, SegmentError> {
    each(directory, Dead::Remove)
}

/// Says what [`full`] would do, and removes nothing.
///
/// # Errors
///
/// Those of [`full`].
pub fn survey(directory: &Path) -> Result<Vec<Swept>, SegmentError> {
    each(directory, Dead::Report)
}

/// Removes one file of an open folder if it is a dead segment of this user, and says what became of it: what [`full`] does
/// with each.
///
/// It allocates nothing, takes no lock but the one that forks wait for, and waits for nobody: a process that was forked
/// from one with many threads may call it, once [`NoForks::hold`](shmkit_roster::NoForks::hold) has succeeded before the fork.
///
/// # Errors
///
/// What the system said, if it does not let us look or remove.
///
/// # If a peer dies
///
/// As for [`full`].
pub fn consider_at(folder: BorrowedFd<'_>, file_name: &Path) -> io::Result<RemoveOutcome> {
    let visitor = remove::Remover::Visitor(Terms::mine(Dead::Remove));
    match remove::try_attempt((folder, file_name), visitor) {
        Ok(outcome) => Ok(outcome.unwrap_or(RemoveOutcome::InUse)),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Considers a few files beside `own`, chosen at random: what is left by the dead is removed soon where many segments
/// are made. It is a favour to others, so errors are theirs to meet, and a process that makes segments all the time
/// spends a small [part](SPARED) of it on this.
pub(crate) fn sample(own: &Place) {
    let began = Instant::now();
    // Whoever has it does this for the others.
    let Ok(mut next) = NEXT.try_lock() else { return };
    if next.is_some_and(|next| began < next) {
        return;
    }
    consider_some(own);
    let ended = Instant::now();
    *next = Some(ended + SPARED * (ended - began));
}

/// When the next sample of this process may begin. In a child that was forked while somebody had it, nobody ever takes
/// samples again.
static NEXT: Mutex<Option<Instant>> = Mutex::new(None);

fn consider_some(own: &Place) {
    let Ok(entries) = fs::read_dir(own.directory()) else { return };
    let mut places: Vec<_> = entries
        .take(NAMES)
        .filter_map(Result::ok)
        .filter_map(place)
        .filter(|place| place.name() != own.name())
        .collect();
    let len = places.len();
    if len > SAMPLE {
        // Any number will do. The clock's last digits differ from one call to the next.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
        places.rotate_left(now as usize % len);
        places.truncate(SAMPLE);
    }
    for place in places {
        let _ = remove::consider(&place, Terms::mine(Dead::Remove));
    }
}

/// Sweeps a full file system; returns whether anything was removed.
pub(crate) fn makes_room(directory: &Path) -> bool {
    full(directory).is_ok_and(|swept| {
        swept.iter().any(|swept| matches!(swept.outcome, Ok(RemoveOutcome::Removed)))
    })
}

fn each(directory: &Path, dead: Dead) -> Result<Vec<Swept>, SegmentError> {
    let attempt = || format!("sweep {}", directory.display());
    let fails = |error: std::io::Error| cannot_read(&error).during(attempt());
    let mut places = Vec::new();
    for entry in fs::read_dir(directory).map_err(fails)? {
        places.extend(place(entry.map_err(fails)?));
    }
    places.sort_by(|a, b| a.path().cmp(b.path()));
    let consider = |place: Place| {
        let outcome = remove::consider(&place, Terms::mine(dead))
            .map_err(|failure| failure.during(format!("consider {}", place.path().display())));
        Swept { path: place.path().to_owned(), outcome }
    };
    Ok(places.into_iter().map(consider).collect())
}

/// The place of a directory's entry, if it is called like a segment. The kernel says of most entries what they are
/// without being asked again.
fn place(entry: fs::DirEntry) -> Option<Place> {
    if !entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) {
        return None;
    }
    Place::of_path(entry.path())
}

fn cannot_read(error: &std::io::Error) -> Failure {
    let errno = nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0));
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(
            ErrorKind::NoDirectory,
            "the directory does not exist: mount a tmpfs there, or choose another directory",
        )
        .caused_by(errno),
        std::io::ErrorKind::NotADirectory => {
            Failure::new(ErrorKind::NoDirectory, "it is not a directory: choose another")
                .caused_by(errno)
        }
        _ => Failure::os(errno, "reading the directory"),
    }
}
