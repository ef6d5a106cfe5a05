//! What programs use: registering, and asking for a watcher.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::geteuid;
use shmkit_segment::DIRECTORY;

use crate::error::{ErrorKind, Failure, TrackerError};
use crate::identity::{Thing, mounts, now};
use crate::kind::{Kind, PathBuffer};
use crate::launch::launch;
use crate::record::{ANNOUNCED, DOOMED, Head, Text, UNIT, Units};
use crate::register::records;
use crate::release::{Cleaner, is_same, visit};
use crate::shared::{Entered, enter};

/// Keeps a record of what a process has made that is no segment, and sees to it that somebody cleans up.
///
/// A segment needs none of this: it is removed when its last participant leaves, and the next visitor removes what is left if
/// all were killed. [`start`](Self::start) has a *watcher* do that within milliseconds. What is not a segment, a POSIX
/// semaphore above all, is [registered](Self::register), and released when every process that had registered it is dead.
///
/// ```
/// use shmkit_tracker::{Kind, Tracker};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm")?;
/// # let path = &folder.path().join("socket");
/// # let tracker = Tracker::in_directory(folder.path())?;
/// # if false {
/// let tracker = Tracker::new()?;
/// # }
/// tracker.announce(Kind::Socket, path)?; // Killed from here on …
/// let listener = std::os::unix::net::UnixListener::bind(path)?;
/// tracker.register(Kind::Socket, path)?; // … to here, the file is removed.
/// drop(listener);
/// std::fs::remove_file(path)?;
/// tracker.unregister(Kind::Socket, path)?;
/// # Ok(())
/// # }
/// ```
///
/// What is registered stands in shared memory, in a segment called `tracker-<uid>`: each user has one in each folder of
/// segments. A process takes part in it from its first use of a `Tracker` to its end.
///
/// # Forks
///
/// A forked child may use what it inherited. It is somebody else: what its parent registered is its parent's, and is
/// released at its parent's death unless the child has registered it as well.
#[derive(Clone, Debug)]
pub struct Tracker {
    directory: PathBuf,
    cleaners: &'static [Cleaner],
}

/// Whether a watcher was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watching {
    /// One was at work.
    Running,
    /// There was none.
    Started,
    /// The last one was killed. Nothing was lost, but it is worth a warning.
    Restarted,
}

/// Something that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Registered {
    /// What kind of thing, in a word; a [custom](Kind::Custom) one's name.
    pub kind: String,
    /// Its name: without a leading slash, or as an absolute path.
    pub name: Vec<u8>,
    /// How often its owner has registered it.
    pub count: u32,
    /// Whether who registered it lives.
    pub is_alive: bool,
    /// Whether it was only [announced](Tracker::announce).
    pub is_announced: bool,
}

impl Tracker {
    /// Takes part in the register of this user in [`DIRECTORY`]. What the dead had registered is released, but for commands and
    /// [kinds of their own](Kind::Custom), which wait for a watcher or a [`Sweep`](crate::Sweep).
    ///
    /// # Errors
    ///
    /// [`Register`](ErrorKind::Register) if it cannot be made or joined: 1,024 processes take part in it already, or there
    /// is no memory.
    pub fn new() -> Result<Self, TrackerError> {
        Self::in_directory(DIRECTORY)
    }

