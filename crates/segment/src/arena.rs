//! Objects without a segment of one's own: in the arena of this process.

use std::error::Error;
use std::fmt;
use std::io;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Object;
use shmkit_roster::{Judge, Seat};

use crate::list::List;
use crate::{ObjectError, Options, Segment, SegmentError};

/// How large the arena is at first, in bytes.
const FIRST: u64 = 1 << 20;
/// How large it may become, where there are addresses for that; and where there are not.
const LIMITS: [u64; 3] = [1 << 36, 1 << 32, 1 << 28];

/// What is mapped of an arena in this process: the one that objects are made in.
static CURRENT: List<Option<Segment>> = List::new(None);
/// How many objects were made.
static MADE: AtomicU64 = AtomicU64::new(0);

/// Makes an object in the arena of this process: a segment without a name, which is made when it is needed, grows, and lives as
/// long as this process or a handle to something in it.
///
/// The object has no name. Its bytes are free when the last handle is dropped, in whichever process, or its owner is dead. A forked
/// child has an arena of its own, unless it [joins](Segment::join_after_fork) its parent's.
///
/// # Errors
///
/// [`ArenaError`]: there is no memory, or no descriptor.
///
/// # If a peer dies
///
/// Nobody makes objects there but this process and children of it that were forked and have joined; one that dies in the middle
/// leaves bytes that are free.
pub fn make<O: Object<Seat>>(spec: O::Spec) -> Result<O, ArenaError> {
    make_in(&current()?, spec)
}

/// The same, in a segment that is at hand: of two objects that belong together, the second.
///
/// # Errors
///
/// [`ArenaError::Object`]: there is no memory in it.
///
/// # If a peer dies
///
/// As with [`make`].
pub fn make_in<O: Object<Seat>>(segment: &Segment, spec: O::Spec) -> Result<O, ArenaError> {
    // Relaxed: a number that no other thread gets. A forked child counts on from its parent's, under a name of its own.
    let number = MADE.fetch_add(1, Relaxed);
    let name = match segment.participant().me() {
        Some(me) => format!("#{me}.{number}"),
        None => format!("#{number}"),
    };
    let object = segment.make::<O>(&name, spec)?;
    segment.unlink_object(&name)?;
    Ok(object)
}

/// Has objects be made in another arena from now on: for who is told that this one is [full](crate::ObjectErrorKind::NoRoom). It stays
/// as long as something in it is used.
pub fn retire() {
    let retired = CURRENT.lock().take();
    // Unlocked by now: it may be the last one.
    drop(retired);
}

fn current() -> Result<Segment, SegmentError> {
    let is_ours = |segment: &&Segment| segment.participant().me().is_some();
    if let Some(segment) = CURRENT.lock().as_ref().filter(is_ours) {
        return Ok(segment.clone());
    }
    // Not under the lock: it allocates. Of two that are made at once, one stays, and the other as long as its objects.
    let mut made = Err(None);
    for limit in LIMITS {
        match Options::new(FIRST).max(limit).anonymous() {
            Ok(segment) => {
                made = Ok(segment);
                break;
            }
            Err(error) => made = Err(Some(error)),
        }
    }
    let segment = match made {
        Ok(segment) => segment,
        Err(Some(error)) => return Err(error),
        Err(None) => unreachable!("there is a limit"),
    };
    let before = CURRENT.lock().replace(segment.clone());
    // Unlocked by now: it may be the last one.
    drop(before);
    Ok(segment)
}

/// Why an object was not made in the arena.
#[derive(Debug)]
#[non_exhaustive]
pub enum ArenaError {
    /// There was no arena, and none was made.
    Segment(SegmentError),
    /// The object was not made in it.
    Object(ObjectError),
}

impl From<SegmentError> for ArenaError {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

impl From<ObjectError> for ArenaError {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}

/// As the error that it has.
impl From<ArenaError> for io::Error {
    fn from(error: ArenaError) -> Self {
        match error {
            ArenaError::Segment(error) => error.into(),
            ArenaError::Object(error) => error.into(),
        }
    }
}

impl fmt::Display for ArenaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Segment(_) => "the memory that this process makes objects in was not had",
            Self::Object(_) => "an object was not made in the memory of this process",
        })
    }
}

impl Error for ArenaError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Segment(error) => Some(error),
            Self::Object(error) => Some(error),
        }
    }
}
