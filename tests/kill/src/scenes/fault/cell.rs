//! A value that is written in place: whole only if nobody dies.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Deadline;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Offset;
use shmkit_sync::RawMutex;

use crate::scenes::cell::{Kind, Wide, begin, check};
use crate::{Arena, Fault};

pub(crate) const IN_PLACE: Kind = Kind {
    name: "in-place",
    about: "a value that is written in place",
    floor: 20,
    make: |arena| {
        let (_, words) = place(arena)?;
        words.iter().for_each(|word| word.store(1, Relaxed));
        Ok(())
    },
    write: |arena, actor| {
        let me = arena.join()?;
        let (mutex, words) = place(arena)?;
        actor.mark();
        mutex.lock(&me, Deadline::NEVER).map_err(|e| Fault::hung(e.to_string()))?;
        words.iter().for_each(|word| word.store(2, Relaxed));
        // SAFETY: taken above; the slots are written by copies.
        unsafe { mutex.unlock(&me) }.map_err(|e| Fault::broken(e.to_string()))?;
        actor.mark();
        Ok(())
    },
    read: |arena, actor| {
        let me = arena.join()?;
        let (mutex, words) = place(arena)?;
        begin(actor)?;
        // The mistake: whatever the outcome, the words are taken for whole.
        mutex.lock(&me, Deadline::NEVER).map_err(|e| Fault::hung(e.to_string()))?;
        let found: Wide = std::array::from_fn(|i| words[i].load(Relaxed));
        let checked = check(found);
        words.iter().for_each(|word| word.store(3, Relaxed));
        // SAFETY: taken above; the slots are written by copies.
        unsafe { mutex.unlock(&me) }.map_err(|e| Fault::broken(e.to_string()))?;
        actor.through();
        checked
    },
};

fn place(arena: &Arena) -> Result<(&RawMutex, &[AtomicU64]), Fault> {
    let object = arena.object();
    let words = Offset::new(64).and_then(|at| object.slice(at, 8));
    match (object.get(Offset::ZERO), words) {
        (Ok(mutex), Ok(words)) => Ok((mutex, words)),
        (Err(e), _) | (_, Err(e)) => Err(Fault::broken(e.to_string())),
    }
}
