//! What the bytes of a lock say of it, for who looks without taking part.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Facts, Offset, Region, Shape, Shared};

use crate::barrier::raw::BROKEN;
use crate::{
    BarrierCell, BarrierFrame, RawBarrier, RawCountingSemaphore, RawEvent, RawMutex, RawOnce,
    RwLockFrame, SemaphoreFrame,
};

/// Returns what the bytes of an object of this crate say of its state; nothing of other kinds, and of bytes that are too few.
/// `region` begins at the object's first byte; a copy will do.
pub fn facts(shape: &Shape, region: Region<'_>) -> Option<Facts> {
    match shape.kind.name() {
        "mutex" | "lock" | "rlock" | "remutex" => Some(first::<RawMutex>(region)?.facts()),
        "rwlock" => Some(first::<RwLockFrame>(region)?.facts()),
        "sema" => {
            let frame = first::<SemaphoreFrame>(region)?;
            let facts = Facts::new().say("free permits", frame.free()).say("of", frame.permits());
            Some(facts.say("waiting about", frame.waiting()))
        }
        "counting" => {
            let semaphore = first::<RawCountingSemaphore>(region)?;
            Some(Facts::new().say("value", semaphore.value()).say("bound", semaphore.bound()))
        }
        "event" => Some(Facts::new().say("set", first::<RawEvent>(region)?.is_set())),
        "barrier" => {
            let frame = first::<BarrierFrame>(region)?;
            let broken = frame.word.load(Relaxed) & BROKEN != 0;
            let facts = Facts::new().say("parties", frame.parties()).say("broken", broken);
            let at = Offset::new(size_of::<BarrierFrame>() as u64).ok()?;
            // Where not all cells were copied, nothing is said of them.
            let cells = region.slice::<BarrierCell>(at, frame.parties() as usize);
            Some(match cells {
                Ok(cells) => facts.say("arrived", RawBarrier::new(frame, cells).n_waiting()),
                Err(_) => facts,
            })
        }
        "once" | "oncecell" => {
            let once = first::<RawOnce>(region)?;
            Some(Facts::new().say("done", once.is_ready()).say("failures", once.failures()))
        }
        _ => None,
    }
}

/// What an object begins with.
fn first<T: Shared>(region: Region<'_>) -> Option<&T> {
    region.get(Offset::ZERO).ok()
}
