//! A queue of messages, in slots and in blocks: one passes some through it while another does, and two bury one that is given up.

use shmkit_layout::Object;
use shmkit_queue::{MessageQueue, MessageSpec, QueueError};

use super::{Op, Race, Turn};
use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault};

const CAPACITY: u64 = 3;
/// Bytes of the heap, tables included.
const BYTES: u64 = 64 << 10;
/// Bytes of the messages: in a slot, and in a block.
const LENGTHS: [usize; 2] = [40, 200];
/// What one has died with.
const POISON: u8 = 7;

pub(super) const MESSAGES: Race = Race {
    name: "messages",
    make: |arena| make(arena, MessageSpec::new(CAPACITY, BYTES)),
    ops: &[
        Op { name: "pass-small", run: |arena, turn| pass(arena, turn, LENGTHS[0], 1) },
        Op { name: "pass-large", run: |arena, turn| pass(arena, turn, LENGTHS[1], 1) },
        Op { name: "pass-many", run: |arena, turn| pass(arena, turn, LENGTHS[1], 6) },
    ],
    pairs: &[(0, 2), (1, 1), (1, 2), (2, 1)],
    judge: |arena, _| {
        open(arena, |queue| {
            if queue.try_get() != Err(QueueError::Empty) {
                return Err(Fault::torn("something is left of what was put and taken"));
            }
            whole(queue)
        })
    },
};

pub(super) const LETTERS: Race = Race {
    name: "letters",
    make: |arena| {
        make(arena, MessageSpec::new(CAPACITY, BYTES).give_up_after(1))?;
        // Who leaves with it is dead to all others.
        open(arena, |queue| {
            queue.put(&[POISON; LENGTHS[1]]).map_err(hung)?;
            std::mem::forget(queue.take().map_err(hung)?);
            Ok(())
        })
    },
    ops: &[Op { name: "bury", run: bury }],
    pairs: &[(0, 0)],
    judge: |arena, _| {
        open(arena, |queue| {
            let letters = queue.dead_letters().ok_or(Fault::broken("it gives up"))?;
            let all: Vec<Vec<u8>> = std::iter::from_fn(|| letters.try_get().ok()).collect();
            if all != [[POISON; LENGTHS[1]]] {
                return Err(Fault::torn(format!("{} letters", all.len())));
            }
            whole(queue)
        })
    },
};

fn make(arena: &Arena, spec: MessageSpec) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { MessageQueue::init(arena.object(), spec, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

/// Puts so many and takes as many, one by one.
fn pass(arena: &Arena, turn: &Turn<'_, '_>, len: usize, count: u8) -> Result<(), Fault> {
    open(arena, |queue| {
        turn.begin()?;
        for number in 0..count {
            queue.put(&vec![number; len]).map_err(hung)?;
            let found = queue.take().map_err(hung)?;
            let first = *found.first().unwrap_or(&count);
            if found.iter().any(|byte| *byte != first) {
                return Err(Fault::torn("two messages in one"));
            }
            found.done().map_err(hung)?;
        }
        turn.end();
        Ok(())
    })
}

/// Waits until all is done, and finds a message with which one has died.
fn bury(arena: &Arena, turn: &Turn<'_, '_>) -> Result<(), Fault> {
    open(arena, |queue| {
        turn.begin()?;
        queue.join().map_err(hung)?;
        turn.end();
        Ok(())
    })
}

/// All memory is there.
fn whole(queue: &MessageQueue<Me<'_>>) -> Result<(), Fault> {
    let all = vec![9; queue.max_len() as usize];
    queue.try_put(&all).map_err(hung)?;
    queue.try_take().map_err(hung)?.done().map_err(hung)?;
    let account = queue.heap().check().map_err(|e| Fault::broken(e.to_string()))?;
    match (account.kept_blocks, account.reserved_blocks) {
        (0, 0) if account.is_complete() => Ok(()),
        _ => Err(Fault::leaked(account.to_string())),
    }
}

fn hung(error: QueueError) -> Fault {
    Fault::hung(error.to_string())
}

fn open(
    arena: &Arena,
    then: impl FnOnce(&MessageQueue<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a queue of this capacity here.
    let queue = unsafe { MessageQueue::attach(arena.object(), CAPACITY, &me) };
    then(&queue.map_err(|e| Fault::broken(e.to_string()))?)
}
