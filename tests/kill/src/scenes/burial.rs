//! Scenes of items that are given up: whoever is killed while it buries one, there is one dead letter, whole, and no memory is lost.

use std::mem;

use shmkit_layout::Object;
use shmkit_queue::{MessageQueue, MessageSpec, Queue, QueueError, QueueSpec};

use super::account::{self, begin};
use super::ring::{Item, item, number};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene};

const CAPACITY: u64 = 2;
/// Bytes of the messages' heap, tables included.
const BYTES: u64 = 64 << 10;
/// Bytes of the message: in a block.
const LENGTH: usize = 300;
/// The item with which one has died, which is enough.
const POISON: u64 = 7;

type Items<'a> = Queue<Item, Me<'a>>;
type Messages<'a> = MessageQueue<Me<'a>>;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let about =
        "an item with which one has died is buried, and who does it killed: there is one letter";
    let items = Scene::new("queue/bury", about, 100, |stage, point| {
        let arena = Arena::new()?;
        let spec = QueueSpec::new(CAPACITY).give_up_after(1);
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Queue::<Item, _>::init(arena.object(), spec, &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
        let poisoned = |_: &Actor<'_>| {
            with_items(&arena, |queue| {
                queue.put(item(POISON)).map_err(|e| hung(e.error))?;
                mem::forget(queue.take().map_err(hung)?); // Its process ends with it.
                Ok(())
            })
        };
        stage.cast(4, &poisoned)?.finish()?;
        let buries = |actor: &Actor<'_>| {
            with_items(&arena, |queue| {
                actor.mark();
                queue.join().map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survives = |actor: &Actor<'_>| {
            with_items(&arena, |queue| {
                begin(actor)?;
                queue.join_timeout(LIMIT).map_err(hung)?;
                actor.through();
                Ok(())
            })
        };
        let end = |_: &Actor<'_>| {
            with_items(&arena, |queue| {
                queue.join_timeout(LIMIT).map_err(hung)?;
                let letters = queue.dead_letters().ok_or(Fault::broken("it gives up"))?;
                // Of who was killed on the way there may be half of one before it, until somebody looks.
                let letter = letters.get_timeout(LIMIT).map_err(hung)?;
                one(number(letter)?, letters.try_get().map(drop))?;
                lost(queue.stats().lost)
            })
        };
        account::play(stage, point, None, (&buries, &survives, &end))
    });
    let messages = Scene::new("message/bury", about, 100, |stage, point| {
        let arena = Arena::new()?;
        let spec = MessageSpec::new(CAPACITY, BYTES).give_up_after(1);
        // SAFETY: as above.
        let made = unsafe { MessageQueue::init(arena.object(), spec, &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
        let poisoned = |_: &Actor<'_>| {
            with_messages(&arena, |queue| {
                queue.put(&[POISON as u8; LENGTH]).map_err(hung)?;
                mem::forget(queue.take().map_err(hung)?);
                Ok(())
            })
        };
        stage.cast(4, &poisoned)?.finish()?;
        let buries = |actor: &Actor<'_>| {
            with_messages(&arena, |queue| {
                actor.mark();
                queue.join().map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survives = |actor: &Actor<'_>| {
            with_messages(&arena, |queue| {
                begin(actor)?;
                queue.join_timeout(LIMIT).map_err(hung)?;
                actor.through();
                Ok(())
            })
        };
        let end = |_: &Actor<'_>| {
            with_messages(&arena, |queue| {
                queue.join_timeout(LIMIT).map_err(hung)?;
                let letters = queue.dead_letters().ok_or(Fault::broken("it gives up"))?;
                let letter = letters.get_timeout(LIMIT).map_err(hung)?;
                if letter != [POISON as u8; LENGTH] {
                    return Err(Fault::torn(format!("a letter of {} bytes", letter.len())));
                }
                one(POISON, letters.try_get().map(drop))?;
                lost(queue.stats().lost)?;
                // What is left in empty slots goes when the memory is needed.
                let all = vec![9; queue.max_len() as usize];
                queue.put_timeout(&all, LIMIT).map_err(hung)?;
                queue.try_take().map_err(hung)?.done().map_err(hung)?;
                let account = queue.heap().check().map_err(|e| Fault::broken(e.to_string()))?;
                match (account.kept_blocks, account.reserved_blocks) {
                    (0, 0) if account.is_complete() => Ok(()),
                    _ => Err(Fault::leaked(account.to_string())),
                }
            })
        };
        account::play(stage, point, None, (&buries, &survives, &end))
    });
    vec![items, messages]
}

/// It is the one letter, and there is no other.
fn one(found: u64, another: Result<(), QueueError>) -> Result<(), Fault> {
    match another {
        Err(QueueError::Empty) if found == POISON => Ok(()),
        other => Err(Fault::torn(format!("letter {found}, and then {other:?}"))),
    }
}

fn lost(lost: u64) -> Result<(), Fault> {
    if lost == 0 { Ok(()) } else { Err(Fault::torn(format!("{lost} are lost"))) }
}

fn hung(error: QueueError) -> Fault {
    Fault::hung(error.to_string())
}

fn with_items(
    arena: &Arena,
    then: impl FnOnce(&Items<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made a queue of this type and capacity here.
    let queue = unsafe { Queue::attach(arena.object(), CAPACITY, &me) };
    then(&queue.map_err(|e| Fault::broken(e.to_string()))?)
}

fn with_messages(
    arena: &Arena,
    then: impl FnOnce(&Messages<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: as above.
    let queue = unsafe { MessageQueue::attach(arena.object(), CAPACITY, &me) };
    then(&queue.map_err(|e| Fault::broken(e.to_string()))?)
}
