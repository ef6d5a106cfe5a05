//! Scenes of the pipe of messages: survivors see whole messages in order, and of a streamed one all or that it is torn.

use std::io::IoSlice;
use std::mem;
use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Object, Offset};
use shmkit_pipe::{FrameReceiver, FrameSender, Frames, PipeError};

use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault, LIMIT, Scene, Take, Unit};

/// Bytes of the pipe: a message of up to 120 lies there in one piece.
const CAPACITY: u64 = 256;
/// Its words, which is the length that it is found by.
const WORDS: u64 = CAPACITY / 8;
/// Where the pipe stands at first, in words: a message soon comes to its end.
const START: u64 = 19;
/// Messages that fit into it.
const MESSAGES: u64 = 5;
/// The message that is streamed.
pub(super) const LONG: u64 = 100;

/// The survivor is about to use its end.
const WAITING: u32 = 1;
/// Go on.
const GO: u32 = 1;
/// [`Sheet::words`](crate::Sheet): the number of the last message that the dead receiver had got.
const RECEIVED: usize = 0;

/// Makes message `number`: the short ones of different lengths.
pub(super) fn message(number: u64) -> Vec<u8> {
    let len = if number == LONG { 600 } else { 1 + number * 11 % 40 };
    (0..len).map(|at| (number + at * 3) as u8).collect()
}

/// Returns the number of a message that is whole.
pub(super) fn number(found: &[u8]) -> Result<u64, Fault> {
    let number = found.first().copied().unwrap_or_default().into();
    if found == message(number) {
        return Ok(number);
    }
    Err(Fault::torn(format!("received {found:x?}")))
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    vec![sender(false), sender(true), streaming(), receiver(), gathering(), heir()]
}

/// The sender is killed; the receiver comes later, or sleeps from the beginning.
fn sender(asleep: bool) -> Scene {
    let name = if asleep { "frames/send+sleeper" } else { "frames/send" };
    let about = "send, in parts and in place, killed; the receiver sees a prefix, then the death";
    Scene::new(name, about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut victim = stage.victim(0, &|actor| {
            with_frames(&arena, |frames| {
                let mut sender = claim_sender(&frames)?;
                actor.mark();
                send(&mut sender, 1)?;
                let two = message(2);
                let parts = [IoSlice::new(&two[..3]), IoSlice::new(&two[3..])];
                sender.send_vectored(&parts).map_err(failed("send_vectored"))?;
                let three = message(3);
                let mut draft = sender.reserve(three.len() + 20).map_err(failed("reserve"))?;
                draft.bytes()[..three.len()].copy_from_slice(&three);
                draft.commit(three.len()).map_err(failed("commit"))?;
                (4..=MESSAGES).try_for_each(|number| send(&mut sender, number))?;
                actor.mark();
                Ok(())
            })
        })?;
        let mut receiver = stage.cast(1, &|actor| {
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                actor.phase(WAITING);
                if !asleep {
                    actor.await_cue(GO)?;
                }
                let mut last = 0;
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => last = follows(last, number(&found)?)?,
                        Err(PipeError::PeerDied { .. }) if last <= MESSAGES => break,
                        Err(other) => return Err(failed("recv")(other)),
                    }
                }
                actor.through();
                Ok(())
            })
        })?;
        if asleep {
            receiver.await_asleep(WAITING)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        receiver.cue(GO);
        Ok(Take::new(reached, killed, [receiver.finish()?]))
    })
}

