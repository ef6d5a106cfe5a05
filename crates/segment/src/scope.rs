//! Segments that go together.

use std::fmt;
use std::mem::take;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Options, Segment, SegmentError};

/// Named segments that go with the scope that they were made in: Python's `SharedMemoryManager`, without a process.
///
/// Each has a name that nobody else has, to be told to others. When the scope is dropped, or [closed](Self::close), all names are
/// removed, whoever has them open: those keep theirs. Objects go with the segments that they were made in.
///
/// ```
/// use shmkit_segment::{ErrorKind, Scope, Segment};
///
/// # fn main() -> Result<(), shmkit_segment::SegmentError> {
/// let scope = Scope::new();
/// let name = scope.segment(4096)?.name().unwrap_or_default().to_owned();
/// let there = Segment::open(&name)?; // in another process
/// drop(scope);
/// assert_eq!(Segment::open(&name).unwrap_err().kind(), ErrorKind::NotFound);
/// # drop(there);
/// # Ok(())
/// # }
/// ```
///
/// # If a peer dies
///
/// If the process of the scope is killed, its segments are as any others: the last participant that ends in good order removes
/// them, and who was killed last leaves them to the next visitor and to the sweep. A forked child has no part in its
/// parent's scope, and removes nothing.
pub struct Scope {
    all: Mutex<Vec<Segment>>,
    pid: u32,
}

impl Scope {
    /// Makes one without segments.
    pub fn new() -> Self {
        Self { all: Mutex::default(), pid: process::id() }
    }

    /// Makes a segment of `size` bytes for objects, under a name that nobody has.
    ///
    /// # Errors
    ///
    /// Those of [`Options::create_unique`].
    pub fn segment(&self, size: u64) -> Result<Segment, SegmentError> {
        self.segment_with(&Options::new(size))
    }

    /// Makes a segment by these options, under a name that nobody has. One that is persistent goes with the scope as well.
    ///
    /// # Errors
    ///
    /// Those of [`Options::create_unique`].
    pub fn segment_with(&self, options: &Options) -> Result<Segment, SegmentError> {
        let segment = options.create_unique()?;
        self.all().push(segment.clone());
        Ok(segment)
    }

    fn all(&self) -> MutexGuard<'_, Vec<Segment>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the names of its segments, in the order in which they were made.
    pub fn names(&self) -> Vec<String> {
        self.all().iter().filter_map(|segment| segment.name().map(Into::into)).collect()
    }

    /// Removes all names, and says if one could not be. The others are removed all the same.
    ///
    /// # Errors
    ///
    /// The first of those of [`Segment::unlink`], but for names that somebody has removed before.
    pub fn close(self) -> Result<(), SegmentError> {
        self.remove_all()
    }

    fn remove_all(&self) -> Result<(), SegmentError> {
        if self.pid != process::id() {
            return Ok(());
        }
        let all = take(&mut *self.all());
        let mut first = Ok(());
        for segment in all {
            let removed = match segment.is_linked() {
                true => segment.unlink(),
                false => Ok(()),
            };
            first = first.and(removed);
        }
        first
    }
}

impl Default for Scope {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Nobody would hear of it: `close` tells.
        let _ = self.remove_all();
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("names", &self.names()).finish()
    }
}
