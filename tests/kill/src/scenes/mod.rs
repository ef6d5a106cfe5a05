//! The scenes.

mod account;
mod barrier;
mod broadcast;
mod burial;
mod cell;
mod condvar;
mod condvar_heirs;
mod counting;
mod directory;
mod era;
mod event;
pub mod fault;
mod frames;
pub mod glibc;
mod heap;
mod life;
mod list;
mod lock;
mod locks;
mod map;
mod message;
mod office;
mod once;
mod ordered;
pub mod pause;
mod pool;
mod pool_parent;
mod python;
mod queue;
pub mod random;
mod ring;
mod ring_copy;
mod ring_handover;
mod ring_heirs;
mod ring_session;
mod rows;
mod rwlock;
mod semaphore;
mod seq;
mod set;
mod snapshot;
mod tracker;
mod transaction;
mod transaction_set;

use crate::Scene;

/// Returns every scene whose kill points are counted, in the order of the report.
pub fn all() -> Vec<Scene> {
    let mut all = Vec::new();
    all.extend(lock::scenes(locks::MUTEX));
    all.extend(lock::scenes(locks::SEMAPHORE));
    all.extend(python::scenes());
    all.extend(condvar::scenes());
    all.extend(condvar_heirs::scenes());
    all.extend(rwlock::scenes());
    all.extend(semaphore::scenes());
    all.extend(rows::scenes());
    all.extend(counting::scenes());
    all.extend(event::scenes());
    all.extend(barrier::scenes());
    all.extend(once::scenes());
    all.extend(cell::scenes());
    all.extend(snapshot::scenes());
    all.extend(transaction::scenes());
    all.extend(transaction_set::scenes());
    all.extend(ring::scenes());
    all.extend(frames::scenes());
    all.extend(queue::scenes());
    all.extend(message::scenes());
    all.extend(burial::scenes());
    all.extend(broadcast::scenes());
    all.extend(ordered::scenes());
    all.extend(pool::scenes());
    all.extend(pool_parent::scenes());
    all.extend(heap::scenes());
    all.extend(map::scenes());
    all.extend(set::scenes());
    all.extend(seq::scenes());
    all.extend(list::scenes());
    all.extend(directory::scenes());
    all.extend(era::scenes());
    all.extend(life::scenes());
    all.extend(tracker::scenes());
    all
}
