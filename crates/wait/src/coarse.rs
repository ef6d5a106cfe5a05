//! The sleep of a kernel that cannot sleep on several words.

use std::thread::sleep;
use std::time::Duration;

use shmkit_atomic::Deadline;
use shmkit_atomic::futex::Waiter;

/// How long to sleep at most, so that whoever sleeps looks itself.
const COARSE: Duration = Duration::from_millis(1);

/// Sleeps until one of these words has changed, as far as is noticed, or a little.
pub(crate) fn wait_any_coarsely(words: &[Waiter], until: Deadline) {
    let end = until.min(Deadline::after(COARSE));
    while !end.has_passed() && !words.iter().any(Waiter::has_changed) {
        sleep(COARSE / 8);
    }
}
