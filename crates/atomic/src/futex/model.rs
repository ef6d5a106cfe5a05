//! A model of the kernel's futex queue for loom.
//!
//! One kernel lock stands for the hash bucket's: the compare and the sleep are one step, a `wake_op` changes the word
//! and wakes in one step, and waiters of a word are woken first come, first served. Time does not pass; the end of a
//! slice is modelled where it matters, after a death: [`death`] ends every sleep, and a wait that begins before its
//! thread has taken notice of a death ends at once, as its slice would.

use std::collections::HashMap;

use loom::lazy_static;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread::ThreadId;

use super::{Op, Wake};
use crate::Ordering::{Relaxed, Release};
use crate::{AtomicU32, Deadline, fence};

lazy_static! {
    static ref KERNEL: Mutex<Kernel> = Mutex::new(Kernel::default());
}

#[derive(Default)]
struct Kernel {
    queue: Vec<Waiter>,
    next_ticket: u64,
    /// How many participants have died so far.
    deaths: u32,
    /// How many deaths each thread has been woken for.
    seen: HashMap<ThreadId, u32>,
}

struct Waiter {
    /// The word's address.
    word: usize,
    ticket: u64,
    ended: Option<Wake>,
    condvar: Arc<Condvar>,
}

impl Kernel {
    fn end(&mut self, n: u32, why: Wake, which: impl Fn(&Waiter) -> bool) -> u32 {
        let mut ended = 0;
        for waiter in &mut self.queue {
            if ended == n {
                break;
            }
            if waiter.ended.is_none() && which(waiter) {
                waiter.ended = Some(why);
                waiter.condvar.notify_one();
                ended += 1;
            }
        }
        ended
    }
}

pub(super) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Wake {
    let mut kernel = KERNEL.lock().unwrap();
    // Relaxed: the kernel lock orders this load after any change whose wake has been done.
    if word.load(Relaxed) != expected {
        return Wake::Changed;
    }
    if deadline == Deadline::PASSED {
        return Wake::TimedOut;
    }
    let deaths = kernel.deaths;
    let me = loom::thread::current().id();
    if kernel.seen.insert(me, deaths).unwrap_or(0) != deaths && deadline != Deadline::NEVER {
        return Wake::TimedOut;
    }
    let condvar = Arc::new(Condvar::new());
    let ticket = kernel.next_ticket;
    kernel.next_ticket += 1;
    kernel.queue.push(Waiter {
        word: address(word),
        ticket,
        ended: None,
        condvar: condvar.clone(),
    });
    loop {
        kernel = condvar.wait(kernel).unwrap();
        let at = kernel.queue.iter().position(|w| w.ticket == ticket).unwrap();
        if let Some(why) = kernel.queue[at].ended {
            kernel.queue.remove(at);
            if why == Wake::TimedOut {
                // Only then: who was woken first has yet to take notice of a death that came after.
                let deaths = kernel.deaths;
                kernel.seen.insert(me, deaths);
            }
            return why;
        }
    }
}

pub(super) fn wake(word: &AtomicU32, n: u32) -> u32 {
    let address = address(word);
    KERNEL.lock().unwrap().end(n, Wake::Woken, |w| w.word == address)
}

pub(super) fn wake_op(word: &AtomicU32, op: Op, n: u32) -> u32 {
    // Release: pairs with the Acquire of whoever reads the word that is about to change, as in the real call.
    fence(Release);
    let mut kernel = KERNEL.lock().unwrap();
    let mut now = word.load(Relaxed);
    while let Err(other) = word.compare_exchange(now, op.apply(now), Relaxed, Relaxed) {
        now = other;
    }
    let address = address(word);
    kernel.end(n, Wake::Woken, |w| w.word == address)
}

/// The model's kernel does not say: its callers ask about everybody.
pub(super) fn count(_: &AtomicU32, _: u32) -> Option<u32> {
    None
}

/// A participant dies: `mark` tells the roster so, and every slice that is being slept through ends.
pub fn death(mark: impl FnOnce()) {
    let mut kernel = KERNEL.lock().unwrap();
    mark();
    kernel.deaths += 1;
    kernel.end(super::ALL, Wake::TimedOut, |_| true);
}

/// The deadline of whoever sleeps on `word` passes; returns how many that were.
pub fn expire(word: &AtomicU32) -> u32 {
    let address = address(word);
    KERNEL.lock().unwrap().end(super::ALL, Wake::TimedOut, |w| w.word == address)
}

/// Returns how many threads sleep on `word`.
pub fn sleepers(word: &AtomicU32) -> usize {
    let address = address(word);
    let kernel = KERNEL.lock().unwrap();
    kernel.queue.iter().filter(|w| w.word == address && w.ended.is_none()).count()
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}
