//! A queue through which one passes an item while another passes several, over more than one lap.

use shmkit_layout::Object;
use shmkit_queue::{Queue, QueueError};

use super::{Op, Race, Turn};
use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault};

/// One of each who passes some, and one more.
const CAPACITY: u64 = 3;
/// Three laps.
const MANY: u64 = 9;
/// The first that is put.
const FIRST: u64 = 100;

pub(super) const QUEUE: Race = Race {
    name: "queue",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Queue::<u64, _>::init(arena.object(), CAPACITY.into(), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))
    },
    ops: &[
        Op { name: "pass", run: |arena, turn| pass(arena, turn, 1) },
        Op { name: "pass-many", run: |arena, turn| pass(arena, turn, MANY) },
        Op { name: "put-two", run: batch },
    ],
    pairs: &[(0, 0), (0, 1), (2, 1)],
    judge: |arena, _| {
        open(arena, |queue| {
            let mut left = 0;
            while queue.try_get().is_ok() {
                left += 1;
            }
            if left != 0 {
                return Err(Fault::torn(format!("{left} are left of what was put and taken")));
            }
            (0..CAPACITY)
                .try_for_each(|number| queue.try_put(number))
                .map_err(|e| hung(e.error))?;
            for number in 0..CAPACITY {
                let found = queue.try_get().map_err(hung)?;
                if found != number {
                    return Err(Fault::torn(format!("{found} instead of {number}")));
                }
            }
            Ok(())
        })
    },
};

/// Puts so many and takes as many, one by one.
fn pass(arena: &Arena, turn: &Turn<'_, '_>, count: u64) -> Result<(), Fault> {
    open(arena, |queue| {
        turn.begin()?;
        for number in 0..count {
            queue.put(FIRST + number).map_err(|e| hung(e.error))?;
            queue.get().map_err(hung)?;
        }
        turn.end();
        Ok(())
    })
}

/// The same with two at a time.
fn batch(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    open(arena, |queue| {
        turn.begin()?;
        queue.put_all(&[FIRST, FIRST + 1]).map_err(|e| hung(e.error))?;
        let (mut got, mut batch) = (0, [0; 2]);
        while got < 2 {
            got += queue.get_batch(&mut batch[got..]).map_err(hung)?;
        }
        turn.end();
        Ok(())
    })
}

fn hung(error: QueueError) -> Fault {
    Fault::hung(error.to_string())
}

fn open(
    arena: &Arena,
    then: impl FnOnce(Queue<u64, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a queue of this type and capacity here.
    let queue = unsafe { Queue::attach(arena.object(), CAPACITY, &me) };
    then(queue.map_err(|e| Fault::broken(e.to_string()))?)
}