    /// As [`new`](Self::new), in another folder of segments.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn in_directory(directory: impl Into<PathBuf>) -> Result<Self, TrackerError> {
        let directory = directory.into();
        let attempt = || format!("take part in the register in {}", directory.display());
        let directory = std::path::absolute(&directory)
            .map_err(|error| Failure::os(error, "absolute").during(attempt()))?;
        let entered = enter(&directory).map_err(|failure| failure.during(attempt()))?;
        // A favour to others, so that errors are theirs to meet.
        let _ = visit(&entered.register, entered.folder.as_fd());
        Ok(Self { directory, cleaners: &[] })
    }

    /// Gives the watcher that this process starts functions that clean up what is registered as a
    /// [kind of its own](Kind::Custom). A watcher that another program has started does not have them: what it cannot clean
    /// up it leaves to who can, a [`Sweep`](crate::Sweep) with the function above all.
    ///
    /// # Safety
    ///
    /// The functions do only what is safe in a signal handler ([signal-safety(7)]): the watcher is forked from a program
    /// that may have many threads. They use no shared memory of the program's, which is not mapped there.
    ///
    /// [signal-safety(7)]: https://man7.org/linux/man-pages/man7/signal-safety.7.html
    pub unsafe fn cleaners(mut self, cleaners: &'static [Cleaner]) -> Self {
        self.cleaners = cleaners;
        self
    }

    /// Returns the folder of the segments.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Has a watcher clean up from now on, and starts one if there is none.
    ///
    /// There is one for each user and folder, however many programs ask: a process of its own, forked from this one, that
    /// executes nothing, sleeps until somebody dies, and cleans up a fraction of a millisecond later. It is adopted by init from the
    /// beginning, ignores `SIGINT` and `SIGTERM`, and ends when nobody is left who asked for it and no segment is in use. If it is
    /// killed, one of the processes that have asked starts another at once; to this end each has one thread that sleeps.
    ///
    /// It keeps none of this program's descriptors and shared memory. Its private memory it shares with this
    /// program, as every forked process does: what this program changes is copied. Who minds that has the command
    /// `shmkit watch --detach` run, whose watcher is small.
    ///
    /// # Errors
    ///
    /// [`System`](ErrorKind::System): no process can be started, or the user has no inotify instance left
    /// (`/proc/sys/fs/inotify/max_user_instances`). Segments are cleaned up without a watcher, too, by the next visitor.
    ///
    /// # If a peer dies
    ///
    /// The lock that makes a process the watcher is the kernel's: whoever dies has it no more.
    pub fn start(&self) -> Result<Watching, TrackerError> {
        self.try_start().map_err(|failure| {
            failure.during(format!("start a watcher for {}", self.directory.display()))
        })
    }

    fn try_start(&self) -> Result<Watching, Failure> {
        let entered = enter(&self.directory)?;
        let shared = entered.shared;
        let watching = self.ensure(entered)?;
        shared.ask();
        shared.guard(self.cleaners);
        Ok(watching)
    }

    fn ensure(&self, entered: Entered) -> Result<Watching, Failure> {
        let fails = |errno: Errno| Failure::os(errno, "asking for the watcher");
        let Entered { shared, folder, register, .. } = entered;
        if !register.try_watch().map_err(fails)? {
            return Ok(Watching::Running);
        }
        let watching = match register.is_watched().map_err(fails)? {
            true => Watching::Restarted,
            false => Watching::Started,
        };
        launch(register, folder, shared.path(), shared.register_name(), self.cleaners)
            .map_err(|errno| Failure::os(errno, "starting it"))?;
        Ok(watching)
    }

    /// Returns whether a watcher is at work.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn is_watched(&self) -> Result<bool, TrackerError> {
        let look = || {
            let asking = |errno: Errno| Failure::os(errno, "asking for its lock");
            enter(&self.directory)?.register.has_watcher().map_err(asking)
        };
        look().map_err(|failure| failure.during("look for a watcher"))
    }

    /// Registers something that this process has made: it is released when this process is dead, unless somebody alive
    /// has registered it, too.
    ///
    /// What is a file is known by its device, number and birth from now on: what bears the name later is not released if it
    /// is another one.
    ///
    /// As often as it is registered, so often it has to be [unregistered](Self::unregister).
    ///
    /// # Errors
    ///
    /// [`InvalidName`](ErrorKind::InvalidName); [`NotFound`](ErrorKind::NotFound) if it is not there;
    /// [`WrongKind`](ErrorKind::WrongKind); [`Doomed`](ErrorKind::Doomed); [`Full`](ErrorKind::Full);
    /// [`Busy`](ErrorKind::Busy).
    ///
    /// # If a peer dies
    ///
    /// while it registers: what it registers is registered or not, and nobody waits for it.
    pub fn register(&self, kind: Kind<'_>, name: impl AsRef<Name>) -> Result<(), TrackerError> {
        self.change(kind, name.as_ref(), "register", |change| change.register())
    }

    /// Says that this process is about to make something, which is a file: if it is killed before it can
    /// [register](Self::register) what it has made, that is released as well.
    ///
    /// Until then it is known by its name, this user, and that it is born later than this, by a clock that has steps of some
    /// milliseconds: what a process makes under that name that has not registered it cannot be told from it.
    ///
    /// Who has made nothing [unregisters](Self::unregister) it.
    ///
    /// # Errors
    ///
    /// Those of [`register`](Self::register), and [`AlreadyExists`](ErrorKind::AlreadyExists) if the name is taken.
    ///
    /// # If a peer dies
    ///
    /// As for [`register`](Self::register).
    pub fn announce(&self, kind: Kind<'_>, name: impl AsRef<Name>) -> Result<(), TrackerError> {
        self.change(kind, name.as_ref(), "announce", |change| change.announce())
    }

    /// Takes back what this process has registered or announced, once. It is this process's to remove: nothing is released.
    /// Returns whether it was registered.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](ErrorKind::InvalidName), [`Busy`](ErrorKind::Busy).
    ///
    /// # If a peer dies
    ///
    /// As for [`register`](Self::register).
    pub fn unregister(&self, kind: Kind<'_>, name: impl AsRef<Name>) -> Result<bool, TrackerError> {
        self.change(kind, name.as_ref(), "unregister", |change| change.unregister())
    }

    fn change<R>(
        &self,
        kind: Kind<'_>,
        name: &Name,
        what: &str,
        step: impl FnOnce(&Change<'_>) -> Result<R, Failure>,
    ) -> Result<R, TrackerError> {
        let run = || {
            let name = kind.canonical(&name.0)?;
            let entered = enter(&self.directory)?;
            let done = step(&Change { entered: &entered, kind, name: &name })?;
            // One that was asked for may be no more.
            let shared = entered.shared;
            if shared.is_asked() {
                // Whether it can be started is no concern of who registers.
                let _ = self.ensure(entered);
                shared.guard(self.cleaners);
            }
            Ok(done)
        };
        run().map_err(|failure: Failure| {
            failure.during(format!("{what} the {kind} \"{}\"", name.0.escape_ascii()))
        })
    }

    /// Returns everything that is registered, by whomever.
    ///
    /// # Errors
    ///
    /// [`Register`](ErrorKind::Register), [`Busy`](ErrorKind::Busy).
    pub fn registered(&self) -> Result<Vec<Registered>, TrackerError> {
        let run = || {
            let entered = enter(&self.directory)?;
            let all = entered.register.lock().and_then(|locked| locked.units()).map_err(locking)?;
            let registered = |(at, head): (usize, Head)| {
                let text = Text::of(&head, units_of(&all, at, &head));
                Registered {
                    kind: text.kind(&head).map_or("?".to_owned(), |kind| kind.to_string()),
                    name: text.name().to_owned(),
                    count: head.count,
                    is_alive: !entered.register.is_dead(head.owner),
                    is_announced: head.state & ANNOUNCED != 0,
                }
            };
            Ok(records(&all).map(registered).collect())
        };
        run().map_err(|failure: Failure| failure.during("read the register"))
    }
}

