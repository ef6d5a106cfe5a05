//! Scenes of the queue: whoever is killed, no item is torn, none that was accepted is lost, and nobody waits for the dead.

use std::mem;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Object;
use shmkit_queue::{Delivery, PutError, QueueError, QueueSpec};

use super::account::{GO, USING, begin};
use super::ring::{Item, item, number};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene, Spread, Stage, Take, Unit};

type Queue<'a> = shmkit_queue::Queue<Item, Me<'a>>;

/// Items of the ring.
const CAPACITY: u64 = 6;
/// Items that the victim puts one by one, and then in a batch.
const SINGLES: u64 = 3;
const BATCH: u64 = 3;
/// What the third one puts.
const LATER: u64 = 21;
/// Nothing comes after it.
const END: u64 = 99;

/// [`Sheet::words`](crate::Sheet): a bit for each item that the victim has put, or is done with.
const FINISHED: usize = 0;
/// A bit for each item that the victim has looked at.
const SEEN: usize = 1;
/// A bit for each item that a survivor got.
const GOT: usize = 2;
/// How many items are lost at most if the victim dies now.
const LOSES: usize = 3;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let mut scenes = vec![put(false), put(true), put_full()];
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        for full in [false, true] {
            scenes.push(take(delivery, full, None));
        }
    }
    // So far that enough is left for the second one.
    scenes.push(take(Delivery::AtLeastOnce, true, Some(Spread(400))));
    scenes.extend([join(), close()]);
    scenes
}

