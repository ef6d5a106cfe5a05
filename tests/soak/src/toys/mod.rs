//! The primitives, each with a way to use it at random and the invariant that must hold.

mod barrier;
mod broadcast;
mod cell;
mod collections;
mod condvar;
mod connection;
mod counting;
mod event;
mod frames;
mod lock;
mod message;
mod messages;
mod mutex;
mod once;
mod ordered;
mod pipe;
mod rwlock;
mod semaphore;
mod together;

use std::time::Duration;

use anyhow::Result;
use shmkit::{Overrun, Segment};

use crate::witness::Me;

/// Longer than anybody holds anything: who waits so long in vain is hanging.
pub(crate) const LONG: Duration = Duration::from_secs(10);
/// How long to wait for what need not come.
pub(crate) const SHORT: Duration = Duration::from_millis(4);

/// A primitive in use.
pub(crate) trait Toy {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Uses it once, as number `n` of the toys.
    fn play(&self, me: Me<'_>, n: usize, random: &mut fastrand::Rng) -> Result<(), String>;

    /// Whether all is free and whole, when everybody who used it is dead.
    fn look_at_what_is_left(&self) -> Result<(), String> {
        Ok(())
    }

    /// How long a use may wait on purpose.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }
}

/// Makes or finds all of them.
pub(crate) fn all(segment: &Segment) -> Result<Vec<Box<dyn Toy + '_>>> {
    Ok(vec![
        Box::new(mutex::Locked::new(segment)?),
        Box::new(lock::Plain::new(segment)?),
        Box::new(lock::Again::new(segment)?),
        Box::new(lock::Reentrant::new(segment)?),
        Box::new(rwlock::Shared::new(segment)?),
        Box::new(semaphore::Owned::new(segment)?),
        Box::new(counting::Bounded::new(segment)?),
        Box::new(event::Pulsing::new(segment)?),
        Box::new(barrier::Meeting::new(segment)?),
        Box::new(condvar::Store::new(segment)?),
        Box::new(once::Cells::new(segment)?),
        Box::new(cell::Whole::new(segment)?),
        Box::new(cell::Elements::new(segment)?),
        Box::new(collections::Row::new(segment)?),
        Box::new(collections::Latest::new(segment)?),
        Box::new(collections::Entries::new(segment)?),
        Box::new(collections::Blocks::new(segment)?),
        Box::new(together::Seen::new(segment)?),
        Box::new(together::Bank::new(segment)?),
        Box::new(together::Several::new(segment)?),
        Box::new(pipe::Sending::new(segment)?),
        Box::new(pipe::Receiving::new(segment)?),
        Box::new(broadcast::Publishing::new(segment, Overrun::Wait)?),
        Box::new(broadcast::Subscribing::new(segment, Overrun::Wait)?),
        Box::new(broadcast::Publishing::new(segment, Overrun::Skip)?),
        Box::new(broadcast::Subscribing::new(segment, Overrun::Skip)?),
        Box::new(frames::Sending::new(segment)?),
        Box::new(frames::Receiving::new(segment)?),
        Box::new(messages::Items::new(segment)?),
        Box::new(messages::Messages::new(segment)?),
        Box::new(connection::Serving::new()),
        Box::new(connection::Calling::new()),
        Box::new(ordered::Stack::new(segment)?),
        Box::new(ordered::Priorities::new(segment)?),
    ])
}

/// What an operation failed with that must not fail.
pub(crate) fn failed(what: &str, error: impl std::fmt::Display) -> String {
    format!("{what}: {error}")
}

/// Keeps what is held for a moment: nothing, some instructions, or a system call.
pub(crate) fn linger(random: &mut fastrand::Rng) {
    match random.u8(..16) {
        0 => std::thread::yield_now(),
        1..4 => (0..random.u32(..2000)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
}
