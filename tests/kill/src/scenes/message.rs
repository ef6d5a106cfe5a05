//! Scenes of the queue of messages: whoever is killed, none is torn, none that was accepted is lost, and no byte of its memory.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Object;
use shmkit_queue::{Delivery, MessageQueue, MessageSpec, QueueError};

use super::account::{GO, USING, begin};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene, Take};

type Queue<'a> = MessageQueue<Me<'a>>;

/// Messages of the ring: enough for all but the last one, since what comes again keeps its place. And bytes of the heap, tables included.
const CAPACITY: u64 = 5;
const BYTES: u64 = 64 << 10;
/// Bytes of the victim's messages: in its slot, in a small block, in whole pages.
const LENGTHS: [usize; 3] = [40, 200, 4100];
/// So many bytes that no second one fits.
const LARGE: usize = 30_000;
/// What the survivors put, and of how many bytes.
const LATER: [u64; 2] = [21, 22];
const THEIRS: usize = 9000;

/// [`Sheet::words`](crate::Sheet): a bit for each message that the victim is done with.
const FINISHED: usize = 0;
/// A bit for each message that the victim has looked at.
const SEEN: usize = 1;
/// A bit for each message that a survivor got.
const GOT: usize = 2;
/// How many are lost at most if the victim dies now.
const LOSES: usize = 3;
/// A bit for each message that was accepted.
const PUT: usize = 4;

/// What the victim does, with the messages that it may put.
type Does = fn(&Queue<'_>, &Actor<'_>, &[Vec<u8>; 3]) -> Result<(), Fault>;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let put =
        "put of small and large messages killed; a prefix of them comes, and no memory is lost";
    let take = "take, done, give back, get of messages killed; none is torn, and no memory lost";
    let memory = "put that waits for memory killed, awake and on the way to sleep; others put and take there";
    let (least, most) = (Delivery::AtLeastOnce, Delivery::AtMostOnce);
    vec![
        scene("message/put", put, 400, (least, LENGTHS, 0), put_all),
        scene("message/take", take, 500, (least, LENGTHS, 3), use_up),
        scene("message/take+once", take, 500, (most, LENGTHS, 3), use_up),
        scene("message/memory", memory, 200, (least, [LARGE; 3], 1), wait_for_memory),
    ]
}

fn put_all(queue: &Queue<'_>, actor: &Actor<'_>, messages: &[Vec<u8>; 3]) -> Result<(), Fault> {
    for (number, message) in (1..).zip(messages) {
        queue.put(message).map_err(hung)?;
        note(actor, PUT, number);
    }
    Ok(())
}

fn wait_for_memory(
    queue: &Queue<'_>,
    actor: &Actor<'_>,
    [_, second, _]: &[Vec<u8>; 3],
) -> Result<(), Fault> {
    let refused = queue.try_put(second);
    if refused != Err(QueueError::Full) {
        return Err(Fault::torn(format!("without memory: {refused:?}")));
    }
    queue.put(second).map_err(hung)?;
    note(actor, PUT, 2);
    Ok(())
}

/// Takes in every way, and writes down what it saw and what it is done with.
fn use_up(queue: &Queue<'_>, actor: &Actor<'_>, _: &[Vec<u8>; 3]) -> Result<(), Fault> {
    // What is in the hands of the dead comes again, or does not.
    let leased = u64::from(queue.delivery() == Delivery::AtMostOnce);
    let finish = || {
        losing(actor, leased, || {
            let lease = queue.take().map_err(hung)?;
            // Its beginning alone: each byte is an instruction to be killed at.
            let number = u64::from(lease[0]);
            note(actor, SEEN, number);
            lease.done().map_err(hung)?;
            note(actor, FINISHED, number);
            Ok(())
        })
    };
    finish()?;
    losing(actor, leased, || queue.take().map_err(hung)?.give_back().map_err(hung))?;
    // A get is done with a message before its caller has looked at it.
    losing(actor, 1, || {
        let mut buffer = [0; 200];
        queue.get_into(&mut buffer).map_err(hung)?;
        note(actor, SEEN, buffer[0].into());
        note(actor, FINISHED, buffer[0].into());
        Ok(())
    })?;
    finish()
}

/// Does something in whose middle a death loses so many messages at most.
fn losing(
    actor: &Actor<'_>,
    messages: u64,
    work: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let loses = &actor.sheet().words[LOSES];
    loses.fetch_add(messages, Relaxed);
    work()?;
    loses.fetch_sub(messages, Relaxed);
    Ok(())
}

