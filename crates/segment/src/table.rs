//! The segments of this process: one mapping, one descriptor and one place in the roster each.
//!
//! Whoever opens a segment again shares what is here. A thread that comes while another of this process joins the same
//! segment, or leaves it, waits for that one: else the process would need a second place for a moment, and there may be
//! none.
//!
//! What is joined is nothing to the table, so that what is joined can have its entry in it: it keeps a reference that has
//! no part in it.
//!
//! A forked child finds its parent's segments here, and joins them anew. What a thread of the parent was about to join
//! or to leave when it forked is nobody's.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::process;
use std::sync::{Arc, Weak};
use std::time::Duration;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, Deadline, futex};

use shmkit_roster::NoForks;

use crate::list::List;
use crate::status::Identity;

/// How long a thread waits for another that joins or leaves, which takes them microseconds, or what it takes to unmap.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it sleeps at most: a fork may have made the waker another process's.
const SLICE: Duration = Duration::from_millis(10);

type Table = HashMap<Identity, State, Hash>;

static TABLE: List<Table> = List::new(HashMap::with_hasher(Hash::new()));

/// Counts the joins and leaves that came to an end, for those who wait for one.
static ENDED: AtomicU32 = AtomicU32::new(0);
/// How many threads wait.
static WAITERS: AtomicU32 = AtomicU32::new(0);
/// The number of the next entry.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// What was joined, of a type that its users know: one and the same for all.
type Joined = dyn Any + Send + Sync;

struct State {
    /// Tells this entry from an earlier one of the same segment.
    number: u32,
    /// The process whose threads join, have joined, and leave.
    process: u32,
    /// What was joined. If it cannot be upgraded, somebody leaves, or is about to.
    shared: Option<Weak<Joined>>,
}

impl State {
    /// What was joined, if it is there still. It is of the one type that there is.
    fn joined<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.shared.as_ref()?.upgrade()?.downcast().ok()
    }
}

/// This process's entry of a segment, which is taken out when it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    identity: Identity,
    number: u32,
}

/// What a thread finds that wants a segment.
pub(crate) enum Claim<T> {
    /// The process takes part, or did before it was forked.
    Joined(Arc<T>),
    /// It does not. Other threads wait until the entry is dropped, or [entered](enter) with what was joined.
    Free(Entry),
}

/// Finds a segment, or claims it for this thread to join.
pub(crate) fn claim<T: Any + Send + Sync>(identity: Identity) -> Claim<T> {
    let enough = Deadline::after(PATIENCE);
    loop {
        let is_void = |state: &State| state.process != process::id() || enough.has_passed();
        if let Some(claim) = try_claim(identity, is_void) {
            return claim;
        }
        wait_for(identity);
    }
}

/// `None` if another thread joins or leaves, unless `is_void` says that it does not count.
fn try_claim<T: Any + Send + Sync>(
    identity: Identity,
    is_void: impl Fn(&State) -> bool,
) -> Option<Claim<T>> {
    let mut table = TABLE.lock_with_room();
    if let Some(state) = table.get(&identity) {
        if let Some(shared) = state.joined() {
            return Some(Claim::Joined(shared));
        }
        if !is_void(state) {
            return None;
        }
    }
    let (entry, old) = insert(&mut table, identity);
    // Unlocked first: the last `Weak` frees.
    drop(table);
    drop(old);
    Some(Claim::Free(entry))
}

/// Enters a segment that this process has just made, and that nobody else can know; forks stay held off.
pub(crate) fn begin(identity: Identity) -> Option<(Entry, Option<NoForks>)> {
    let mut table = TABLE.lock_with_room();
    if table.contains_key(&identity) {
        return None;
    }
    let (entry, _) = insert(&mut table, identity);
    Some((entry, table.unlock()))
}

fn insert(table: &mut Table, identity: Identity) -> (Entry, Option<State>) {
    // Relaxed: under the lock; a number is unique, whatever its order.
    let number = NEXT.fetch_add(1, Relaxed);
    let new = State { number, process: process::id(), shared: None };
    (Entry { identity, number }, table.insert(identity, new))
}

/// Sleeps until a join or a leave ends, unless it has.
fn wait_for(identity: Identity) {
    // Relaxed: the lock orders it. Who ends a join or a leave after our look has the lock after us, and sees us wait.
    WAITERS.fetch_add(1, Relaxed);
    // Acquire: pairs with the Release in `ended`, so that what ended before is seen below.
    let ended = ENDED.load(Acquire);
    let is_busy = TABLE
        .lock()
        .get(&identity)
        .is_some_and(|state| state.shared.as_ref().is_none_or(|shared| shared.strong_count() == 0));
    if is_busy {
        futex::wait(&ENDED, ended, Deadline::after(SLICE));
    }
    WAITERS.fetch_sub(1, Relaxed);
}

/// Wakes who waits, after a change of the table.
fn ended() {
    // Release: pairs with the Acquire in `wait_for`.
    ENDED.fetch_add(1, Release);
    if WAITERS.load(Relaxed) != 0 {
        futex::wake(&ENDED, u32::MAX);
    }
}