/// A name of any bytes: what a [`str`], a byte string, an `OsStr` and a [`Path`] are.
#[derive(Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Name([u8]);

impl Name {
    fn new(bytes: &[u8]) -> &Self {
        let name = std::ptr::from_ref(bytes) as *const Self;
        // SAFETY: a slice of bytes with another name (`repr(transparent)`), borrowed as long.
        unsafe { &*name }
    }
}

macro_rules! names {
    ($($type:ty => |$name:ident| $bytes:expr;)*) => {$(
        impl AsRef<Name> for $type {
            fn as_ref(&self) -> &Name {
                let $name = self;
                Name::new($bytes)
            }
        }
    )*};
}

names! {
    str => |name| name.as_bytes();
    String => |name| name.as_bytes();
    [u8] => |name| name;
    Vec<u8> => |name| name;
    std::ffi::OsStr => |name| name.as_encoded_bytes();
    std::ffi::OsString => |name| name.as_encoded_bytes();
    Path => |name| name.as_os_str().as_encoded_bytes();
    PathBuf => |name| name.as_os_str().as_encoded_bytes();
}

impl<const N: usize> AsRef<Name> for [u8; N] {
    fn as_ref(&self) -> &Name {
        Name::new(self)
    }
}

/// A change of what is registered.
struct Change<'c> {
    entered: &'c Entered,
    kind: Kind<'c>,
    name: &'c [u8],
}

