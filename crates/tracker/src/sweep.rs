//! Removing what no living process uses.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::geteuid;
use shmkit_segment::{DIRECTORY, OpenOptions, RemoveOutcome, SegmentError};

use crate::error::{Failure as Failing, TrackerError};
use crate::examine::{Examined, Failure, Foreign, examine};
use crate::kind::Kind;
use crate::list::{ListError, candidates, name_of};
use crate::outcome::Outcome;
use crate::register::Register;
use crate::release::{Cleaner, run_all, survey};
use crate::shared::{file_name, open_folder};
use crate::told;

/// A full sweep of a directory: every segment of this user that nobody lives in and that is not persistent is removed,
/// whatever version of shmkit made it; and everything is released that dead processes of this user had registered.
///
/// It is race-free: somebody who attaches at that moment is in time, and the segment stays, or finds it gone, and
/// makes a new one. What was read of a file to choose it is no reason to remove it: all of it is checked again, under
/// the lock that keeps joiners out, and so is that the name still leads to the very file that was locked.
///
/// # If a peer dies
///
/// while it sweeps: each name is there or not, and the next sweep is not held up. A sweep never waits for anybody.
#[derive(Clone, Debug)]
#[must_use = "nothing is swept until `run`"]
pub struct Sweep {
    directory: PathBuf,
    dry_run: bool,
    damaged: bool,
    all_users: bool,
    cleaners: Vec<Cleaner>,
}

/// What a sweep found and did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// Every file that is called like a segment, in the order of names.
    pub files: Vec<Swept>,
    /// What dead processes of this user had registered, or why that could not be looked at.
    pub released: Result<Vec<Released>, TrackerError>,
}

/// Something that a dead process had [registered](crate::Tracker::register), and nobody alive has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Released {
    /// What kind of thing, in a word; a [custom](crate::Kind::Custom) one's name.
    pub kind: String,
    /// Its name: without a leading slash, or as an absolute path.
    pub name: Vec<u8>,
    /// What became of it; nothing yet, in a dry run.
    pub outcome: Option<Outcome>,
}

/// A file that a sweep looked at.
#[derive(Debug)]
#[non_exhaustive]
pub struct Swept {
    /// The file.
    pub path: PathBuf,
    /// What the segment is called: the file's name without the prefix.
    pub name: String,
    /// Size of the file, in bytes; 0 of what is no segment.
    pub size: u64,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fate {
    /// Nobody lived in it: the name is removed.
    Removed,
    /// Nobody lives in it: a sweep that is no dry run would remove it.
    Removable,
    /// Somebody lives in it, joins it or removes it.
    InUse,
    /// It is to outlive its participants, whoever lives.
    Persistent,
    /// It is none that this program may touch.
    Foreign(Foreign),
    /// Somebody else removed it meanwhile, or gave its name to another file.
    Vanished,
    /// The system does not let us look.
    Unreadable(io::Error),
    /// The system does not let us remove it.
    Failed(SegmentError),
}

impl Sweep {
    /// Makes a sweep of [`DIRECTORY`].
    pub fn new() -> Self {
        Self {
            directory: DIRECTORY.into(),
            dry_run: false,
            damaged: false,
            all_users: false,
            cleaners: Vec::new(),
        }
    }

    /// The directory to sweep.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// Whether to say only what would be removed; by default it is removed.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Whether to remove also what no program can use any more: files that were cut off or written over, and that nobody
    /// has a lock on. By default they stay, as [`Foreign`](Fate::Foreign).
    pub fn damaged(mut self, damaged: bool) -> Self {
        self.damaged = damaged;
        self
    }

    /// Whether to remove every user's segments, as far as the system lets this process; by default this user's alone.
    pub fn all_users(mut self, all_users: bool) -> Self {
        self.all_users = all_users;
        self
    }

    /// What cleans up what was registered as a [kind of its own](crate::Kind::Custom). What nothing here cleans up stays
    /// registered.
    pub fn cleaners(mut self, cleaners: impl IntoIterator<Item = Cleaner>) -> Self {
        self.cleaners = cleaners.into_iter().collect();
        self
    }

    /// Looks at every file once. Cleanup commands that were registered are waited for, ten seconds each at most.
    ///
    /// # Errors
    ///
    /// [`ListError`] if the directory cannot be read. What is wrong with a file is its [`Fate`].
    pub fn run(&self) -> Result<Report, ListError> {
        let look = |(path, name): (PathBuf, String)| {
            let (size, fate) = match examine(&path) {
                Ok(examined) => match self.decide(&examined, &path) {
                    fate @ Fate::Foreign(_) if examined.header.is_err() => (0, fate),
                    fate => (examined.size, fate),
                },
                Err(Failure::Vanished) => (0, Fate::Vanished),
                Err(Failure::Foreign(foreign)) => (0, Fate::Foreign(foreign)),
                Err(Failure::Io(error)) => (0, Fate::Unreadable(error)),
            };
            Swept { path, name, size, fate }
        };
        // First: the register goes with the last thing in it.
        let released = self.release().map_err(|failure| {
            failure.during(format!(
                "release what the dead had registered in {}",
                self.directory.display()
            ))
        });
        let files = candidates(&self.directory)?.into_iter().map(look).collect();
        Ok(Report { files, released })
    }