/// Who puts is killed; one takes, who comes later or sleeps, and another one puts as well.
fn put(asleep: bool) -> Scene {
    let sleep = if asleep { "+sleeper" } else { "" };
    let about = "put and batch killed; a prefix of it comes, and all of another's";
    Scene::new(format!("queue/put{sleep}"), about, 150, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, CAPACITY.into())?;
        let mut victim = stage.victim(0, &|actor| {
            with_queue(&arena, |queue| {
                actor.mark();
                for number in 1..=SINGLES {
                    queue.put(item(number)).map_err(unput)?;
                    note(actor, FINISHED, number);
                }
                let batch: [Item; BATCH as usize] =
                    std::array::from_fn(|i| item(SINGLES + 1 + i as u64));
                queue.put_all(&batch).map_err(|e| hung(e.error))?;
                (1..=SINGLES + BATCH).for_each(|number| note(actor, FINISHED, number));
                actor.mark();
                Ok(())
            })
        })?;
        let mut taker = stage.cast(1, &|actor| {
            with_queue(&arena, |queue| {
                begin(actor)?;
                let mut last = 0;
                let mut later = 0;
                loop {
                    match number(queue.get_timeout(LIMIT).map_err(hung)?)? {
                        END => break,
                        LATER => later += 1,
                        found if found == last + 1 => last = found,
                        found => return Err(Fault::torn(format!("{found} after {last}"))),
                    }
                }
                let accepted = actor.sheet().words[FINISHED].load(Relaxed);
                if later != 1 || accepted >> (last + 1) != 0 {
                    return Err(Fault::torn(format!(
                        "{last} of the dead one's came, who had put {accepted:b}; and {later} of the other's"
                    )));
                }
                actor.through();
                Ok(())
            })
        })?;
        if asleep {
            taker.cue(GO);
            taker.await_asleep(USING)?;
        }
        let putter = stage.cast(2, &|actor| {
            with_queue(&arena, |queue| {
                begin(actor)?;
                for number in [LATER, END] {
                    queue.put_timeout(item(number), LIMIT).map_err(unput)?;
                }
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        // Both at once: the putter may have to wait for room.
        putter.cue(GO);
        taker.cue(GO);
        Ok(Take::new(reached, killed, [putter.finish()?, taker.finish()?]))
    })
}

/// Who puts into a full queue, and begins to wait, is killed; others put and take there.
fn put_full() -> Scene {
    let about =
        "put into a full queue killed, awake and on the way to sleep; others put and take there";
    Scene::new("queue/put+full", about, 150, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, CAPACITY.into())?;
        fill(stage, &arena, 1..=CAPACITY)?;
        let mut victim = stage.victim(0, &|actor| {
            with_queue(&arena, |queue| {
                actor.mark();
                let refused = queue.try_put(item(8)).map_err(|e| e.error);
                if refused != Err(QueueError::Full) {
                    return Err(Fault::torn(format!("a full queue: {refused:?}")));
                }
                queue.put(item(8)).map_err(unput)?;
                actor.mark();
                Ok(())
            })
        })?;
        let survivors = pair(stage, &arena, END)?;
        let reached = victim.advance_awake(point)?;
        let killed = victim.kill();
        let through = survivors.finish()?;
        stage
            .cast(4, &|actor| {
                let got = actor.sheet().words[GOT].load(Relaxed);
                let all = bits(1..=CAPACITY) | bit(LATER);
                if got & !bit(8) == all {
                    Ok(())
                } else {
                    Err(Fault::torn(format!("{got:b} came")))
                }
            })?
            .finish()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// Who takes is killed, maybe after another who did; others take the rest, and put more, into a queue that is full of what
/// the dead have.
fn take(delivery: Delivery, full: bool, before: Option<Spread>) -> Scene {
    let name = match (delivery, full, before) {
        (_, _, Some(_)) => "queue/heir",
        (Delivery::AtMostOnce, false, _) => "queue/take+once",
        (Delivery::AtMostOnce, true, _) => "queue/take+once+full",
        (_, false, _) => "queue/take",
        (_, true, _) => "queue/take+full",
    };
    let about = "get, take, done, give back, batch killed; what it was not done with comes again, or is lost";
    Scene::new(name, about, 300, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, QueueSpec::new(CAPACITY).delivery(delivery))?;
        fill(stage, &arena, 1..=if full { CAPACITY } else { CAPACITY - 1 })?;
        let user = |actor: &Actor<'_>| {
            with_queue(&arena, |queue| {
                actor.mark();
                use_up(&queue, delivery, actor)?;
                actor.mark();
                Ok(())
            })
        };
        if let Some(spread) = before {
            // What that one was done with, nobody knows for sure.
            let first = |_: &Actor<'_>| {
                with_queue(&arena, |queue| {
                    mem::forget(queue.take().map_err(hung)?);
                    Ok(())
                })
            };
            stage.cast(3, &first)?.finish()?;
            stage.dead(3, &user, spread.at(point))?;
        }
        let mut victim = stage.victim(0, &user)?;
        let survivors = pair(stage, &arena, END)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let through = survivors.finish()?;
        let end = |actor: &Actor<'_>| {
            let [finished, seen, got, loses] =
                [FINISHED, SEEN, GOT, LOSES].map(|at| actor.sheet().words[at].load(Relaxed));
            let put = bits(1..=if full { CAPACITY } else { CAPACITY - 1 }) | bit(LATER);
            let lost = put & !(got | seen);
            let twice = got & if delivery == Delivery::AtMostOnce { seen } else { finished };
            if got & !put != 0 || twice != 0 || u64::from(lost.count_ones()) > loses {
                return Err(Fault::torn(format!(
                    "of {put:b} {got:b} came, and the dead had seen {seen:b} and was done with {finished:b}"
                )));
            }
            Ok(())
        };
        stage.cast(4, &end)?.finish()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// Takes in every way, and writes down what it saw and what it is done with.
fn use_up(queue: &Queue<'_>, delivery: Delivery, actor: &Actor<'_>) -> Result<(), Fault> {
    // What is in the hands of the dead comes again, or does not.
    let leased = u64::from(delivery == Delivery::AtMostOnce);
    losing(actor, leased, || {
        let lease = queue.take().map_err(hung)?;
        let first = number(*lease)?;
        note(actor, SEEN, first);
        lease.done().map_err(hung)?;
        note(actor, FINISHED, first);
        Ok(())
    })?;
    // Given back, it is nobody's, and has not been seen.
    losing(actor, leased, || queue.take().map_err(hung)?.give_back().map_err(hung))?;
    // A get is done with an item before its caller has looked at it.
    losing(actor, 1, || {
        let second = number(queue.get().map_err(hung)?)?;
        note(actor, SEEN, second);
        note(actor, FINISHED, second);
        Ok(())
    })?;
    losing(actor, BATCH, || {
        let mut batch = [[0; 4]; BATCH as usize];
        let count = queue.get_batch(&mut batch).map_err(hung)?;
        for found in &batch[..count] {
            let found = number(*found)?;
            note(actor, SEEN, found);
            note(actor, FINISHED, found);
        }
        Ok(())
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

/// One who takes is killed; who joins gets through, for another one takes what comes again.
fn join() -> Scene {
    let about = "the last taker killed; who waits for all to be done gets through";
    Scene::new("queue/join", about, 80, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, CAPACITY.into())?;
        fill(stage, &arena, 1..=2)?;
        let mut joiner = stage.cast(1, &|actor| {
            with_queue(&arena, |queue| {
                begin(actor)?;
                queue.join_timeout(LIMIT).map_err(hung)?;
                if !queue.is_empty().map_err(hung)? {
                    return Err(Fault::torn("it was not the end"));
                }
                actor.through();
                Ok(())
            })
        })?;
        let mut victim = stage.victim(0, &|actor| {
            with_queue(&arena, |queue| {
                actor.mark();
                let lease = queue.take().map_err(hung)?;
                queue.get().map_err(hung)?;
                lease.done().map_err(hung)?;
                actor.mark();
                Ok(())
            })
        })?;
        let heir = stage.cast(2, &|actor| {
            with_queue(&arena, |queue| {
                begin(actor)?;
                loop {
                    match queue.get_timeout(LIMIT) {
                        Ok(found) => number(found)?,
                        Err(QueueError::Closed) => break,
                        Err(other) => return Err(hung(other)),
                    };
                }
                actor.through();
                Ok(())
            })
        })?;
        joiner.cue(GO);
        joiner.await_asleep(USING)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        heir.cue(GO);
        let joined = joiner.finish()?;
        stage.cast(3, &|_| with_queue(&arena, |queue| queue.close().map_err(hung)))?.finish()?;
        Ok(Take::new(reached, killed, [joined, heir.finish()?]))
    })
}

/// Who closes is killed; who sleeps in a take is told, by it or by who closes after it.
fn close() -> Scene {
    let about =
        "close killed; who sleeps gets what is left, and hears of it, and nothing more is put";
    Scene::new("queue/close", about, 10, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, CAPACITY.into())?;
        let mut taker = stage.cast(1, &|actor| {
            with_queue(&arena, |queue| {
                begin(actor)?;
                match queue.get_timeout(LIMIT) {
                    Err(QueueError::Closed) => {}
                    other => return Err(Fault::hung(format!("{other:?}"))),
                }
                actor.through();
                Ok(())
            })
        })?;
        taker.cue(GO);
        taker.await_asleep(USING)?;
        let mut victim = stage.victim(0, &|actor| {
            with_queue(&arena, |queue| {
                actor.mark();
                queue.close().map_err(hung)?;
                actor.mark();
                Ok(())
            })
        })?;
        let closer = stage.cast(2, &|actor| {
            with_queue(&arena, |queue| {
                begin(actor)?;
                queue.close().map_err(hung)?;
                match queue.put(item(1)) {
                    Err(PutError { error: QueueError::Closed, .. }) => {}
                    other => return Err(Fault::torn(format!("{other:?}"))),
                }
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        closer.cue(GO);
        Ok(Take::new(reached, killed, [closer.finish()?, taker.finish()?]))
    })
}

/// Two survivors: one puts, waiting for room if it must, and one takes.
struct Pair<'s> {
    taker: crate::actor::Cast<'s>,
    putter: crate::actor::Cast<'s>,
}

fn pair<'s>(stage: &'s Stage, arena: &Arena, end: u64) -> Result<Pair<'s>, Fault> {
    let taker = stage.cast(1, &|actor| {
        with_queue(arena, |queue| {
            begin(actor)?;
            loop {
                let found = number(queue.get_timeout(LIMIT).map_err(hung)?)?;
                if found == end {
                    break;
                }
                if actor.sheet().words[GOT].load(Relaxed) & bit(found) != 0 {
                    return Err(Fault::torn(format!("{found} came twice")));
                }
                note(actor, GOT, found);
            }
            // What comes again may come late.
            queue.close().map_err(hung)?;
            loop {
                match queue.get_timeout(LIMIT) {
                    Ok(found) => note(actor, GOT, number(found)?),
                    Err(QueueError::Closed) => break,
                    Err(other) => return Err(hung(other)),
                }
            }
            actor.through();
            Ok(())
        })
    })?;
    let putter = stage.cast(2, &|actor| {
        with_queue(arena, |queue| {
            begin(actor)?;
            for number in [LATER, END] {
                queue.put_timeout(item(number), LIMIT).map_err(unput)?;
            }
            actor.through();
            Ok(())
        })
    })?;
    Ok(Pair { taker, putter })
}

impl Pair<'_> {
    fn finish(self) -> Result<[u64; 2], Fault> {
        self.putter.cue(GO);
        self.taker.cue(GO);
        Ok([self.putter.finish()?, self.taker.finish()?])
    }
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

fn unput(error: PutError<Item>) -> Fault {
    Fault::hung(format!("put: {}", error.error))
}

/// Somebody puts these and leaves.
fn fill(stage: &Stage, arena: &Arena, numbers: std::ops::RangeInclusive<u64>) -> Result<(), Fault> {
    let filler = |_: &Actor<'_>| {
        with_queue(arena, |queue| {
            numbers.clone().try_for_each(|number| queue.put(item(number)).map_err(unput))
        })
    };
    stage.cast(4, &filler)?.finish().map(drop)
}

fn make(arena: &Arena, spec: QueueSpec) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { shmkit_queue::Queue::<Item, _>::init(arena.object(), spec, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

fn with_queue(
    arena: &Arena,
    then: impl FnOnce(Queue<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a queue of this type and capacity here.
    let queue = unsafe { Queue::attach(arena.object(), CAPACITY, &me) };
    then(queue.map_err(|e| Fault::broken(e.to_string()))?)
}