/// The sender of a streamed message is killed: the receiver gets all of it, or is told that it is torn.
fn streaming() -> Scene {
    let about = "a stream killed; the receiver sees all of the message, or that it is torn";
    Scene::new("frames/stream", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut receiver = stage.cast(1, &|actor| {
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                actor.phase(WAITING);
                let mut all = Vec::new();
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => all.push(number(&found)?),
                        Err(PipeError::Torn { discarded: 1..600 }) => all.push(0),
                        Err(PipeError::PeerDied { .. }) => break,
                        Err(other) => return Err(failed("recv")(other)),
                    }
                }
                let right: [&[u64]; 5] = [&[], &[1], &[1, 0], &[1, LONG], &[1, LONG, 2]];
                if !right.contains(&all.as_slice()) {
                    return Err(Fault::torn(format!("received {all:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        let mut victim = stage.victim(0, &|actor| {
            with_frames(&arena, |frames| {
                let mut sender = claim_sender(&frames)?;
                actor.mark();
                [1, LONG, 2].into_iter().try_for_each(|number| send(&mut sender, number))?;
                actor.mark();
                Ok(())
            })
        })?;
        receiver.await_phase(WAITING)?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        Ok(Take::new(reached, killed, [receiver.finish()?]))
    })
}

/// The receiver is killed: a successor gets what it had not got, each once.
fn receiver() -> Scene {
    let about = "recv, in place and left out, killed; a successor gets the rest once";
    Scene::new("frames/recv", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let sender = stage.cast(1, &|actor| {
            with_frames(&arena, |frames| {
                let mut sender = claim_sender(&frames)?;
                (1..=MESSAGES).try_for_each(|number| send(&mut sender, number))?;
                actor.through();
                Ok(())
            })
        })?;
        let sender = sender.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                let received = &actor.sheet().words[RECEIVED];
                actor.mark();
                let mut buffer = [0; 64];
                let len = receiver.recv_into(&mut buffer).map_err(failed("recv_into"))?;
                received.store(number(&buffer[..len])?, Relaxed);
                let found = receiver.peek().map_err(failed("peek"))?;
                let second = number(found.bytes())?;
                found.release().map_err(failed("release"))?;
                received.store(second, Relaxed);
                receiver.discard().map_err(failed("discard"))?;
                received.store(3, Relaxed);
                received.store(number(&receiver.recv().map_err(failed("recv"))?)?, Relaxed);
                actor.mark();
                mem::forget(receiver);
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let successor = stage.cast(2, &|actor| {
            let received = actor.sheet().words[RECEIVED].load(Relaxed);
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                let mut last = None;
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => {
                            let found = number(&found)?;
                            // What it was killed with may have been released, and not been noted.
                            let before = last.unwrap_or(received + u64::from(found > received + 1));
                            last = Some(follows(before, found)?);
                        }
                        Err(PipeError::Closed | PipeError::PeerDied { .. }) => break,
                        Err(other) => return Err(failed("recv")(other)),
                    }
                }
                if last.unwrap_or(MESSAGES) != MESSAGES {
                    return Err(Fault::torn(format!("messages end with {last:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        Ok(Take::new(reached, killed, [sender, successor.finish()?]))
    })
}

/// The receiver of a streamed message is killed: its successor gets all of it, or is told that it is torn; and the next ones.
fn gathering() -> Scene {
    let about = "the receiver of a stream killed; its heir is told, and gets the next message";
    Scene::new("frames/recv+stream", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let mut victim = stage.victim(0, &|actor| {
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                let received = &actor.sheet().words[RECEIVED];
                actor.mark();
                for _ in 0..2 {
                    received.store(number(&receiver.recv().map_err(failed("recv"))?)?, Relaxed);
                }
                actor.mark();
                mem::forget(receiver);
                Ok(())
            })
        })?;
        let sender = stage.cast(1, &|actor| {
            with_frames(&arena, |frames| {
                let mut sender = claim_sender(&frames)?;
                for number in [LONG, 1, 2] {
                    loop {
                        match sender.send_timeout(&message(number), LIMIT) {
                            Ok(()) => break,
                            // Given up: its pieces are nobody's any more.
                            Err(PipeError::PeerDied { .. }) if number == LONG => break,
                            Err(PipeError::PeerDied { .. }) => {
                                std::thread::sleep(Duration::from_micros(50));
                            }
                            Err(other) => return Err(failed("send")(other)),
                        }
                    }
                }
                actor.through();
                Ok(())
            })
        })?;
        let successor = stage.cast(2, &|actor| {
            actor.await_cue(GO)?;
            let received = actor.sheet().words[RECEIVED].load(Relaxed);
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                let mut all = Vec::new();
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => all.push(number(&found)?),
                        Err(PipeError::Torn { .. }) => all.push(0),
                        Err(PipeError::Closed | PipeError::PeerDied { .. }) => break,
                        Err(other) => return Err(failed("recv")(other)),
                    }
                }
                let right: &[&[u64]] = match received {
                    // The message was taken and not noted, or the sender had given it up before anything was taken.
                    0 => &[&[LONG, 1, 2], &[0, 1, 2], &[1, 2]],
                    LONG => &[&[1, 2], &[2]],
                    _ => &[&[2]],
                };
                if !right.contains(&all.as_slice()) {
                    return Err(Fault::torn(format!("{all:?} after {received}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        successor.cue(GO);
        Ok(Take::new(reached, killed, [sender.finish()?, successor.finish()?]))
    })
}

/// The heir of a sender that died in the middle of a stream is killed, too: what it sends is not taken for the rest of it.
fn heir() -> Scene {
    let about = "the heir of a dead stream's sender killed; nothing of it is mixed with the stream";
    Scene::new("frames/heir", about, 60, move |stage, point| {
        let arena = Arena::new()?;
        make(&arena)?;
        let first = stage.cast(1, &|actor| {
            with_frames(&arena, |frames| {
                let mut sender = claim_sender(&frames)?;
                let _ = sender.send_timeout(&message(LONG), Duration::from_micros(1));
                actor.through();
                mem::forget(sender); // Its process ends, and has not closed it.
                Ok(())
            })
        })?;
        let first = first.finish()?;
        let mut victim = stage.victim(0, &|actor| {
            with_frames(&arena, |frames| {
                actor.mark();
                let mut sender = claim_sender(&frames)?;
                let sent = sender.send_timeout(&message(1), Duration::from_micros(1));
                actor.mark();
                mem::forget(sender);
                match sent {
                    Ok(()) | Err(PipeError::TimedOut) => Ok(()),
                    Err(other) => Err(failed("send")(other)),
                }
            })
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let receiver = stage.cast(2, &|actor| {
            with_frames(&arena, |frames| {
                let mut receiver = claim_receiver(&frames)?;
                let mut all = Vec::new();
                loop {
                    match receiver.recv_timeout(LIMIT) {
                        Ok(found) => all.push(number(&found)?),
                        Err(PipeError::Torn { .. }) => all.push(0),
                        Err(PipeError::Closed | PipeError::PeerDied { .. }) => break,
                        Err(other) => return Err(failed("recv")(other)),
                    }
                }
                if ![&[0][..], &[0, 1]].contains(&all.as_slice()) {
                    return Err(Fault::torn(format!("received {all:?}")));
                }
                actor.through();
                Ok(())
            })
        })?;
        Ok(Take::new(reached, killed, [first, receiver.finish()?]))
    })
}

/// Returns the message that has come, if it is the next one.
fn follows(last: u64, found: u64) -> Result<u64, Fault> {
    if found == last + 1 {
        return Ok(found);
    }
    Err(Fault::torn(format!("message {found} came after {last}")))
}

pub(super) fn failed(what: &'static str) -> impl Fn(PipeError) -> Fault {
    move |error| Fault::hung(format!("{what}: {error}"))
}

pub(super) fn make(arena: &Arena) -> Result<(), Fault> {
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    let made = unsafe { Frames::init(arena.object(), CAPACITY, &NOBODY) };
    made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
    // As after so many words that were sent and received: head, tail, and what the sender knows of the first.
    for at in [128, 256, 384] {
        let at = Offset::<u64>::new(at).expect("aligned");
        arena.object().write(at, START).map_err(|e| Fault::broken(e.to_string()))?;
    }
    Ok(())
}

pub(super) fn with_frames(
    arena: &Arena,
    then: impl FnOnce(Frames<Me<'_>>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a pipe of this capacity here.
    let frames = unsafe { Frames::attach(arena.object(), WORDS, &me) };
    then(frames.map_err(|e| Fault::broken(e.to_string()))?)
}

pub(super) fn claim_sender<'a>(frames: &Frames<Me<'a>>) -> Result<FrameSender<Me<'a>>, Fault> {
    frames.sender().map_err(|e| Fault::hung(format!("claim: {e}")))
}

pub(super) fn claim_receiver<'a>(frames: &Frames<Me<'a>>) -> Result<FrameReceiver<Me<'a>>, Fault> {
    frames.receiver().map_err(|e| Fault::hung(format!("claim: {e}")))
}

pub(super) fn send(sender: &mut FrameSender<Me<'_>>, number: u64) -> Result<(), Fault> {
    sender.send(&message(number)).map_err(failed("send"))
}
