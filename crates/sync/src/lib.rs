//! Locks between processes that survive the death of their owner.
//!
//! * [`Mutex`]: a value that one process at a time may use. Who finds the owner dead takes over and is told so.
//! * [`ReentrantMutex`]: the same for one *thread* at a time, which may lock it again while it holds it.
//! * [`Lock`] and [`RLock`]: Python's, without data: anybody may release the one, its owner may acquire the other again.
//! * [`Condvar`]: to sleep on until somebody has made a condition true, with any of these.
//! * [`RwLock`]: a value that many processes may read at a time, or one change. A killed reader keeps nobody out.
//! * [`Semaphore`]: permits that processes hold. Those of the dead come back.
//! * [`CountingSemaphore`]: a number that anybody raises and anybody lowers. A death loses what it had taken.
//! * [`Event`]: a flag to wait for.
//! * [`Barrier`]: where threads of any processes wait for each other.
//! * [`Once`] and [`OnceCell`]: what is done, or made, by whichever process comes first.
//!
//! Two of these names are one letter from each other, and mean different things: an **`RLock`** is Python's, a lock without
//! data that its thread may take *again* (R as in *recursive*); an **`RwLock`** is `std`'s, a value that many may *read*. Of
//! the locks that one at a time has, this is the choice:
//!
//! | | guards a value | guards nothing: Python's |
//! | --- | --- | --- |
//! | taken once | [`Mutex`]: the guard gives `&mut T` | [`Lock`]: anybody may release it |
//! | taken again by its thread | [`ReentrantMutex`]: the guard gives a `&Cell<T>` | [`RLock`]: its thread releases it as often |
//!
//! The left column is for Rust: what is wrong with the data is remembered until somebody has answered for it. The right one
//! is for what comes from Python, and for code whose data lie elsewhere: a death is told once, to the next one.
//!
//! All lie in a [`Region`](shmkit_layout::Region) of whatever memory the processes share, and are used by a
//! *participant*, who is known to the others by an id and whose death they learn from the kernel: see
//! [`shmkit_roster`]. `examples/embedded_locks.rs` puts two of them into a mapping of its own.
//!
//! # In a mapping of your own
//!
//! This crate is the one dependency that it takes: [`layout`] and [`roster`] are passed on. Of the processes that share the
//! mapping one must *make* what lies there ([`Object::init`](layout::Object::init)), once, on bytes that are zero; all others
//! use it ([`Object::attach`](layout::Object::attach)), and not before. Which one that is, nothing here decides. Where a
//! parent makes all before it starts its children, it is decided. Where whoever comes first is to make it, this does,
//! whoever is killed at whatever instruction:
//!
//! 1. Open the file, creating it if need be, and take `flock(LOCK_EX)`, which ends with its holder. (It is no record lock:
//!    it does not get in the way of the roster's, nor they in its.)
//! 2. If a mark of yours stands at a place of its own in the file, say in its first 8 bytes, all is made: attach.
//! 3. If not, nobody uses the file: who was at it before you has died. Cut it to nothing and to its size again, which makes
//!    all bytes zero; map it, make the roster and join it, make the objects, and *then* write the mark.
//! 4. Let go of the lock.
//!
//! The mark is also where a version of your layout belongs: change it whenever you change what lies where.
//!
//! # Machines
//!
//! Below them are the machines, which hold no data and know no memory but their own words. They are what other
//! primitives are made of, and what `tests/loom` tries in every interleaving with a death before every step:
//!
//! * [`RawMutex`], [`RawReentrantMutex`] and [`RawLock`];
//! * [`RawSemaphore`];
//! * [`RawRwLock`];
//! * [`RawCondvar`], [`RawCountingSemaphore`], [`RawEvent`], [`RawBarrier`] and [`RawOnce`];
//! * [`Doorbell`]: something to sleep on until a condition is true that is stored elsewhere;
//! * [`HolderCell`]: who holds how many, in one word;
//! * [`Slices`]: how long to sleep before asking who is alive;
//! * [`Wait`]: what all that sleep here do between their sleeps, for who builds a machine of its own.
//!
//! [`FutexLock`] stands apart: four bytes, no roster, and **not robust**.
//!
//! # If a peer dies
//!
//! Killed at any instruction, it leaves every lock either free, or held by an id that everybody else can find dead.
//! Whoever sleeps wakes at the end of a slice, at most 32 ms long, and finds out, or one of those who sleep for the same
//! thing does for the others. A process that is merely stopped is alive, and keeps what it holds.
//!
//! "Within about 40 ms" is said of the usual [`Slices`]: a process that [sets](Slices::set_longest) longer ones takes
//! longer, and so may a crowd that most have just left (see there). Where nobody can tell whether an owner lives (a closed
//! descriptor of a file without a name), a wait ends in *cannot judge* after about a second, with a deadline or without. A
//! thread that ends and leaves a lock locked (a forgotten guard) holds it until its *process* dies, or frees it:
//! [`Mutex::force_unlock`], [`ReentrantMutex::force_unlock`], [`RLock::force_release`].
//!
//! # What this does not do
//!
//! A signal handler may call [`Event::set`] and [`Event::clear`], and nothing else here: it may have interrupted its own
//! thread in the middle of any operation, and would wait for itself. Nor may it fork there.
//!
//! No lock here is fair, and none is recursive unless it says so. There is no deadlock detection, but every wait can have
//! a deadline. Locks are held by processes, not by threads, unless they say so. A participant that lies about who is dead
//! ([`Judge`](shmkit_roster::Judge)), or a peer that writes to a word without the right to, breaks exclusion.
//!
//! # Features
//!
//! * `serde`: handles whose objects lie in a segment are values that travel to other processes, in parcels.
//! * `lock_api`: implements `lock_api::RawMutex` and `RawMutexTimed` for [`FutexLock`], for who wants data and guards but no
//!   roster.

