//! How raw segments are made and opened.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process;

use nix::errno::Errno;
use shmkit_atomic::Deadline;
use shmkit_roster::{KeptFile, random};

use super::{RawSegment, remove};
use crate::error::{ErrorKind, Failure};
use crate::inspect::{cannot_open, not_regular, open_file, permitted};
use crate::name::Place;
use crate::patience::{PATIENCE, pause};
use crate::status::Status;
use crate::{OpenOptions, SegmentError, file, mapping};

/// What Python's automatic names begin with. Four random bytes follow, in hexadecimal.
const AUTOMATIC: &str = "psm_";

/// How to make or open a [`RawSegment`].
///
/// By default: this user's file, mode `0o600`, in [`DIRECTORY`](crate::DIRECTORY), which stays when the handle is dropped.
#[derive(Clone, Debug, Default)]
pub struct RawOptions {
    open: OpenOptions,
    remove_on_drop: bool,
}

impl RawOptions {
    /// Makes the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// The permissions of what is made, and the widest that are accepted of what is opened; by default `0o600`.
    pub fn mode(mut self, mode: u32) -> Self {
        self.open = self.open.mode(mode);
        self
    }

    /// The user whose file is accepted, by default this process's effective one; `None` accepts anybody's. Whoever owns the
    /// file may do anything to it.
    pub fn owner(mut self, owner: impl Into<Option<u32>>) -> Self {
        self.open = self.open.owner(owner);
        self
    }

