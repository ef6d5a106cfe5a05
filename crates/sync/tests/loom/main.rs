//! Every interleaving of a few participants, and a death before every step of one of them.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release -p shmkit-sync --test loom`
//!
//! `seeded.rs` shows that these models can fail: it runs them again as child processes, each with a fault in the
//! machine or in the use of it.
#![cfg(loom)]

mod barrier;
mod condvar;
mod counting;
mod doorbell;
mod event;
mod futex_lock;
mod lock;
mod mutex;
mod once;
mod reentrant;
mod rwlock;
mod seeded;
mod semaphore;

use std::sync::Mutex;

use shmkit_sync::crash::{self, Lives};

/// Tries every interleaving of `scene`, with two preemptions unless `LOOM_MAX_PREEMPTIONS` says otherwise.
fn model(scene: impl Fn() + Send + Sync + 'static) {
    check(usize::MAX, scene);
}

fn check(most_preemptions: usize, scene: impl Fn() + Send + Sync + 'static) {
    seeded::seed();
    let mut builder = loom::model::Builder::new();
    let preemptions = builder.preemption_bound.unwrap_or(2);
    builder.preemption_bound = Some(preemptions.min(most_preemptions));
    builder.check(scene);
}

/// Tries every interleaving of `scene` for every number of steps that one participant survives. The scene gets this
/// number, and says so if that participant died.
fn with_every_crash(name: &str, scene: impl Fn(u32, &Lives) + Send + Sync + 'static) {
    with_every_crash_and(name, usize::MAX, scene);
}

/// The same with a bound of its own, for the largest scenes.
fn with_every_crash_and(
    name: &str,
    most_preemptions: usize,
    scene: impl Fn(u32, &Lives) + Send + Sync + 'static,
) {
    seeded::seed();
    crash::everywhere(name, most_preemptions, scene);
}

/// How many are inside, for scenes that limit them. Not loom's atomics: it is the observer, not the observed.
#[derive(Debug, Default)]
struct Inside(Mutex<Vec<u32>>);

impl Inside {
    fn enter(&self, who: u32, limit: usize) {
        let mut inside = self.0.lock().unwrap();
        inside.push(who);
        assert!(inside.len() <= limit, "{inside:?} are inside, where {limit} may be");
    }

    fn leave(&self, who: u32) {
        self.0.lock().unwrap().retain(|&w| w != who);
    }
}
