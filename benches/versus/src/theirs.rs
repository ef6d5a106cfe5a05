//! Their primitives in memory that a child shares.

use anyhow::{Result, anyhow};
use raw_sync::events::{Event, EventImpl, EventInit};
use raw_sync::locks::{LockImpl, LockInit, Mutex};
use shmkit_benches::Shared;

/// Room for one primitive and its padding: a line of its own.
#[repr(C, align(128))]
pub(crate) struct Room([u8; 512]);

/// Their error is no `std::error::Error` that can be sent to another thread.
pub(crate) fn failed(error: Box<dyn std::error::Error>) -> anyhow::Error {
    anyhow!("{error}")
}

pub(crate) fn mutex() -> Result<Box<dyn LockImpl>> {
    // SAFETY: bytes.
    let room: &'static Shared<Room> = Box::leak(Box::new(unsafe { Shared::new() }?));
    let at = room.get().cast::<u8>();
    // SAFETY: the data lie in the second half of the room.
    let data = unsafe { at.add(256) };
    // SAFETY: zeroed memory, mapped for good, larger than their mutex.
    let (mutex, _) = unsafe { Mutex::new(at, data) }.map_err(failed)?;
    Ok(mutex)
}

pub(crate) fn event() -> Result<Box<dyn EventImpl>> {
    // SAFETY: bytes.
    let room: &'static Shared<Room> = Box::leak(Box::new(unsafe { Shared::new() }?));
    // SAFETY: zeroed memory, mapped for good, larger than their event. It resets itself after one wait.
    let (event, _) = unsafe { Event::new(room.get().cast(), true) }.map_err(failed)?;
    Ok(event)
}
