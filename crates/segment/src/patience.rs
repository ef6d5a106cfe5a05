//! How long it is tried again while others make and remove a name.

use std::time::Duration;

use shmkit_atomic::Deadline;

use crate::error::{ErrorKind, Failure};
use crate::name::Place;

/// How long it is tried again unless the user says otherwise, while others make and remove the name all the time, which
/// takes them microseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Returns whether an error is about a file that lost its name a moment ago, and is worth another look at the name.
pub(crate) fn is_passing(failure: &Failure) -> bool {
    matches!(failure.kind, ErrorKind::Unlinked | ErrorKind::TimedOut)
}

/// Lets others finish; fails when there was time enough.
pub(crate) fn pause(deadline: Deadline, place: &Place) -> Result<(), Failure> {
    if deadline.has_passed() {
        return Err(busy(place));
    }
    std::thread::sleep(Duration::from_micros(100));
    Ok(())
}

fn busy(place: &Place) -> Failure {
    Failure::new(
        ErrorKind::TimedOut,
        format!(
            "{} was made and removed by others all the time that this was to wait: try again, wait \
             longer (`time_limit`), or look who does it",
            place.path().display()
        ),
    )
}