impl Change<'_> {
    /// What this process has registered of this name, and what is being removed.
    fn find(&self, all: &[[u8; UNIT]], wanted: &Head) -> Option<(usize, Head)> {
        let me = self.entered.me.get();
        records(all).find(|(at, head)| {
            head.owner == me && is_same(head, wanted) && self.is_named(all, *at, head)
        })
    }

    fn is_named(&self, all: &[[u8; UNIT]], at: usize, head: &Head) -> bool {
        let text = Text::of(head, units_of(all, at, head));
        (text.custom(), text.name()) == (self.kind.custom(), self.name)
    }

    fn head(&self) -> Head {
        let is_everywhere = !self.kind.is_file() || self.kind.is_shared();
        Head { mounts: if is_everywhere { 0 } else { mounts() }, ..Head::new(self.kind, self.name) }
    }

    fn thing(&self) -> Result<Thing, Errno> {
        let path = PathBuffer::of(self.kind, self.name).ok_or(Errno::ENAMETOOLONG)?;
        Thing::at(self.entered.folder.as_fd(), path.c_str())
    }

    fn register(&self) -> Result<(), Failure> {
        let locked = self.entered.register.lock().map_err(locking)?;
        let all = locked.units().map_err(locking)?;
        let mut head = self.head();
        // With the lock: nobody removes it between this look and the record.
        if self.kind.is_file() {
            head.identity = self.checked_thing()?.identity;
            let is_doomed = |(_, other): (usize, Head)| {
                other.state & DOOMED != 0 && other.identity == head.identity
            };
            if records(&all).any(is_doomed) {
                return Err(Failure::new(
                    ErrorKind::Doomed,
                    "it was left by the dead and is being removed: make another one",
                ));
            }
        }
        let Some((at, before)) = self.find(&all, &head) else {
            return self.put(&locked, &all, head);
        };
        let is_announced = before.state & ANNOUNCED != 0;
        let count = if is_announced { before.count } else { before.count.saturating_add(1) };
        let head = Head { owner: before.owner, count, ..head };
        locked.change(at, &head).map_err(locking)
    }

    fn announce(&self) -> Result<(), Failure> {
        if !self.kind.is_file() {
            return Err(Failure::new(
                ErrorKind::WrongKind,
                "it is no file: register it before what it undoes is done",
            ));
        }
        let locked = self.entered.register.lock().map_err(locking)?;
        let all = locked.units().map_err(locking)?;
        let since = now();
        match self.thing() {
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Failure::os(errno, "looking at it")),
            Ok(_) => {
                return Err(Failure::new(
                    ErrorKind::AlreadyExists,
                    "the name is taken: use another one, or register what bears it",
                ));
            }
        }
        let head = Head { state: ANNOUNCED, since, ..self.head() };
        match self.find(&all, &head) {
            // What was registered is gone.
            Some((at, before)) => {
                let head = Head { owner: before.owner, count: before.count, ..head };
                locked.change(at, &head).map_err(locking)
            }
            None => self.put(&locked, &all, head),
        }
    }

    fn put(
        &self,
        locked: &crate::register::Locked<'_>,
        all: &[[u8; UNIT]],
        head: Head,
    ) -> Result<(), Failure> {
        locked.keep().map_err(locking)?;
        let units = Units::new(head, self.kind, self.name);
        match locked.put(all, &units, self.entered.me).map_err(locking)? {
            true => Ok(()),
            false => Err(Failure::new(
                ErrorKind::Full,
                "the register has no room left: unregister what is not needed",
            )),
        }
    }

    fn unregister(&self) -> Result<bool, Failure> {
        let locked = self.entered.register.lock().map_err(locking)?;
        let all = locked.units().map_err(locking)?;
        let Some((at, before)) = self.find(&all, &self.head()) else { return Ok(false) };
        if before.count > 1 {
            let head = Head { count: before.count - 1, ..before };
            locked.change(at, &head).map_err(locking)?;
        } else {
            locked.free(at).map_err(locking)?;
            locked.settle().map_err(locking)?;
        }
        Ok(true)
    }

    /// Looks at what is to be registered.
    fn checked_thing(&self) -> Result<Thing, Failure> {
        let thing = match self.thing() {
            Err(errno @ (Errno::ENOENT | Errno::ENOTDIR)) => {
                let detail = "it is not there: announce it, make it, then register it";
                return Err(Failure::new(ErrorKind::NotFound, detail).caused_by(errno));
            }
            thing => thing.map_err(|errno| Failure::os(errno, "looking at it"))?,
        };
        let is_right = match self.kind {
            Kind::Semaphore | Kind::SharedMemory => thing.is_regular(),
            Kind::Socket => thing.is_socket(),
            Kind::Directory => thing.is_folder(),
            _ => !thing.is_folder(),
        };
        let me = geteuid().as_raw();
        if !is_right {
            Err(Failure::new(ErrorKind::WrongKind, "what bears the name is something else"))
        } else if thing.owner != me && me != 0 {
            let owner = thing.owner;
            let detail = format!("it belongs to user {owner}, and this is user {me}");
            Err(Failure::new(ErrorKind::WrongKind, detail))
        } else {
            Ok(thing)
        }
    }
}

fn units_of<'a>(all: &'a [[u8; UNIT]], at: usize, head: &Head) -> &'a [[u8; UNIT]] {
    &all[at..at + head.span(all.len() - at)]
}

fn locking(errno: Errno) -> Failure {
    match errno {
        Errno::ETIMEDOUT => Failure::new(
            ErrorKind::Busy,
            "others have had the register for half a minute: one of them is stopped, continue or kill it",
        ),
        errno => Failure::os(errno, "using the register"),
    }
}