mod barrier;
#[cfg(not(loom))]
mod beside;
mod condvar;
mod counting;
#[cfg(loom)]
pub mod crash;
mod doorbell;
mod error;
mod event;
#[cfg(not(loom))]
mod facts;
mod futex_lock;
#[cfg(not(loom))]
mod held;
mod holder;
#[cfg(not(loom))]
mod idle;
#[cfg(not(loom))]
mod io;
mod lock;
mod mutex;
mod once;
mod outcome;
mod patience;
mod reentrant;
mod rwlock;
mod seats;
mod semaphore;
mod slices;
mod spin;
mod wait;
mod watch;
#[cfg(not(loom))]
mod who;
mod word;

pub use crate::barrier::{
    cell::BarrierCell,
    error::{ActionError, BarrierError},
    raw::{BarrierFrame, RawBarrier},
};
pub use crate::condvar::{
    error::{NotifyError, Unwaited, WaitError, Wakeup},
    monitor::Monitor,
    raw::RawCondvar,
    sleepers::{CondvarFrame, SleeperCell},
};
pub use crate::counting::raw::{CountingError, RawCountingSemaphore};
pub use crate::doorbell::{Armed, Doorbell};
pub use crate::error::{
    Guard, LockError, LockFailure, NotOwner, ReleaseError, SemaphoreError, UnlockError,
};
pub use crate::event::raw::{EventError, RawEvent};
pub use crate::futex_lock::FutexLock;
pub use crate::holder::{HolderCell, Holding};
pub use crate::lock::raw::RawLock;
pub use crate::mutex::raw::RawMutex;
pub use crate::once::raw::{OnceError, RawOnce, Turn};
pub use crate::outcome::{Acquired, Outcome};
pub use crate::patience::{GivenUp, Patience};
pub use crate::reentrant::raw::RawReentrantMutex;
pub use crate::rwlock::raw::{RawRwLock, Reading, RwLockFrame};
pub use crate::seats::{Seated, Seating};
pub use crate::semaphore::frame::SemaphoreFrame;
pub use crate::semaphore::raw::RawSemaphore;
pub use crate::slices::Slices;
pub use crate::spin::Spin;
pub use crate::wait::Wait;
pub use crate::watch::Watch;
#[cfg(not(loom))]
pub use crate::{
    barrier::{
        handle::{Barrier, Parties},
        party::Party,
    },
    condvar::{
        handle::{Condvar, WaitResult},
        waitable::Waitable,
    },
    counting::handle::{Count, CountingSemaphore},
    event::handle::Event,
    facts::facts,
    lock::{
        handle::{Lock, LockGuard},
        rlock::{RLock, RLockGuard},
    },
    mutex::{
        guard::{MappedMutexGuard, MutexGuard, OwnedMutexGuard},
        handle::{LockResult, Mutex},
    },
    once::{
        cell::{InitError, OnceCell},
        handle::{Once, OnceState},
    },
    reentrant::{
        guard::{OwnedReentrantMutexGuard, ReentrantMutexGuard},
        handle::{ReentrantLockResult, ReentrantMutex},
    },
    rwlock::{
        guard::{
            MappedRwLockReadGuard, MappedRwLockWriteGuard, OwnedRwLockReadGuard,
            OwnedRwLockWriteGuard, RwLockReadGuard, RwLockWriteGuard,
        },
        handle::{ReadResult, RwLock, WriteResult},
    },
    semaphore::handle::{OwnedPermit, Permit, Semaphore},
};
/// What may lie in shared memory, and where: regions, offsets, types.
#[doc(no_inline)]
pub use shmkit_layout as layout;
/// Who takes part, and who of them is alive.
#[doc(no_inline)]
pub use shmkit_roster as roster;
pub use shmkit_roster::ThreadToken;
