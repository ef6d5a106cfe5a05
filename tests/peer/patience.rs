//! A peer that waits for what never comes, and says what ended that.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shmkit::{Judge, ObjectError, Objects, OwnerId, Patience, Segment};

use crate::Channel;

/// Everything that can be waited for, by the name of its script.
pub const WAITS: [&str; 25] = [
    "reentrant",
    "value",
    "array",
    "mutex",
    "rwlock read",
    "rwlock write",
    "semaphore",
    "counting",
    "event",
    "barrier",
    "condvar",
    "condition",
    "once",
    "lock",
    "rlock",
    "send",
    "send from",
    "send all",
    "reserve",
    "reserve up to",
    "recv",
    "recv batch",
    "peek",
    "accept",
    "wait for peer",
];

/// Set by a signal handler.
static STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_: i32) {
    STOP.store(true, Relaxed);
}

/// Makes the objects, and what is waited for last: nobody else gets it while this participant lives.
///
/// # Errors
///
/// That of the segment.
pub fn make(segment: &Segment) -> Result<(), ObjectError> {
    segment.mutex("mutex", 0_u64)?;
    segment.mutex("free mutex", 0_u64)?;
    segment.reentrant_mutex("reentrant", 0_u64)?;
    segment.value("value", 0_u64)?;
    segment.array::<u64>("array", 3)?;
    segment.rwlock("rwlock", 0_u64)?;
    segment.semaphore("semaphore", 1)?;
    segment.counting_semaphore("counting", 0)?;
    segment.event("event")?;
    segment.barrier("barrier", 2)?;
    segment.condvar("condvar")?;
    segment.once_cell::<u64>("once")?;
    segment.lock("lock")?;
    segment.rlock("rlock")?;
    segment.pipe::<u64>("empty", 1)?;
    let full = segment.pipe::<u64>("full", 1)?;
    full.sender().expect("new").send(0).expect("room");
    Ok(())
}

/// `sit`: says who it is, and waits to be killed. Others wait for what they are called after: until they are told to stop
/// by a signal, or for as long as the participant of the argument lives.
///
/// # Panics
///
/// If there is no such script.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    if script == "sit" {
        channel.say(&segment.participant().me().expect("joined").get().to_string());
        channel.hear();
        return;
    }
    let action = SigAction::new(SigHandler::Handler(stop), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler stores a flag.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("sigaction");
    let hook = || match STOP.load(Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let peer = args.first().map(|id| id.parse().ok().and_then(OwnerId::from_word).expect("an id"));
    let patience = match peer {
        None => Patience::ENDLESS.interruptible(&hook),
        Some(peer) => Patience::ENDLESS.while_alive(peer),
    };
    channel.say("ready");
    let said = wait(script, segment, patience).expect("the object");
    channel.say(&said);
}

/// Waits, and returns what it came to.
fn wait(what: &str, segment: &Segment, patience: Patience<'_>) -> Result<String, ObjectError> {
    fn told(end: Result<impl Sized, impl Debug>) -> String {
        end.err().map_or("it came".to_owned(), |error| format!("{error:?}"))
    }
    Ok(match what {
        "mutex" => told(segment.mutex("mutex", 0_u64)?.lock_deadline(patience)),
        "reentrant" => told(segment.reentrant_mutex("reentrant", 0_u64)?.lock_deadline(patience)),
        "value" => told(segment.value("value", 0_u64)?.get_deadline(patience)),
        "array" => told(segment.array::<u64>("array", 3)?.lock_deadline(patience)),
        "rwlock read" => told(segment.rwlock("rwlock", 0_u64)?.read_deadline(patience)),
        "rwlock write" => told(segment.rwlock("rwlock", 0_u64)?.write_deadline(patience)),
        "semaphore" => told(segment.semaphore("semaphore", 1)?.acquire_deadline(patience)),
        "counting" => told(segment.counting_semaphore("counting", 0)?.acquire_deadline(patience)),
        "event" => told(segment.event("event")?.wait_deadline(patience)),
        "barrier" => told(segment.barrier("barrier", 2)?.wait_deadline(patience)),
        "once" => told(segment.once_cell::<u64>("once")?.wait_deadline(patience)),
        "lock" => told(segment.lock("lock")?.acquire_deadline(patience)),
        "rlock" => told(segment.rlock("rlock")?.acquire_deadline(patience)),
        "condvar" => {
            let (mutex, condvar) =
                (segment.mutex("free mutex", 0_u64)?, segment.condvar("condvar")?);
            let guard = mutex.lock().expect("free");
            let end = condvar.wait_deadline(guard, patience).map(|(guard, wakeup)| {
                drop(guard);
                format!("{wakeup:?}")
            });
            end.unwrap_or_else(|error| format!("{error:?}"))
        }
        "condition" => {
            let (mutex, condvar) =
                (segment.mutex("free mutex", 0_u64)?, segment.condvar("condvar")?);
            let guard = mutex.lock().expect("free");
            told(condvar.wait_while_deadline(guard, |number| *number == 0, patience))
        }
        "recv" | "recv batch" | "peek" | "accept" | "wait for peer" => {
            let mut end = segment.pipe::<u64>("empty", 1)?.receiver().expect("free");
            match what {
                "recv" => told(end.recv_deadline(patience)),
                "recv batch" => told(end.recv_batch_deadline(&mut [0; 2], patience)),
                "peek" => told(end.peek_deadline(patience)),
                "accept" => told(end.accept_deadline(patience)),
                _ => told(end.wait_for_peer_deadline(patience)),
            }
        }
        "send" | "send from" | "send all" | "reserve" | "reserve up to" => {
            let mut end = segment.pipe::<u64>("full", 1)?.sender().expect("closed");
            match what {
                "send" => told(end.send_deadline(1, patience)),
                "send from" => told(end.send_from_deadline(&1, patience)),
                "send all" => told(end.send_all_deadline(&[1, 2], patience)),
                "reserve" => told(end.reserve_deadline(1, patience)),
                _ => told(end.reserve_up_to_deadline(1, patience)),
            }
        }
        what => panic!("nobody waits for {what}"),
    })
}