/// Shows the other threads what was joined.
pub(crate) fn enter<T: Any + Send + Sync>(entry: &Entry, new: &Arc<T>) {
    let Entry { identity, number } = *entry;
    let weak: Weak<Joined> = Arc::<T>::downgrade(new);
    let mut table = TABLE.lock();
    if let Some(state) = table.get_mut(&identity).filter(|state| state.number == number) {
        state.shared = Some(weak);
    }
    drop(table);
    ended();
}

impl Entry {
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Says that this process takes part by now, which was forked from the one that did: its threads wait for one
    /// another, too.
    pub(crate) fn inherit(&self) {
        let mut table = TABLE.lock();
        if let Some(state) = table.get_mut(&self.identity)
            && state.number == self.number
        {
            state.process = process::id();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut table = TABLE.lock();
        let is_ours = |state: &State| state.number == self.number;
        let old = match table.get(&self.identity).is_some_and(is_ours) {
            true => table.remove(&self.identity),
            false => None,
        };
        // Unlocked first: the last `Weak` frees.
        drop(table);
        drop(old);
        ended();
    }
}

/// Returns the segment, if this process has it open.
pub(crate) fn find<T: Any + Send + Sync>(identity: Identity) -> Option<Arc<T>> {
    TABLE.lock().get(&identity)?.joined()
}

/// Returns all segments that this process has open, or inherited.
pub(crate) fn all<T: Any + Send + Sync>() -> Vec<Arc<T>> {
    loop {
        let len = TABLE.lock().len();
        let mut found = Vec::with_capacity(len);
        let table = TABLE.lock();
        if table.len() <= found.capacity() {
            let joined = table.values().filter_map(State::joined);
            // There is room for all of them: nothing allocates under the lock.
            found.extend(joined);
            return found;
        }
    }
}

type Hash = BuildHasherDefault<Cookie>;

/// Hashes an identity: its cookie is a random number.
#[derive(Default)]
struct Cookie(u64);

impl Hasher for Cookie {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = self.0.rotate_left(29) ^ word;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::{ForkResult, fork};

    use super::*;

    fn identity(cookie: u64) -> Identity {
        Identity { device: 0, inode: 0, cookie }
    }

    type Claim = super::Claim<()>;

    impl Claim {
        fn inherit(&self) {
            if let Self::Free(entry) = self {
                entry.inherit();
            }
        }
    }

    fn is_free(claim: Claim) -> bool {
        matches!(claim, Claim::Free(_))
    }

    #[test]
    fn a_thread_waits_for_another_that_joins() {
        let mine: Claim = claim(identity(1));
        let (says, hears) = mpsc::channel();
        let other = thread::spawn(move || {
            says.send(()).unwrap();
            let theirs: Claim = claim(identity(1));
            says.send(()).unwrap();
            is_free(theirs)
        });
        hears.recv().unwrap();
        assert!(is_free(claim(identity(2))), "of another segment");
        assert!(hears.recv_timeout(3 * SLICE).is_err(), "it waits");
        drop(mine);
        hears.recv().unwrap();
        assert!(other.join().unwrap());
    }

    #[test]
    fn a_child_does_not_wait_for_its_parents_threads() {
        let mine: Claim = claim(identity(3));
        // SAFETY: the child uses this thread's own things, and ends by `_exit`.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                let begun = std::time::Instant::now();
                let free = is_free(claim(identity(3))) && begun.elapsed() < PATIENCE / 2;
                // SAFETY: ends the process at once, without the parent's exit handlers.
                unsafe { libc::_exit(i32::from(!free)) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
        }
        drop(mine);
    }

    /// What a forked child inherits is its parent's until it joins; then its threads wait as the parent's do.
    #[test]
    fn threads_of_a_forked_child_wait_for_one_another() {
        let mine: Claim = claim(identity(5));
        // SAFETY: as above.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                mine.inherit();
                let waits: Option<Claim> =
                    try_claim(identity(5), |state| state.process != process::id());
                // SAFETY: as above.
                unsafe { libc::_exit(i32::from(waits.is_some())) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
            }
        }
        drop(mine);
    }

    #[test]
    fn an_old_entry_does_not_take_a_new_one_out() {
        let old: Claim = claim(identity(4));
        let Some(Claim::Free(new)) = try_claim(identity(4), |_| true) else { panic!() };
        drop(old);
        assert!(try_claim::<()>(identity(4), |_| false).is_none(), "the new one is there");
        drop(new);
        assert!(is_free(claim(identity(4))));
    }

    /// They never need two places.
    #[test]
    fn threads_that_open_and_leave_share_one_place() {
        let directory =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let options = crate::Options::new(512).participants(1).persistent(true);
        drop(options.directory(directory.path()).create("it").unwrap());
        let open = || crate::OpenOptions::new().directory(directory.path()).open("it");
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..3000).for_each(|_| drop(open().unwrap())));
            }
        });
    }
}