/// One uses a queue of some messages and is killed; one survivor uses it at that moment, another comes later, and a last one
/// accounts for every message and every byte.
fn scene(
    name: &str,
    about: &str,
    floor: u32,
    (delivery, lengths, filled): (Delivery, [usize; 3], usize),
    does: Does,
) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        let spec = MessageSpec::new(CAPACITY, BYTES).delivery(delivery);
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { MessageQueue::init(arena.object(), spec, &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
        let messages = [1, 2, 3].map(|number| message(number, lengths[number as usize - 1]));
        let filler = |actor: &Actor<'_>| {
            with_queue(&arena, |queue| {
                for (number, message) in (1..).zip(&messages[..filled]) {
                    queue.put(message).map_err(hung)?;
                    note(actor, PUT, number);
                }
                Ok(())
            })
        };
        stage.cast(4, &filler)?.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_queue(&arena, |queue| {
                actor.mark();
                does(queue, actor, &messages)?;
                actor.mark();
                Ok(())
            })
        })?;
        let [early, late] = LATER.map(|later| {
            let arena = &arena;
            move |actor: &Actor<'_>| with_queue(arena, |queue| survive(queue, actor, later))
        });
        let (mut early, late) = (stage.cast(1, &early)?, stage.cast(2, &late)?);
        let reached = victim.advance_awake(point)?;
        early.cue(GO);
        early.await_asleep(USING)?;
        let killed = victim.kill();
        let early = early.finish()?;
        late.cue(GO);
        let through = [early, late.finish()?];
        let end = |actor: &Actor<'_>| with_queue(&arena, |queue| account(queue, actor));
        stage.cast(4, &end)?.finish()?;
        Ok(Take::new(reached, killed, through))
    })
}

/// Takes what is there, puts one, and takes one.
fn survive(queue: &Queue<'_>, actor: &Actor<'_>, later: u64) -> Result<(), Fault> {
    begin(actor)?;
    loop {
        match queue.try_get() {
            Ok(found) => got(actor, &found)?,
            Err(QueueError::Empty) => break,
            Err(other) => return Err(hung(other)),
        }
    }
    queue.put_timeout(&message(later, THEIRS), LIMIT).map_err(hung)?;
    note(actor, PUT, later);
    got(actor, &queue.get_timeout(LIMIT).map_err(hung)?)?;
    actor.through();
    Ok(())
}

/// Nobody else is there: what was accepted has come, and all memory is there for one message.
fn account(queue: &Queue<'_>, actor: &Actor<'_>) -> Result<(), Fault> {
    // What was in the hands of the dead is out of them when that much memory is there.
    let all = message(30, queue.max_len() as usize);
    loop {
        match queue.get_timeout(std::time::Duration::from_millis(1)) {
            Ok(found) => got(actor, &found)?,
            Err(QueueError::TimedOut) => match queue.try_put(&all) {
                Ok(()) => break,
                Err(QueueError::Full) => {}
                Err(other) => return Err(hung(other)),
            },
            Err(other) => return Err(hung(other)),
        }
    }
    queue.close().map_err(hung)?;
    while let Ok(found) = queue.get_timeout(LIMIT) {
        got(actor, &found)?;
    }
    let [finished, seen, got, loses, put] =
        [FINISHED, SEEN, GOT, LOSES, PUT].map(|at| actor.sheet().words[at].load(Relaxed));
    let lost = put & !(got | seen);
    let once = queue.delivery() == Delivery::AtMostOnce;
    let twice = got & if once { seen } else { finished };
    if twice != 0 || u64::from(lost.count_ones()) > loses {
        return Err(Fault::torn(format!(
            "of {put:b} {got:b} came, and the dead had seen {seen:b} and was done with {finished:b}"
        )));
    }
    let account = queue.heap().check().map_err(|e| Fault::broken(e.to_string()))?;
    if account.is_complete() && account.kept_blocks == 0 && account.reserved_blocks == 0 {
        return Ok(());
    }
    Err(Fault::leaked(account.to_string()))
}

/// Notes a message that is whole, and comes once.
fn got(actor: &Actor<'_>, found: &[u8]) -> Result<(), Fault> {
    let number = u64::from(*found.first().unwrap_or(&0));
    if number == 0 || found != message(number, found.len()) {
        return Err(Fault::torn(format!("{:x?} of {} bytes", &found[..4], found.len())));
    }
    if actor.sheet().words[GOT].load(Relaxed) & bit(number) != 0 {
        return Err(Fault::torn(format!("{number} came twice")));
    }
    note(actor, GOT, number);
    Ok(())
}

/// A message of one number.
fn message(number: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| if i == 0 { number as u8 } else { (number as usize * 31 + i) as u8 }).collect()
}

fn bit(number: u64) -> u64 {
    1 << (number % 64)
}

fn note(actor: &Actor<'_>, at: usize, number: u64) {
    actor.sheet().words[at].fetch_or(bit(number), Relaxed);
}

fn hung(error: QueueError) -> Fault {
    Fault::hung(error.to_string())
}

fn with_queue(
    arena: &Arena,
    then: impl FnOnce(&Queue<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: the scene made a queue of this capacity here.
    let queue = unsafe { Queue::attach(arena.object(), CAPACITY, &me) };
    then(&queue.map_err(|e| Fault::broken(e.to_string()))?)
}
