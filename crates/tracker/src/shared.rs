//! This process's part in a register, which it has once and to its end.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use shmkit_atomic::AtomicPtr;
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed};
use shmkit_roster::OwnerId;
use shmkit_segment::{Options, PREFIX, Segment};

use crate::error::{ErrorKind, Failure};
use crate::identity::{Identity, Thing};
use crate::record::{Text, Units};
use crate::register::{CONTENT, Register, SIZE, records};

/// How many processes can take part in a register at a time.
const PARTICIPANTS: u32 = 1024;

/// How often a register is made anew that others remove by force.
const ROUNDS: u32 = 8;

/// A register that this process takes part in.
#[derive(Debug)]
pub(crate) struct Shared {
    directory: PathBuf,
    path: CString,
    register_name: CString,
    segment: Segment,
    identity: Identity,
    /// The process that has asked for a watcher; 0: nobody has.
    pub(crate) asked_by: AtomicU32,
    /// The process whose thread starts one whenever there is none; 0: nobody's does.
    pub(crate) guarded_by: AtomicU32,
    next: *const Self,
}

// SAFETY: `next` leads to what is never changed or freed.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The newest one first. A list that only grows, so that a forked child finds it whole, and no lock is held in it.
static ALL: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

/// A register that is open for one step.
pub(crate) struct Entered {
    pub(crate) shared: &'static Shared,
    pub(crate) folder: OwnedFd,
    pub(crate) register: Register,
    pub(crate) me: OwnerId,
}

/// The register's segment of this user.
pub(crate) fn segment_name() -> String {
    format!("tracker-{}", geteuid())
}

/// The register's file of this user.
pub(crate) fn file_name() -> CString {
    CString::new(format!("{PREFIX}{}", segment_name())).unwrap_or_default()
}

/// Opens the folder of the segments.
pub(crate) fn open_folder(directory: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(directory, flags, Mode::empty())
        .map_err(|errno| Failure::os(errno, "opening the folder of the segments"))
}

/// Joins the register of a folder, unless this process has, and opens it.
pub(crate) fn enter(directory: &Path) -> Result<Entered, Failure> {
    for _ in 0..ROUNDS {
        let shared = match known(directory) {
            Some(shared) => shared,
            None => Shared::make(directory)?,
        };
        let folder = open_folder(directory)?;
        let register = Register::open(folder.as_fd(), &shared.register_name)
            .map_err(|errno| Failure::os(errno, "opening the register"))?;
        let me = shared.segment.participant().id();
        match (register, me) {
            (Some(register), Some(me)) if register.identity == shared.identity => {
                return Ok(Entered { shared, folder, register, me });
            }
            // A forked child.
            (Some(register), None) if register.identity == shared.identity => {
                if shared.segment.join_after_fork().is_err() {
                    Shared::make(directory)?;
                }
            }
            // Somebody has removed it by force.
            _ => {
                let other = Shared::make(directory)?;
                // Relaxed, here and below: a number that publishes nothing.
                other.asked_by.store(shared.asked_by.load(Relaxed), Relaxed);
                other.take_over(shared)?;
            }
        }
    }
    Err(Failure::new(
        ErrorKind::Register,
        "others remove the register all the time: leave its file alone",
    ))
}

fn known(directory: &Path) -> Option<&'static Shared> {
    // Acquire: pairs with the AcqRel in `make`.
    let mut next = ALL.load(Acquire).cast_const();
    // SAFETY: null, or one that was published and is never changed or freed.
    while let Some(shared) = unsafe { next.as_ref() } {
        if shared.directory == directory {
            return Some(shared);
        }
        next = shared.next;
    }
    None
}

impl Shared {
    fn make(directory: &Path) -> Result<&'static Self, Failure> {
        let options = Options::new(SIZE).objects(0).participants(PARTICIPANTS).content(CONTENT);
        let segment = options
            .directory(directory)
            .open_or_create(&segment_name())
            .map_err(Failure::segment)?;
        let file = segment.file().map_err(Failure::segment)?;
        let identity = Thing::of(file).map_err(|errno| Failure::os(errno, "statx"))?.identity;
        let path = CString::new(directory.as_os_str().as_bytes()).map_err(|_| {
            Failure::new(ErrorKind::InvalidName, "the folder's path has a NUL: leave it out")
        })?;
        let shared = Box::leak(Box::new(Self {
            directory: directory.to_owned(),
            path,
            register_name: file_name(),
            segment,
            identity,
            asked_by: AtomicU32::new(0),
            guarded_by: AtomicU32::new(0),
            next: ptr::null(),
        }));
        let mut first = ALL.load(Relaxed);
        loop {
            shared.next = first;
            // AcqRel: pairs with the Acquire in `known`, and follows who published the next one.
            match ALL.compare_exchange(first, shared, AcqRel, Relaxed) {
                Ok(_) => return Ok(shared),
                Err(other) => first = other,
            }
        }
    }

    pub(crate) fn path(&self) -> &CStr {
        &self.path
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn register_name(&self) -> &CStr {
        &self.register_name
    }

    /// Registers here what this process has registered there, in a register without a name.
    fn take_over(&self, other: &Self) -> Result<(), Failure> {
        let fails = |errno: Errno| Failure::os(errno, "reading the register that was removed");
        let (Some(me), Some(me_there)) =
            (self.segment.participant().id(), other.segment.participant().id())
        else {
            return Ok(());
        };
        let open = |shared: &Self| {
            let file = shared.segment.file().map_err(Failure::segment)?;
            // Of a description of its own: locks are between descriptions.
            let file = crate::reopen::reopen(file).map_err(fails)?;
            Register::of(file).map_err(fails)
        };
        let (Some(here), Some(there)) = (open(self)?, open(other)?) else { return Ok(()) };
        let all = there.lock().and_then(|locked| locked.units()).map_err(fails)?;
        let locked = here.lock().map_err(fails)?;
        for (at, head) in records(&all).filter(|(_, head)| head.owner == me_there.get()) {
            let text = Text::of(&head, &all[at..at + head.span(all.len() - at)]);
            let Some(kind) = text.kind(&head) else { continue };
            locked.keep().map_err(fails)?;
            let units = locked.units().map_err(fails)?;
            locked.put(&units, &Units::new(head, kind, text.name()), me).map_err(fails)?;
        }
        Ok(())
    }

    /// Whether this process, or the one that it was forked from, has asked for a watcher.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked_by.load(Relaxed) != 0
    }

    /// Notes that this process has asked for a watcher.
    pub(crate) fn ask(&self) {
        self.asked_by.store(std::process::id(), Relaxed);
    }
}
