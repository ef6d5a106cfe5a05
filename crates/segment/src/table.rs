//! The segments of this process: one mapping, one descriptor and one place in the roster each.
//!
//! Whoever opens a segment again shares what is here. Forks are held off while the table is locked
//! ([`NoForks`]), so that a child never inherits it locked, and always inherits it whole: it finds its parent's
//! segments here, and joins them anew.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use shmkit_roster::NoForks;

use crate::inspect::Identity;
use crate::segment::Shared;

static TABLE: Mutex<Vec<(Identity, Weak<Shared>)>> = Mutex::new(Vec::new());

type Entries = Vec<(Identity, Weak<Shared>)>;

/// Forks are held off first and let go last. Nothing is called under the lock that could take it again: a `Shared` is
/// never dropped here.
struct Locked {
    entries: MutexGuard<'static, Entries>,
    /// `None` if the process has not even the memory to register a handler; then the lock alone must do.
    _no_forks: Option<NoForks>,
}

fn lock() -> Locked {
    let no_forks = NoForks::hold().ok();
    // A poisoned table is whole: every change to it is one `push` or `retain`.
    Locked { entries: TABLE.lock().unwrap_or_else(PoisonError::into_inner), _no_forks: no_forks }
}

/// Returns the segment, if this process has it open.
pub(crate) fn find(identity: Identity) -> Option<Arc<Shared>> {
    let table = lock();
    table.entries.iter().find_map(|(key, shared)| (*key == identity).then(|| shared.upgrade())?)
}

/// Enters a segment, and returns it; or the one that another thread entered in the meantime.
pub(crate) fn enter(new: Arc<Shared>) -> Arc<Shared> {
    let found = {
        let mut table = lock();
        let found = table
            .entries
            .iter()
            .find_map(|(key, shared)| (*key == new.identity()).then(|| shared.upgrade())?);
        if found.is_none() {
            table.entries.push((new.identity(), Arc::downgrade(&new)));
        }
        found
    };
    // Unlocked: `new` may be dropped here, which takes the lock.
    found.unwrap_or(new)
}

/// Takes a segment out that is being dropped.
pub(crate) fn forget(this: *const Shared) {
    lock().entries.retain(|(_, shared)| !std::ptr::eq(shared.as_ptr(), this));
}
