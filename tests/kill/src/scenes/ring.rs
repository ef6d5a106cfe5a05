//! Scenes of the pipe: survivors see whole items in order, then that the peer died.

use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Object;
use shmkit_pipe::{Pipe, PipeError, Receiver, Sender};

use super::{ring_copy, ring_handover, ring_heirs, ring_session};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, LIMIT, Scene, Take, Unit};

/// An item of several words, each made of its number.
pub(crate) type Item = [u64; 4];

/// Items of the ring.
pub(crate) const CAPACITY: u64 = 8;
/// Items that the victim sends one by one.
const SINGLES: u64 = 3;
/// Items that it sends in one batch after them.
const BATCH: u64 = 4;

/// The survivor is about to use its end.
const WAITING: u32 = 1;
/// Go and use it.
const GO: u32 = 1;
/// Go on to the next part.
const NEXT: u32 = 2;

/// [`Sheet::words`](crate::Sheet): the number of the last item that the dead receiver had got.
const RECEIVED: usize = 0;
/// The number of the last item that the sender had sent.
const SENT: usize = 1;

/// Makes item `number`.
pub(crate) fn item(number: u64) -> Item {
    [number, !number, number ^ 0x5555_5555_5555_5555, number]
}

/// Returns the number of an item that is whole.
pub(crate) fn number(found: Item) -> Result<u64, Fault> {
    if found == item(found[0]) && found[0] != 0 {
        return Ok(found[0]);
    }
    Err(Fault::torn(format!("received {found:x?}")))
}

/// What sends items and what receives them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub name: &'static str,
    pub floor: u32,
    /// Makes it in a fresh arena.
    pub make: fn(&Arena) -> Result<(), Fault>,
    /// Joins, claims the sending end, marks, sends items 1 … one by one and the rest in a batch, marks.
    pub send: fn(&Arena, &Actor<'_>) -> Result<(), Fault>,
    /// Joins, claims the receiving end, awaits `GO`, and receives until the sender died; returns how many.
    pub receive: fn(&Arena, &Actor<'_>) -> Result<u64, Fault>,
}

/// Whether the survivor sleeps while the victim is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// It comes after the kill, or has nothing to sleep for.
    Not,
    /// It sleeps.
    Deep,
    /// It sleeps, and signal handlers run in it all the time.
    Rattled,
}

impl Sleep {
    fn name(self, scene: &str) -> String {
        let sleep = match self {
            Self::Not => "",
            Self::Deep => "+sleeper",
            Self::Rattled => "+signals",
        };
        format!("{scene}{sleep}")
    }
}

const PIPE: Kind = Kind { name: "pipe", floor: 60, make, send, receive };

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let sleeps = [Sleep::Not, Sleep::Deep, Sleep::Rattled];
    let mut scenes = Vec::from(sleeps.map(|sleep| sender(PIPE, sleep)));
    scenes.push(claim());
    scenes.push(ring_copy::copy());
    scenes.extend([ring_session::client(), ring_session::server()]);
    scenes.extend([ring_heirs::leave(), ring_heirs::receivers(), ring_heirs::senders()]);
    scenes.push(ring_handover::sender());
    scenes.extend(sleeps.map(receiver));
    scenes
}

