//! Scenes of the broadcast: whoever is killed, no item is torn, none that was published is lost, and nobody waits for the
//! dead.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Object;
use shmkit_queue::{BroadcastError, BroadcastSpec, Overrun, Publisher, Start, Subscriber};

use super::account::{GO, USING, begin};
use super::ring::{Item, item, number};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene, Spread, Stage, Take, Unit};

type Broadcast<'a> = shmkit_queue::Broadcast<Item, Me<'a>>;

/// Items of the ring: more than are sent before the kill.
const CAPACITY: u64 = 16;
/// Items that are sent one by one, and then in a batch.
const SINGLES: u64 = 3;
const BATCH: usize = 3;
/// What the last publisher sends.
const LATER: u64 = 121;
/// Nothing comes after it.
const END: u64 = 199;
/// A subscriber has come.
const CAME: u32 = 7;
/// How long to wait for the next publisher at a time: it may have come and gone before.
const SHORT: Duration = Duration::from_millis(20);

/// [`Sheet::words`](crate::Sheet): the number of the last item that a publisher knows to be published.
const SENT: usize = 0;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let mut scenes = Vec::new();
    for overrun in [Overrun::Wait, Overrun::Skip] {
        scenes.extend([publish(overrun, false, None), publish(overrun, true, None)]);
        scenes.push(publish(overrun, true, Some(Spread(500))));
    }
    scenes.extend([subscribe(Start::Newest, None), subscribe(Start::Oldest, None)]);
    scenes.push(subscribe(Start::Oldest, Some(Spread(400))));
    scenes
}

/// Who publishes is killed, maybe after another who did; a successor goes on, and who has subscribed gets all there is.
fn publish(overrun: Overrun, asleep: bool, before: Option<Spread>) -> Scene {
    let over = if overrun == Overrun::Wait { "" } else { "+over" };
    let (what, sleep) = match (before, asleep) {
        (Some(_), _) => ("heir", ""),
        (None, true) => ("publish", "+sleeper"),
        (None, false) => ("publish", ""),
    };
    let about = "claim, send, batch, in place, close killed; a subscriber gets all that was sent, and a successor's";
    Scene::new(format!("broadcast/{what}{over}{sleep}"), about, 150, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, BroadcastSpec::new(CAPACITY).overrun(overrun))?;
        let mut receiver = stage.cast(1, &|actor| {
            with_broadcast(&arena, CAPACITY, |broadcast| {
                let mut subscriber = broadcast.subscribe(Start::Newest).map_err(hung)?;
                actor.phase(CAME);
                begin(actor)?;
                let last = receive_all(&mut subscriber)?;
                let sent = actor.sheet().words[SENT].load(Relaxed);
                if last < sent {
                    return Err(Fault::torn(format!("{last} of at least {sent} came")));
                }
                actor.through();
                Ok(())
            })
        })?;
        receiver.await_phase(CAME)?;
        let user = |actor: &Actor<'_>| {
            with_broadcast(&arena, CAPACITY, |broadcast| {
                actor.mark();
                use_up(&broadcast, overrun, actor)?;
                actor.mark();
                Ok(())
            })
        };
        if asleep {
            receiver.cue(GO);
            receiver.await_asleep(USING)?;
        }
        if let Some(spread) = before {
            stage.dead(3, &user, spread.at(point))?;
        }
        let mut victim = stage.victim(0, &user)?;
        let successor = succeed(stage, &arena, CAPACITY)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        successor.cue(GO);
        receiver.cue(GO);
        Ok(Take::new(reached, killed, [successor.finish()?, receiver.finish()?]))
    })
}

/// Publishes in every way, items whose numbers say where they stand.
fn use_up(broadcast: &Broadcast<'_>, overrun: Overrun, actor: &Actor<'_>) -> Result<(), Fault> {
    let mut publisher = broadcast.publisher().map_err(hung)?;
    let next = |publisher: &Publisher<Item, Me<'_>>| publisher.published() + 1;
    let note = |publisher: &Publisher<Item, Me<'_>>| {
        actor.sheet().words[SENT].store(publisher.published(), Relaxed);
    };
    for _ in 0..SINGLES {
        let item = item(next(&publisher));
        publisher.send(item).map_err(|e| hung(e.error))?;
        note(&publisher);
    }
    if overrun == Overrun::Wait {
        let item = item(next(&publisher));
        let mut draft = publisher.reserve().map_err(hung)?;
        *draft = item;
        draft.publish().map_err(hung)?;
        note(&publisher);
    }
    let first = next(&publisher);
    let batch: [Item; BATCH] = std::array::from_fn(|i| item(first + i as u64));
    publisher.send_all(&batch).map_err(|e| hung(e.error))?;
    note(&publisher);
    Ok(())
}