    /// The directory of the file; by default [`DIRECTORY`](crate::DIRECTORY), where `shm_open` and Python have theirs.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.open = self.open.directory(directory);
        self
    }

    /// Whether the name is removed when this process drops the handle, if it leads to this memory still; by default it stays.
    /// A process that ends without dropping it leaves the name.
    pub fn remove_on_drop(mut self, remove: bool) -> Self {
        self.remove_on_drop = remove;
        self
    }

    /// Makes a new one of `size` bytes, all zero. It is whole before it has its name, and allocated in full.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](ErrorKind::AlreadyExists), whoever made it: nobody can tell whether it is used.
    /// [`InvalidName`](ErrorKind::InvalidName), also for what a segment could be called,
    /// [`InvalidSize`](ErrorKind::InvalidSize), [`NoSpace`](ErrorKind::NoSpace), and what else keeps a file from being made.
    pub fn create(&self, name: &str, size: u64) -> Result<RawSegment, SegmentError> {
        let run = || self.make(self.place(name)?, size);
        run().map_err(|failure| failure.during(format!("create raw segment {name:?}")))
    }

    /// Makes a new one under a name that nobody has, of the form that Python's have: `psm_` and eight hexadecimal digits.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), without `AlreadyExists`.
    pub fn create_unique(&self, size: u64) -> Result<RawSegment, SegmentError> {
        let run = || loop {
            let number = random().map_err(|error| {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
                Failure::os(errno, "getrandom")
            })?;
            let place = self.place(&format!("{AUTOMATIC}{:08x}", number as u32))?;
            match self.make(place, size) {
                Err(failure) if failure.kind == ErrorKind::AlreadyExists => {}
                other => return other,
            }
        };
        run().map_err(|failure| failure.during("create a raw segment"))
    }

    /// Opens one, whatever its size.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), and a kind for everything that the file is not: a regular file, of this user, of
    /// this mode. [`Truncated`](ErrorKind::Truncated) if it is empty: `shm_open` makes a name before its file has a size, so
    /// whoever makes it may be about to give it one. [`NoSpace`](ErrorKind::NoSpace) if its memory was never allocated, as
    /// Python does not, and there is none.
    pub fn open(&self, name: &str) -> Result<RawSegment, SegmentError> {
        let run = || self.attach(self.place(name)?);
        run().map_err(|failure| failure.during(format!("open raw segment {name:?}")))
    }

    /// Opens it, or makes it of `size` bytes; [`was_created`](RawSegment::was_created) says which.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) and [`create`](Self::create), without `NotFound` and `AlreadyExists`;
    /// [`TooSmall`](ErrorKind::TooSmall) if there is one with fewer bytes.
    pub fn open_or_create(&self, name: &str, size: u64) -> Result<RawSegment, SegmentError> {
        let run = || {
            let place = self.place(name)?;
            let deadline = Deadline::after(PATIENCE);
            loop {
                match self.attach(place.clone()) {
                    Err(failure) if failure.kind == ErrorKind::NotFound => {}
                    Ok(found) if found.len() < size => return Err(too_small(found.len(), size)),
                    other => return other,
                }
                match self.make(place.clone(), size) {
                    Err(failure) if failure.kind == ErrorKind::AlreadyExists => {}
                    other => return other,
                }
                pause(deadline, &place)?;
            }
        };
        run().map_err(|failure| failure.during(format!("open or create raw segment {name:?}")))
    }

    /// Removes a name. Whoever has it open keeps it.
    ///
    /// # Errors
    ///
    /// [`NotFound`](ErrorKind::NotFound), [`NotRegular`](ErrorKind::NotRegular),
    /// [`ForeignOwner`](ErrorKind::ForeignOwner), [`PermissionDenied`](ErrorKind::PermissionDenied).
    pub fn unlink(&self, name: &str) -> Result<(), SegmentError> {
        let run = || {
            let place = self.place(name)?;
            let status = place.status().map_err(|errno| cannot_open(errno, &place))?;
            if !status.is_regular {
                return Err(not_regular(&place.path().display()));
            }
            permitted(&status, self.open.user(), u32::MAX)?;
            remove(&place)
        };
        run().map_err(|failure| failure.during(format!("unlink raw segment {name:?}")))
    }

    fn place(&self, name: &str) -> Result<Place, Failure> {
        Place::raw(&self.open.directory, name)
    }

    fn make(&self, place: Place, size: u64) -> Result<RawSegment, Failure> {
        if size == 0 || isize::try_from(size).is_err() {
            let most = isize::MAX;
            return Err(Failure::new(
                ErrorKind::InvalidSize,
                format!(
                    "a size of {size} was asked for: 1 to {most} bytes fit in an address space"
                ),
            ));
        }
        if self.open.mode & !0o777 != 0 || self.open.mode & 0o600 != 0o600 {
            return Err(Failure::new(
                ErrorKind::InvalidOption,
                format!(
                    "the mode is {:04o}: it has to let the owner read and write, and nobody \
                     execute as somebody else",
                    self.open.mode
                ),
            ));
        }
        let file = file::unnamed(place.directory(), size)?;
        file::permit(file.as_fd(), self.open.mode)?;
        let made = self.map(file, size, place, true)?;
        let place = &made.place;
        match file::link(made.kept()?, place.path()) {
            Ok(()) => Ok(self.removed_by_this_process(made)),
            Err(Errno::EEXIST) => Err(Failure::new(
                ErrorKind::AlreadyExists,
                format!(
                    "{} exists, and nobody can tell whether it is used: open it, use another name, \
                     or unlink it first",
                    place.path().display()
                ),
            )
            .caused_by(Errno::EEXIST)),
            Err(errno) => {
                let path = place.path().display();
                Err(Failure::os(errno, format_args!("naming the file {path}")))
            }
        }
    }

    fn attach(&self, place: Place) -> Result<RawSegment, Failure> {
        let file = open_file(&place).map_err(|errno| cannot_open(errno, &place))?;
        let status = Status::of(file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?;
        if !status.is_regular {
            return Err(not_regular(&place.path().display()));
        }
        permitted(&status, self.open.user(), self.open.mode)?;
        let size = status.size;
        if size == 0 {
            return Err(Failure::new(
                ErrorKind::Truncated,
                "it is empty: whoever makes it is about to give it a size, or ended before; try \
                 again, or unlink it",
            ));
        }
        // Whoever made it may have left that to the first write, which is a SIGBUS when the file system is full.
        file::allocate(file.as_fd(), size).map_err(|errno| {
            Failure::os(errno, format_args!("allocating the {size} bytes that it is to have"))
        })?;
        Ok(self.removed_by_this_process(self.map(file, size, place, false)?))
    }

    fn map(
        &self,
        file: OwnedFd,
        size: u64,
        place: Place,
        was_created: bool,
    ) -> Result<RawSegment, Failure> {
        let mapping = mapping::map(file.as_fd(), size)?;
        let file = KeptFile::new(file).map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Failure::os(errno, "fstat")
        })?;
        Ok(RawSegment { mapping, file, place, was_created, remover: None })
    }

    fn removed_by_this_process(&self, raw: RawSegment) -> RawSegment {
        let mut raw = raw;
        raw.remover = self.remove_on_drop.then(process::id);
        raw
    }
}

fn too_small(found: u64, asked: u64) -> Failure {
    Failure::new(
        ErrorKind::TooSmall,
        format!(
            "it has {found} bytes, where {asked} were asked for: ask for no more, use another \
             name, or unlink it first"
        ),
    )
}
