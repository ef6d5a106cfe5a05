//! Scenes of queues with an order of their own: whoever is killed, no item is torn, none that was accepted is lost, and what
//! is left is in order.

use std::ops::RangeInclusive;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Object;
use shmkit_queue::{ByPriority, NewestFirst, Order, OrderedQueue, PutError, QueueError};

use super::account::{GO, USING, begin};
use super::ring::{Item, item, number};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene, Spread, Stage, Take, Unit};

type Queue<'a, O> = OrderedQueue<Item, O, Me<'a>>;

const CAPACITY: u64 = 6;
/// Items that the victim puts one by one, and then in a batch.
const SINGLES: u64 = 2;
const BATCH: u64 = 2;
/// What one puts who dies before it.
const FIRST: u64 = 11;
/// What another one puts.
const LATER: u64 = 21;

/// [`Sheet::words`](crate::Sheet): a bit for each item that the victim has put.
const FINISHED: usize = 0;
/// A bit for each item that a victim has got.
const SEEN: usize = 1;
/// A bit for each item that a survivor got.
const GOT: usize = 2;
/// How many items are lost at most if the victim dies now.
const LOSES: usize = 3;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![
        put::<ByPriority>("priority", None),
        put::<ByPriority>("priority", Some(Spread(400))),
        get::<ByPriority>("priority", None),
        get::<ByPriority>("priority", Some(Spread(400))),
        put::<NewestFirst>("lifo", None),
        get::<NewestFirst>("lifo", None),
        asleep(),
    ]
}

/// An item that comes the earlier the later it was put, in either order.
fn of<O: Order>(number: u64) -> O::Item<Item> {
    O::join(-number.cast_signed(), item(number))
}

fn number_of<O: Order>(found: &O::Item<Item>) -> Result<u64, Fault> {
    number(*O::split(found).1)
}

