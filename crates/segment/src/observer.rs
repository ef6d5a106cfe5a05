//! Looking at a segment without taking part in it.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::sys::uio::pread;
use shmkit_layout::{Header, Peek, Region, ShapeError};

use crate::directory::Directory;
use crate::error::{ErrorKind, Failure};
use crate::file::retry;
use crate::inspect::{self, Expected, cannot_open, open_to_read};
use crate::name::Place;
use crate::status::{Identity, Status};
use crate::{Entry, OpenOptions, SegmentError};

/// Most bytes of a directory that are copied for one look: what more is there was not made by this crate.
const LIMIT: u64 = 1 << 30;

/// Who looks at a segment and takes no part in it: without a place, without a lock, and with a mapping that cannot be written
/// to. It keeps nothing alive: the others do not know of it, and the last *participant* out removes the segment, which
/// an observer sees as it was left.
///
/// It sees [values](Self::see) that can be read without a lock, such as `Value` and the atomic numbers, and
/// [which objects there are](Self::objects). The permission to read the file is enough.
///
/// Whatever the bytes are, it ends, and reads nothing outside of the file: a damaged segment, or one that somebody writes to who
/// means harm, is an error or a wrong value. But who may write to the file may also cut it off, and to read what was cut off is
/// a SIGBUS; it is looked for before each look, which leaves a moment. A memory file is sealed against it. So it is if an object is removed in the moment in which it is looked at, in a
/// segment that grows, on a file system that has not one page left.
///
/// ```
/// use shmkit_segment::{Observer, Options};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = &format!("doc-observer-{}", std::process::id());
/// let segment = Options::new(4096).create(name)?;
/// segment.make::<shmkit_sync::Event>("ready", ())?;
/// // Any other process of this user:
/// let observer = Observer::open(name)?;
/// assert_eq!(observer.objects()?[0].name, "ready");
/// # Ok(())
/// # }
/// ```
pub struct Observer {
    mapping: MmapRaw,
    file: OwnedFd,
    header: Header,
    identity: Identity,
    place: Option<Place>,
}

impl OpenOptions {
    /// Looks at the segment called `name` without taking part in it. What is expected is what [`open`](Self::open) expects.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) but [`Full`](ErrorKind::Full): it takes no place.
    pub fn observe(&self, name: &str) -> Result<Observer, SegmentError> {
        let run = || {
            let place = Place::new(&self.directory, name)?;
            let file = open_to_read(&place).map_err(|errno| cannot_open(errno, &place))?;
            Observer::new(file, &self.expected()?, Some(place))
        };
        run().map_err(|failure| failure.during(format!("observe segment {name:?}")))
    }

    /// Looks at the segment that a descriptor is open on, for reading at least.
    ///
    /// # Errors
    ///
    /// Those of [`observe`](Self::observe) for what is in the file.
    pub fn observe_fd(&self, file: OwnedFd) -> Result<Observer, SegmentError> {
        let run = || Observer::new(file, &self.expected()?, None);
        run().map_err(|failure| failure.during("observe the segment of a descriptor"))
    }
}

impl Observer {
    /// Looks at the segment called `name`; see [`OpenOptions::observe`].
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::observe`].
    pub fn open(name: &str) -> Result<Self, SegmentError> {
        OpenOptions::new().observe(name)
    }

    fn new(file: OwnedFd, expected: &Expected, place: Option<Place>) -> Result<Self, Failure> {
        let status = Status::of(file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?;
        let header = inspect::header(file.as_fd(), &status, expected)?;
        // As large as it may become: what is beyond the end of the file is valid when the file is longer.
        let limit = header.limit();
        let size = usize::try_from(limit).map_err(|_| Failure::os(Errno::ENOMEM, "mmap"))?;
        let mapping = MmapOptions::new().len(size).map_raw_read_only(&file).map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
            Failure::os(errno, format_args!("mapping {size} bytes"))
        })?;
        let identity = Identity::new(&status, &header);
        Ok(Self { mapping, file, header, identity, place })
    }

    /// Returns the segment's header, as it was when this was opened.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns whether the name by which it was opened leads to this segment still. If not, everybody has left it, or
    /// somebody has unlinked it, and what is seen is what was left.
    pub fn is_linked(&self) -> bool {
        self.place.as_ref().is_some_and(|place| inspect::names(place, self.identity))
    }

    /// Lists the objects. What is made meanwhile may be in the list or not.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](ErrorKind::Corrupt) if the directory is damaged, [`Truncated`](ErrorKind::Truncated) if the file was cut off.
    pub fn objects(&self) -> Result<Vec<Entry>, SegmentError> {
        self.list().map_err(|failure| failure.during(format!("list the objects of {self:?}")))
    }

    /// Returns what the object called `name` holds: a copy, which was there, whole, at some moment of the call.
    ///
    /// ```
    /// # use shmkit_segment::{Observer, Options};
    /// # fn see<V: shmkit_layout::Peek<Seen = f64>>(observer: &Observer) -> Result<(), Box<dyn std::error::Error>> {
    /// # /*
    /// let price: f64 = observer.see::<Value<f64>>("price")?;
    /// # */
    /// # let _: f64 = observer.see::<V>("price")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NoObject`](ErrorKind::NoObject); [`WrongContent`](ErrorKind::WrongContent) if it is of another kind or type;
    /// [`TimedOut`](ErrorKind::TimedOut) if it was written each time that this looked;
    /// [`Corrupt`](ErrorKind::Corrupt), [`Truncated`](ErrorKind::Truncated).
    ///
    /// # If a peer dies
    ///
    /// as it writes, the value is the old one or the new one.
    pub fn see<O: Peek>(&self, name: &str) -> Result<O::Seen, SegmentError> {
        self.look::<O>(name)
            .map_err(|failure| failure.during(format!("see object {name:?} of {self:?}")))
    }