    fn release(&self) -> Result<Vec<Released>, Failing> {
        let fails = |errno: Errno| Failing::os(errno, "using the register");
        let mut released = Vec::new();
        // The list of files says so, too.
        let Ok(folder) = open_folder(&self.directory) else { return Ok(released) };
        let register = Register::open(folder.as_fd(), &file_name()).map_err(fails)?;
        let Some(register) = register else { return Ok(released) };
        let mut note = |kind: Kind<'_>, name: &[u8], outcome| {
            released.push(Released { kind: kind.to_string(), name: name.to_owned(), outcome });
        };
        let done = match self.dry_run {
            true => survey(&register, &mut |kind, name| note(kind, name, None)),
            false => {
                run_all(&register, folder.as_fd(), &self.cleaners, &mut |kind, name, outcome| {
                    told::released(kind, name, outcome);
                    note(kind, name, Some(outcome));
                })
            }
        };
        done.map_err(fails)?;
        Ok(released)
    }

    /// Chooses by what was read, cheaply; then has the segment removed, which checks everything again.
    fn decide(&self, examined: &Examined, path: &Path) -> Fate {
        let owner = examined.owner;
        if !self.all_users && owner != geteuid().as_raw() {
            return Fate::Foreign(Foreign::Owner(owner));
        }
        if examined.links > 1 {
            return Fate::Foreign(Foreign::Links(examined.links));
        }
        let Some(name) = name_of(path) else { return Fate::Vanished };
        let options = OpenOptions::new().directory(&self.directory).damaged(self.damaged);
        let options = options.owner(owner);
        let outcome = match self.dry_run {
            true => options.survey(name),
            false => options.remove_if_dead(name),
        };
        match outcome {
            Ok(RemoveOutcome::Removed) => Fate::Removed,
            Ok(RemoveOutcome::Dead) => Fate::Removable,
            Ok(RemoveOutcome::InUse) => Fate::InUse,
            Ok(RemoveOutcome::Persistent) => Fate::Persistent,
            Ok(RemoveOutcome::Linked(names)) => Fate::Foreign(Foreign::Links(names)),
            Ok(RemoveOutcome::Damaged(defect)) => Fate::Foreign(Foreign::Header(defect)),
            // Not even who may remove everything may open it.
            Ok(RemoveOutcome::Foreign) if owner != geteuid().as_raw() => {
                Fate::Foreign(Foreign::Owner(owner))
            }
            // Another file has taken the name since it was examined.
            Ok(_) => Fate::Vanished,
            Err(error) => Fate::Failed(error),
        }
    }
}

impl Default for Sweep {
    fn default() -> Self {
        Self::new()
    }
}

impl Report {
    /// Returns the files that were removed, or would be in a dry run.
    pub fn dead(&self) -> impl Iterator<Item = &Swept> {
        self.files.iter().filter(|swept| matches!(swept.fate, Fate::Removed | Fate::Removable))
    }

    /// Returns the files that could not be looked at or removed.
    pub fn failed(&self) -> impl Iterator<Item = &Swept> {
        self.files
            .iter()
            .filter(|swept| matches!(swept.fate, Fate::Unreadable(_) | Fate::Failed(_)))
    }
}

impl Fate {
    /// Returns the fate in one word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Removable => "removable",
            Self::InUse => "in-use",
            Self::Persistent => "persistent",
            Self::Foreign(_) => "foreign",
            Self::Vanished => "vanished",
            Self::Unreadable(_) => "unreadable",
            Self::Failed(_) => "failed",
        }
    }
}

/// What was found and why that is so, for people.
impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed => f.write_str("removed: nobody lived in it"),
            Self::Removable => f.write_str("nobody lives in it"),
            Self::InUse => f.write_str("somebody lives in it"),
            Self::Persistent => {
                f.write_str("it is persistent, until it is unlinked, opened or expires")
            }
            Self::Foreign(foreign) => chain(f, foreign),
            Self::Vanished => f.write_str("somebody else removed it"),
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Self::Failed(error) => chain(f, error),
        }
    }
}

/// Writes an error with all its sources, which none of them repeats.
fn chain(f: &mut fmt::Formatter<'_>, error: &dyn Error) -> fmt::Result {
    write!(f, "{error}")?;
    let mut source = error.source();
    while let Some(error) = source {
        write!(f, ": {error}")?;
        source = error.source();
    }
    Ok(())
}