/// Who puts is killed, maybe after another who did; another one puts, and a third finds all in order.
fn put<O: Order>(name: &str, before: Option<Spread>) -> Scene {
    let heir = if before.is_some() { "+heir" } else { "" };
    let about = "put and batch killed; another one puts, and all comes whole, once and in order";
    Scene::new(format!("{name}/put{heir}"), about, 150, move |stage, point| {
        let arena = Arena::new()?;
        make::<O>(&arena)?;
        let first = |actor: &Actor<'_>| {
            with_queue::<O>(&arena, |queue| {
                actor.mark();
                queue.try_put(of::<O>(FIRST)).map_err(unput)?;
                actor.mark();
                Ok(())
            })
        };
        let user = |actor: &Actor<'_>| {
            with_queue::<O>(&arena, |queue| {
                actor.mark();
                for number in 1..=SINGLES {
                    queue.try_put(of::<O>(number)).map_err(unput)?;
                    note(actor, FINISHED, number);
                }
                let batch = [of::<O>(SINGLES + 1), of::<O>(SINGLES + BATCH)];
                queue.try_put_batch(&batch).map_err(hung)?;
                (SINGLES + 1..=SINGLES + BATCH).for_each(|number| note(actor, FINISHED, number));
                actor.mark();
                Ok(())
            })
        };
        if let Some(spread) = before {
            stage.dead(3, &first, spread.at(point))?;
        }
        let mut victim = stage.victim(0, &user)?;
        let other = stage.cast(2, &|actor| {
            with_queue::<O>(&arena, |queue| {
                begin(actor)?;
                queue.put_timeout(of::<O>(LATER), LIMIT).map_err(unput)?;
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        other.cue(GO);
        let other = other.finish()?;
        let end = |actor: &Actor<'_>| {
            with_queue::<O>(&arena, |queue| {
                let (mut got, mut last) = (0, u64::MAX);
                while let Ok(found) = queue.try_get() {
                    let number = number_of::<O>(&found)?;
                    if number >= last {
                        return Err(Fault::torn(format!("{number} after {last}")));
                    }
                    got |= bit(number);
                    last = number;
                }
                let put = actor.sheet().words[FINISHED].load(Relaxed) | bit(LATER);
                let possible = bits(1..=SINGLES + BATCH) | bit(FIRST) | bit(LATER);
                if put & !got != 0 || got & !possible != 0 || !queue.is_empty() {
                    return Err(Fault::torn(format!("{got:b} came of {put:b}")));
                }
                actor.through();
                Ok(())
            })
        };
        Ok(Take::new(reached, killed, [other, stage.cast(4, &end)?.finish()?]))
    })
}

/// Who takes is killed, maybe after another who did; others take the rest, and put more into a queue that was full.
fn get<O: Order>(name: &str, before: Option<Spread>) -> Scene {
    let heir = if before.is_some() { "+heir" } else { "" };
    let about = "get and batch killed; the rest comes whole and once, and there is room";
    Scene::new(format!("{name}/get{heir}"), about, 150, move |stage, point| {
        let arena = Arena::new()?;
        make::<O>(&arena)?;
        fill::<O>(stage, &arena, 1..=CAPACITY)?;
        let user = |actor: &Actor<'_>| {
            with_queue::<O>(&arena, |queue| {
                actor.mark();
                losing(actor, 1, || {
                    note(actor, SEEN, number_of::<O>(&queue.get().map_err(hung)?)?);
                    Ok(())
                })?;
                losing(actor, BATCH, || {
                    let mut batch = [of::<O>(0), of::<O>(0)];
                    let count = queue.get_batch(&mut batch).map_err(hung)?;
                    for found in &batch[..count] {
                        note(actor, SEEN, number_of::<O>(found)?);
                    }
                    Ok(())
                })?;
                actor.mark();
                Ok(())
            })
        };
        if let Some(spread) = before {
            stage.dead(3, &user, spread.at(point))?;
        }
        let mut victim = stage.victim(0, &user)?;
        let putter = stage.cast(2, &|actor| {
            with_queue::<O>(&arena, |queue| {
                begin(actor)?;
                queue.put_timeout(of::<O>(LATER), LIMIT).map_err(unput)?;
                queue.close().map_err(hung)?;
                actor.through();
                Ok(())
            })
        })?;
        let taker = stage.cast(1, &|actor| {
            with_queue::<O>(&arena, |queue| {
                begin(actor)?;
                loop {
                    let found = match queue.get_timeout(LIMIT) {
                        Ok(found) => number_of::<O>(&found)?,
                        Err(QueueError::Closed) => break,
                        Err(other) => return Err(hung(other)),
                    };
                    if actor.sheet().words[GOT].load(Relaxed) & bit(found) != 0 {
                        return Err(Fault::torn(format!("{found} came twice")));
                    }
                    note(actor, GOT, found);
                }
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        putter.cue(GO);
        taker.cue(GO);
        let through = [putter.finish()?, taker.finish()?];
        let end = |actor: &Actor<'_>| {
            let [seen, got, loses] =
                [SEEN, GOT, LOSES].map(|at| actor.sheet().words[at].load(Relaxed));
            let put = bits(1..=CAPACITY) | bit(LATER);
            let lost = put & !(got | seen);
            if got & !put != 0 || got & seen != 0 || u64::from(lost.count_ones()) > loses {
                return Err(Fault::torn(format!("{got:b} came, and the dead had seen {seen:b}")));
            }
            Ok(())
        };
        stage.cast(4, &end)?.finish()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// Who puts is killed; who sleeps in a get has it, or what another one puts.
fn asleep() -> Scene {
    let about = "put killed; who sleeps gets what was put, by it or by another";
    Scene::new("lifo/put+sleeper", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make::<NewestFirst>(&arena)?;
        let mut taker = stage.cast(1, &|actor| {
            with_queue::<NewestFirst>(&arena, |queue| {
                begin(actor)?;
                number(queue.get_timeout(LIMIT).map_err(hung)?)?;
                actor.through();
                Ok(())
            })
        })?;
        taker.cue(GO);
        taker.await_asleep(USING)?;
        let mut victim = stage.victim(0, &|actor| {
            with_queue::<NewestFirst>(&arena, |queue| {
                actor.mark();
                queue.put(item(1)).map_err(unput)?;
                note(actor, FINISHED, 1);
                actor.mark();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let other = stage.cast(2, &|actor| {
            with_queue::<NewestFirst>(&arena, |queue| {
                // What the dead one has put is enough.
                if actor.sheet().words[FINISHED].load(Relaxed) == 0 {
                    queue.put_timeout(item(LATER), LIMIT).map_err(unput)?;
                }
                actor.through();
                Ok(())
            })
        })?;
        Ok(Take::new(reached, killed, [other.finish()?, taker.finish()?]))
    })
}

/// Does something in whose middle a death loses so many items at most.
fn losing(
    actor: &Actor<'_>,
    items: u64,
    work: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let loses = &actor.sheet().words[LOSES];
    loses.fetch_add(items, Relaxed);
    work()?;
    loses.fetch_sub(items, Relaxed);
    Ok(())
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

fn bits(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, |all, number| all | bit(number))
}

fn note(actor: &Actor<'_>, at: usize, number: u64) {
    actor.sheet().words[at].fetch_or(bit(number), Relaxed);
}

fn hung(error: QueueError) -> Fault {
    Fault::hung(error.to_string())
}

fn unput<T>(error: PutError<T>) -> Fault {
    Fault::hung(format!("put: {}", error.error))
}

/// Somebody puts these and leaves.
fn fill<O: Order>(stage: &Stage, arena: &Arena, numbers: RangeInclusive<u64>) -> Result<(), Fault> {
    let filler = |_: &Actor<'_>| {
        with_queue::<O>(arena, |queue| {
            numbers.clone().try_for_each(|number| queue.put(of::<O>(number)).map_err(unput))
        })
    };
    stage.cast(4, &filler)?.finish().map(drop)
}

fn make<O: Order>(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { OrderedQueue::<Item, O, _>::init(arena.object(), CAPACITY, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

fn with_queue<O: Order>(
    arena: &Arena,
    then: impl FnOnce(Queue<'_, O>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a queue of this type and capacity here.
    let queue = unsafe { Queue::<O>::attach(arena.object(), CAPACITY, &me) };
    then(queue.map_err(|e| Fault::broken(e.to_string()))?)
}
