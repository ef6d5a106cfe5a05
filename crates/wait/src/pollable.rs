//! A descriptor for what has none.

use core::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use shmkit_atomic::Deadline;

use crate::bridge::Rope;
use crate::{Ready, Source};

/// The first time after which the descriptor is readable for nothing, in milliseconds.
const FIRST: u64 = 32;
/// The longest.
const MOST: u64 = 1024;

/// A descriptor that becomes readable when something is worth a look that has none of its own: for `epoll`, `mio`, `tokio`.
///
/// [`arm`](Self::arm) it before each sleep. It tells once; and now and then for nothing, first after 32 ms and in the end once
/// a second, so that nobody who was killed before it rang leaves it asleep, and a death is told.
///
/// ```
/// use std::time::Duration;
///
/// # use memmap2::MmapRaw;
/// # use shmkit_layout::{Object, Region};
/// # use shmkit_roster::model::ModelJudge;
/// # use shmkit_sync::Event;
/// use shmkit_wait::{Pollable, wait};
///
/// # let map = MmapRaw::from(memmap2::MmapMut::map_anon(4096)?);
/// # let base = std::ptr::NonNull::new(map.as_mut_ptr()).unwrap();
/// # // SAFETY: `map` is mapped for longer than the region is used, and nobody else refers to its bytes.
/// # let region = unsafe { Region::from_raw_parts(base, map.len()) };
/// # let judges = ModelJudge::new(2);
/// # // SAFETY: the bytes are zero, and nobody else has seen them yet.
/// # let event = unsafe { Event::init(region, (), &judges[0]) }?;
/// let mut pollable = Pollable::new()?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| event.set()); // in any process
///     while !pollable.arm(&event)? {
///         wait(&[&pollable], None)?; // or poll, epoll, AsyncFd::readable
///     }
///     assert!(event.is_set());
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// *In a forked child* it is the parent's, and does nothing: make another one.
pub struct Pollable {
    rope: Rope,
    /// When it is readable for nothing.
    until: Deadline,
    /// How long after it is armed.
    millis: u64,
}

impl Pollable {
    /// Makes one that is not readable. It takes a descriptor; the thread that it needs is started by the first
    /// [`arm`](Self::arm) of the process, and sleeps for 127 of them.
    ///
    /// # Errors
    ///
    /// That of the system: no descriptor is free.
    pub fn new() -> io::Result<Self> {
        Ok(Self { rope: Rope::new()?, until: Deadline::PASSED, millis: FIRST })
    }

    /// Returns whether `thing` is ready now; else the descriptor is not readable until it is worth a look again.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the thing has a descriptor of its own, which is the one to use, or in a forked child; that of the
    /// system, if no thread can be started.
    pub fn arm(&mut self, thing: &dyn Ready) -> io::Result<bool> {
        if !self.rope.is_ours() {
            let why = "it was made before this process was forked: make another one";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let asked = self.until.has_passed();
        self.rope.untie();
        let source = thing.source();
        if thing.is_ready(asked) {
            self.millis = FIRST;
            return Ok(true);
        }
        let waiter = match source {
            Source::Word(waiter) => waiter,
            Source::Nothing => return Ok(false),
            Source::Descriptor(_) => {
                let why = "it has a descriptor of its own: wait for that one";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        self.millis = if asked { (self.millis * 2).min(MOST) } else { FIRST };
        self.until = Deadline::after(Duration::from_millis(self.millis));
        self.rope.tie(&[waiter], self.until)?;
        Ok(false)
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rope.as_fd()
    }
}

/// Ready when what it was armed for is worth a look.
impl Ready for Pollable {
    fn source(&self) -> Source<'_> {
        Source::Descriptor(self.as_fd())
    }
}

impl fmt::Debug for Pollable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pollable").field("descriptor", &self.as_fd()).finish_non_exhaustive()
    }
}