/// The sender is killed; the receiver comes later, or sleeps from the beginning.
pub(crate) fn sender(kind: Kind, sleep: Sleep) -> Scene {
    let name = sleep.name(&format!("{}/send", kind.name));
    let about = "send and batch killed; the receiver sees a prefix, then the death";
    Scene::new(name, about, kind.floor, move |stage, point| {
        let arena = Arena::new()?;
        (kind.make)(&arena)?;
        let mut victim = stage.victim(0, &|actor| (kind.send)(&arena, actor))?;
        let mut receiver = stage.cast(1, &|actor| {
            if sleep == Sleep::Rattled {
                actor.rattle()?;
            }
            let count = (kind.receive)(&arena, actor)?;
            if count <= SINGLES || count == SINGLES + BATCH {
                actor.through();
                return Ok(());
            }
            Err(Fault::torn(format!("{count} items came: a part of a batch")))
        })?;
        if sleep != Sleep::Not {
            receiver.cue(GO);
            receiver.await_asleep(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        receiver.cue(GO);
        Ok(Take::new(reached, killed, [receiver.finish()?]))
    })
}

/// Who claims the sending end is killed; a successor claims it, and the receiver gets the items of both in order.
fn claim() -> Scene {
    let about = "claim, send, close killed; a successor claims the end";
    Scene::new("pipe/claim", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                actor.mark();
                let mut sender = claim_sender(&pipe)?;
                send_one(&mut sender, 1)?;
                drop(sender);
                actor.mark();
                Ok(())
            })
        })?;
        let receiver = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut receiver = claim_receiver(&pipe)?;
                actor.await_cue(GO)?;
                let mut last = 0;
                // Told of the first sender's end or death, it waits for the second.
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => match (last, number(found)?) {
                            (0, found @ (1 | 11)) | (1, found @ 11) | (11, found @ 12) => {
                                last = found
                            }
                            (_, found) => return Err(Fault::torn(format!("{found} after {last}"))),
                        },
                        Err(PipeError::PeerDied { .. } | PipeError::Closed) if last != 12 => {
                            std::thread::sleep(Duration::from_micros(50));
                        }
                        Err(PipeError::Closed) => break,
                        Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
                    }
                }
                actor.through();
                Ok(())
            })
        })?;
        let successor = stage.cast(2, &|actor| {
            with_pipe(&arena, |pipe| {
                actor.await_cue(GO)?;
                let mut sender = claim_sender(&pipe)?;
                [11, 12].into_iter().try_for_each(|number| send_one(&mut sender, number))?;
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        receiver.cue(GO);
        successor.cue(GO);
        Ok(Take::new(reached, killed, [successor.finish()?, receiver.finish()?]))
    })
}

/// The receiver is killed; the sender, which may sleep on the full ring, is told, and a successor gets the rest.
fn receiver(sleep: Sleep) -> Scene {
    let name = sleep.name("pipe/recv");
    let full = sleep != Sleep::Not;
    let about = "recv and batch killed; the sender is told, a successor gets the rest once";
    Scene::new(name, about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut sender = stage.cast(1, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut sender = claim_sender(&pipe)?;
                actor.await_cue(GO)?;
                if sleep == Sleep::Rattled {
                    actor.rattle()?;
                }
                let most = if full { u64::MAX } else { CAPACITY };
                (1..=CAPACITY).try_for_each(|number| send_one(&mut sender, number))?;
                let mut sent = CAPACITY;
                actor.phase(WAITING);
                while sent < most {
                    match sender.send(item(sent + 1)) {
                        Ok(()) => sent += 1,
                        Err(e) if matches!(e.error, PipeError::PeerDied { .. }) => break,
                        Err(e) => return Err(Fault::hung(format!("send: {}", e.error))),
                    }
                }
                actor.sheet().words[SENT].store(sent, Relaxed);
                actor.through();
                Ok(())
            })
        })?;
        // The end is claimed before anything is sent: a pipe without a receiver is waited for, not judged.
        let mut victim = stage.victim(0, &|actor| {
            with_pipe(&arena, |pipe| {
                let mut receiver = claim_receiver(&pipe)?;
                let received = &actor.sheet().words[RECEIVED];
                actor.mark();
                for _ in 0..SINGLES {
                    received.store(receive_one(&mut receiver)?, Relaxed);
                }
                let mut batch = [[0; 4]; BATCH as usize];
                let count = receiver.recv_batch(&mut batch);
                let count = count.map_err(|e| Fault::hung(format!("recv_batch: {e}")))?;
                received.store(batch[count - 1][0], Relaxed);
                actor.mark();
                Ok(())
            })
        })?;
        sender.cue(GO);
        if full {
            sender.await_asleep(WAITING)?;
        } else {
            sender.await_phase(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let told = sender.finish()?;
        let successor = stage.cast(2, &|actor| {
            actor.await_cue(NEXT)?;
            let words = &actor.sheet().words;
            let (received, sent) = (words[RECEIVED].load(Relaxed), words[SENT].load(Relaxed));
            with_pipe(&arena, |pipe| succeed(&pipe, received, sent))?;
            actor.through();
            Ok(())
        })?;
        successor.cue(NEXT);
        Ok(Take::new(reached, killed, [told, successor.finish()?]))
    })
}