    fn look<O: Peek>(&self, name: &str) -> Result<O::Seen, Failure> {
        let entry = self.entry(name)?;
        let found = &entry.shape;
        if (found.kind, found.tag) != (O::KIND, O::TAG) {
            let (kind, tag) = (O::KIND, O::TAG);
            return Err(Failure::new(
                ErrorKind::WrongContent,
                format!("it is {found}, and was asked for as {kind} of {tag}: ask for what it is"),
            ));
        }
        self.reaches(entry.offset.saturating_add(found.bytes))?;
        // SAFETY: the mapping lives as long as the borrow of `self`. It cannot be written to, and is not: `Peek` says so.
        let region = unsafe {
            let base = NonNull::new(self.mapping.as_mut_ptr()).expect("a mapping is not at 0");
            Region::from_raw_parts(base, self.mapping.len())
        };
        let corrupt = |error: ShapeError| {
            let detail = "its bytes are none of such an object: make the segment anew";
            Failure::new(ErrorKind::Corrupt, detail).caused_by(error)
        };
        let region =
            region.sub(entry.offset, found.bytes).map_err(|error| corrupt(error.into()))?;
        let seen = O::peek(region, found.len).map_err(corrupt)?;
        // It may have been removed, and its bytes be another's.
        match self.entry(name)? {
            now if (now.generation, now.offset) == (entry.generation, entry.offset) => {}
            _ => return Err(written()),
        }
        seen.ok_or_else(written)
    }

    fn entry(&self, name: &str) -> Result<Entry, Failure> {
        let mut entries = self.list()?;
        let at = entries.iter().position(|entry| entry.name == name);
        at.map(|at| entries.swap_remove(at)).ok_or_else(|| {
            Failure::new(
                ErrorKind::NoObject,
                format!(
                    "it has no such object among its {}: `shmkit ls --long` shows them",
                    entries.len()
                ),
            )
        })
    }

    /// By reading the file, which is no SIGBUS wherever it was cut off.
    fn list(&self) -> Result<Vec<Entry>, Failure> {
        let Header { directory, directory_entries, roster_slots, .. } = self.header;
        if directory_entries == 0 {
            return Ok(Vec::new());
        }
        let mut left = LIMIT;
        let copy = |at, bytes: &mut [u8]| {
            let wanted = bytes.len() as u64;
            left = left.checked_sub(wanted).ok_or_else(|| {
                let detail = "its directory is longer than any: make the segment anew";
                Failure::new(ErrorKind::Corrupt, detail)
            })?;
            self.copy(at, bytes)
        };
        let list = Directory::list_from(
            directory,
            (directory_entries, roster_slots),
            self.header.limit(),
            copy,
        )?;
        list.map_err(|error| {
            let detail = "its directory is damaged: make the segment anew";
            Failure::new(ErrorKind::Corrupt, detail).caused_by(error)
        })
    }

    fn copy(&self, at: u64, bytes: &mut [u8]) -> Result<(), Failure> {
        let mut done = 0;
        while done < bytes.len() {
            let offset = i64::try_from(at + done as u64).unwrap_or(i64::MAX);
            match retry(|| pread(&self.file, &mut bytes[done..], offset)) {
                Ok(0) => return Err(cut_off()),
                Ok(n) => done += n,
                Err(errno) => return Err(Failure::os(errno, "reading the directory")),
            }
        }
        Ok(())
    }

    /// Checks that the file was not cut off before the byte `end`.
    fn reaches(&self, end: u64) -> Result<(), Failure> {
        let status = Status::of(self.file.as_fd()).map_err(|errno| Failure::os(errno, "fstat"))?;
        if status.size < end { Err(cut_off()) } else { Ok(()) }
    }
}

impl AsFd for Observer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn cut_off() -> Failure {
    Failure::new(ErrorKind::Truncated, "its file was cut off by somebody: make the segment anew")
}

fn written() -> Failure {
    Failure::new(ErrorKind::TimedOut, "it was written each time that this looked: look again")
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("name", &self.place.as_ref().map(Place::name))
            .field("size", &self.header.size)
            .finish_non_exhaustive()
    }
}