/// One who publishes what comes last.
fn succeed<'s>(
    stage: &'s Stage,
    arena: &Arena,
    capacity: u64,
) -> Result<crate::actor::Cast<'s>, Fault> {
    stage.cast(2, &|actor| {
        with_broadcast(arena, capacity, |broadcast| {
            begin(actor)?;
            let mut publisher = broadcast.publisher().map_err(hung)?;
            for number in [LATER, LATER, LATER, END] {
                publisher.send_timeout(item(number), LIMIT).map_err(|e| hung(e.error))?;
            }
            actor.through();
            Ok(())
        })
    })
}

/// Receives to the last item; returns how many came before the last publisher's.
fn receive_all(subscriber: &mut Subscriber<Item, Me<'_>>) -> Result<u64, Fault> {
    let (mut last, mut later) = (0, 0);
    let end = Instant::now() + LIMIT;
    loop {
        match subscriber.recv_timeout(LIMIT) {
            Ok(found) => match number(found)? {
                END if later == 3 => return Ok(last),
                LATER => later += 1,
                found if found == last + 1 && later == 0 => last = found,
                found => return Err(Fault::torn(format!("{found} after {last} and {later}"))),
            },
            Err(BroadcastError::Closed | BroadcastError::PublisherDied { .. })
                if Instant::now() < end =>
            {
                // Time is no error: it may have come and gone.
                let _ = subscriber.wait_for_publisher_timeout(SHORT);
            }
            Err(other) => return Err(hung(other)),
        }
    }
}

/// Who subscribes, receives and leaves is killed, maybe after another who did; the publisher does not wait for it, and its
/// place is another's.
fn subscribe(start: Start, before: Option<Spread>) -> Scene {
    const SMALL: u64 = 2;
    let name = match (start, before) {
        (_, Some(_)) => "broadcast/subscribe+heir",
        (Start::Newest, _) => "broadcast/subscribe",
        (Start::Oldest, _) => "broadcast/subscribe+oldest",
    };
    let about =
        "subscribe, receive, in place, leave killed; the publisher goes on, and another comes";
    Scene::new(name, about, 100, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena, BroadcastSpec::new(SMALL).subscribers(2))?;
        let mut receiver = stage.cast(1, &|actor| {
            with_broadcast(&arena, SMALL, |broadcast| {
                let mut subscriber = broadcast.subscribe(Start::Newest).map_err(hung)?;
                actor.phase(CAME);
                begin(actor)?;
                if receive_all(&mut subscriber)? != SMALL {
                    return Err(Fault::torn("not all came"));
                }
                actor.through();
                Ok(())
            })
        })?;
        receiver.await_phase(CAME)?;
        fill(stage, &arena, SMALL, 1..=SMALL)?;
        let user = |actor: &Actor<'_>| {
            with_broadcast(&arena, SMALL, |broadcast| {
                actor.mark();
                let mut subscriber = broadcast.subscribe(start).map_err(hung)?;
                if start == Start::Oldest {
                    if number(subscriber.recv().map_err(hung)?)? != 1 {
                        return Err(Fault::torn("the oldest is another"));
                    }
                    let second = subscriber.peek().map_err(hung)?;
                    number(*second)?;
                    second.release().map_err(hung)?;
                }
                match subscriber.try_recv() {
                    Err(BroadcastError::Closed) => {}
                    other => return Err(Fault::torn(format!("{other:?} came"))),
                }
                drop(subscriber);
                actor.mark();
                Ok(())
            })
        };
        if let Some(spread) = before {
            stage.dead(3, &user, spread.at(point))?;
        }
        let mut victim = stage.victim(0, &user)?;
        let successor = succeed(stage, &arena, SMALL)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        successor.cue(GO);
        receiver.cue(GO);
        let through = [successor.finish()?, receiver.finish()?];
        let newcomers = |_: &Actor<'_>| {
            with_broadcast(&arena, SMALL, |broadcast| {
                let both = [Start::Newest, Start::Oldest].map(|start| broadcast.subscribe(start));
                both.into_iter().try_for_each(|one| one.map(drop).map_err(hung))
            })
        };
        stage.cast(4, &newcomers)?.finish()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// Somebody publishes these and leaves.
fn fill(
    stage: &Stage,
    arena: &Arena,
    capacity: u64,
    numbers: RangeInclusive<u64>,
) -> Result<(), Fault> {
    let filler = |_: &Actor<'_>| {
        with_broadcast(arena, capacity, |broadcast| {
            let mut publisher = broadcast.publisher().map_err(hung)?;
            numbers.clone().try_for_each(|n| publisher.send(item(n)).map_err(|e| hung(e.error)))
        })
    };
    stage.cast(4, &filler)?.finish().map(drop)
}

fn hung(error: BroadcastError) -> Fault {
    Fault::hung(error.to_string())
}

fn make(arena: &Arena, spec: BroadcastSpec) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { shmkit_queue::Broadcast::<Item, _>::init(arena.object(), spec, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

fn with_broadcast(
    arena: &Arena,
    capacity: u64,
    then: impl FnOnce(Broadcast<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a broadcast of this type and capacity here.
    let broadcast = unsafe { Broadcast::attach(arena.object(), capacity, &me) };
    then(broadcast.map_err(|e| Fault::broken(e.to_string()))?)
}