/// What is left after the dead receiver got item `received`, of those up to `sent`: in order, whole, each at most
/// once, and to the last.
pub(super) fn succeed(pipe: &Pipe<Item, Me<'_>>, received: u64, sent: u64) -> Result<(), Fault> {
    let mut receiver = claim_receiver(pipe)?;
    let mut last = None;
    loop {
        match receiver.recv_timeout(LIMIT) {
            Ok(found) => {
                let found = number(found)?;
                let expected =
                    last.map_or(received + 1..=received + 1 + BATCH, |last| last + 1..=last + 1);
                if !expected.contains(&found) {
                    return Err(Fault::torn(format!(
                        "item {found} came, of {expected:?}; the dead had got {received}"
                    )));
                }
                last = Some(found);
            }
            // The sender has left.
            Err(PipeError::Closed | PipeError::PeerDied { .. }) => break,
            Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
        }
    }
    if last.unwrap_or(sent) != sent {
        return Err(Fault::torn(format!("items end with {last:?}, and {sent} were sent")));
    }
    Ok(())
}

pub(crate) fn make(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { Pipe::<Item, _>::init(arena.object(), CAPACITY, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))
}

pub(crate) fn with_pipe(
    arena: &Arena,
    then: impl FnOnce(Pipe<Item, Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a pipe of this type and capacity here.
    let pipe = unsafe { Pipe::<Item, _>::attach(arena.object(), CAPACITY, &me) };
    then(pipe.map_err(|e| Fault::broken(e.to_string()))?)
}

pub(crate) fn claim_sender<'a>(pipe: &Pipe<Item, Me<'a>>) -> Result<Sender<Item, Me<'a>>, Fault> {
    pipe.sender().map_err(|e| Fault::hung(format!("claim: {e}")))
}

pub(crate) fn claim_receiver<'a>(
    pipe: &Pipe<Item, Me<'a>>,
) -> Result<Receiver<Item, Me<'a>>, Fault> {
    pipe.receiver().map_err(|e| Fault::hung(format!("claim: {e}")))
}

/// Sends an item.
pub(super) fn send_one(sender: &mut Sender<Item, Me<'_>>, number: u64) -> Result<(), Fault> {
    sender.send(item(number)).map_err(|e| Fault::hung(format!("send: {}", e.error)))
}

/// Receives an item, and returns its number.
pub(super) fn receive_one(receiver: &mut Receiver<Item, Me<'_>>) -> Result<u64, Fault> {
    number(receiver.recv().map_err(|e| Fault::hung(format!("recv: {e}")))?)
}

fn send(arena: &Arena, actor: &Actor<'_>) -> Result<(), Fault> {
    with_pipe(arena, |pipe| {
        let mut sender = claim_sender(&pipe)?;
        actor.mark();
        (1..=SINGLES).try_for_each(|number| send_one(&mut sender, number))?;
        let batch: [Item; BATCH as usize] = std::array::from_fn(|i| item(SINGLES + 1 + i as u64));
        sender.send_all(&batch).map_err(|e| Fault::hung(format!("send_all: {}", e.error)))?;
        actor.mark();
        Ok(())
    })
}

fn receive(arena: &Arena, actor: &Actor<'_>) -> Result<u64, Fault> {
    let mut count = 0;
    with_pipe(arena, |pipe| {
        let mut receiver = claim_receiver(&pipe)?;
        begin(actor)?;
        loop {
            match receiver.recv() {
                Ok(found) => {
                    let found = number(found)?;
                    count += 1;
                    if found != count {
                        return Err(Fault::torn(format!("item {found} came as number {count}")));
                    }
                }
                Err(PipeError::PeerDied { .. }) => return Ok(()),
                Err(other) => return Err(Fault::hung(format!("recv: {other}"))),
            }
        }
    })?;
    Ok(count)
}

/// Waits for the cue, and says that the next thing is to receive.
pub(crate) fn begin(actor: &Actor<'_>) -> Result<(), Fault> {
    actor.await_cue(GO)?;
    actor.phase(WAITING);
    Ok(())
}
