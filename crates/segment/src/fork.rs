//! Forked children that take part in all that their parent took part in.

use shmkit_roster::in_every_child;

use crate::error::{ErrorKind, Failure};
use crate::shared::Shared;
use crate::{SegmentError, attach, table};

/// Joins, in a forked child, every segment that its parent had joined, and returns how many the process takes part in
/// now. In other processes it does nothing but count.
///
/// One place costs some microseconds; see [`Segment::join_after_fork`](crate::Segment::join_after_fork), which joins one.
///
/// # Errors
///
/// Those of [`Segment::join_after_fork`](crate::Segment::join_after_fork), for the first segment that cannot be joined.
/// The others are joined nevertheless.
///
/// # Examples
///
/// ```
/// use shmkit_segment::{Options, join_all_after_fork};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let segments =
///     (0..3).map(|_| Options::new(4096).anonymous()).collect::<Result<Vec<_>, _>>()?;
/// // In a forked child:
/// assert_eq!(join_all_after_fork()?, segments.len());
/// # Ok(())
/// # }
/// ```
pub fn join_all_after_fork() -> Result<usize, SegmentError> {
    let (mut joined, mut first) = (0, None);
    for shared in table::all::<Shared>() {
        match attach::rejoin(&shared) {
            Ok(_) => joined += 1,
            Err(failure) if first.is_none() => first = Some((shared, failure)),
            Err(_) => {}
        }
    }
    match first {
        None => Ok(joined),
        Some((shared, failure)) => {
            let name = shared.place().map_or("an anonymous segment".to_owned(), |place| {
                format!("segment {:?}", place.name())
            });
            let rest = format!("join {name} in a forked child, which has joined {joined} others");
            Err(failure.during(rest))
        }
    }
}

/// Sets whether every child that is forked from now on [joins all](join_all_after_fork) by itself, before `fork` returns
/// there; by default it does not.
///
/// A child that joins at once cannot come too late, after its parent has left, or has dropped what the child inherits: `fork`
/// returns in the parent when the child has joined. Nor does it matter that it gives up its privileges. Who cannot join is
/// as without this: nobody, and `join_all_after_fork` says why. (What *another* thread of the parent drops meanwhile may be gone.)
///
/// Children that only start a program pay for it, too, where that takes a fork.
///
/// # Errors
///
/// The handlers that forks need could not be registered: no memory.
pub fn join_all_at_fork(enabled: bool) -> Result<(), SegmentError> {
    in_every_child(enabled.then_some(join_in_child)).map_err(|error| {
        Failure::new(ErrorKind::NoMemory, "no handler can be registered")
            .caused_by(error)
            .during("have forked children join by themselves")
    })
}

/// Nobody is there to be told what fails.
fn join_in_child() {
    let _ = join_all_after_fork();
}
