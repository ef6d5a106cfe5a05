//! Waiting for something to receive.

use std::hint::spin_loop;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use shmkit::Patience;
use shmkit::sync::Slices;
use shmkit_atomic::{Deadline, processors};

use super::failure::Failure;
use super::ring::{HOPE, Ring};
use super::socket;

/// How long somebody who receives looks at the ring before he sleeps. A Python process answers within a quarter of it.
const LOOK: Duration = Duration::from_micros(20);
/// Then one wait in so many is tried with a look again.
const RARELY: u32 = 64;
/// Pauses of the processor between two looks: each takes the line from who writes to it.
const PAUSES: u32 = 12;
/// How long to let a socket be that is readable by something that is not ours.
const NAP: Duration = Duration::from_millis(1);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There was something.
    Ready,
    /// There is nothing, and nobody has the other end any more.
    AtEnd,
    /// The time is over.
    Late,
}

impl Ring {
    /// Waits until there is something, and first looks for it for a moment. Whoever `takes` it need not be told of it by the
    /// socket then.
    pub(crate) fn sleep(
        &self,
        socket: RawFd,
        patience: Patience<'_>,
        takes: bool,
    ) -> Result<Woken, Failure> {
        if self.look_out(patience, takes)? {
            return Ok(Woken::Ready);
        }
        let mut slices = Slices::new();
        loop {
            let until = slices.next(patience.deadline());
            let heard = socket::listen(socket, until)?;
            if self.has_some() {
                return Ok(Woken::Ready);
            }
            if heard.hung_up {
                // What was sent before the end is here.
                return Ok(if self.has_some() { Woken::Ready } else { Woken::AtEnd });
            }
            let mut is_for_nothing = false;
            if heard.readable {
                // Somebody else has taken it, or it was never sent, or the byte is none of ours.
                let Some(turn) = self.turn_for(patience)? else { return Ok(Woken::Late) };
                if !turn.is_empty() {
                    return Ok(Woken::Ready);
                }
                turn.settle(socket);
                drop(turn);
                is_for_nothing = socket::listen(socket, Deadline::PASSED)?.readable;
                if is_for_nothing {
                    thread::sleep(NAP);
                }
            }
            // A signal that comes now is served at the end of the next slice, and one that has ended the nap at once.
            let is_asked = heard.interrupted || is_for_nothing || until.has_passed();
            if is_asked && patience.says_stop() {
                return Err(Failure::Interrupted);
            }
            if patience.deadline().has_passed() {
                return Ok(Woken::Late);
            }
        }
    }

    /// Looks at the ring for a moment, if that has paid lately; returns whether something is there.
    fn look_out(&self, patience: Patience<'_>, takes: bool) -> Result<bool, Failure> {
        let hope = self.hope.load(Relaxed);
        // Above `HOPE`: in vain, and so many more waits without a look.
        if hope > HOPE {
            self.hope.store(if hope == HOPE + 1 { 1 } else { hope - 1 }, Relaxed);
            return Ok(self.has_some());
        }
        if processors() == 1 {
            return Ok(self.has_some());
        }
        let until = patience.deadline().min(Deadline::after(LOOK));
        if takes {
            let Some(turn) = self.turn_for(patience)? else { return Ok(false) };
            if !turn.is_empty() {
                return Ok(true);
            }
            turn.look_for(until);
        }
        let in_vain = if hope <= 1 { HOPE + RARELY } else { hope - 1 };
        while !self.has_some() {
            if until.has_passed() {
                self.hope.store(in_vain, Relaxed);
                if !takes {
                    return Ok(false);
                }
                // Otherwise nobody believes it any more.
                let Some(turn) = self.turn_for(patience)? else { return Ok(false) };
                turn.look_away();
                return Ok(!turn.is_empty());
            }
            (0..PAUSES).for_each(|_| spin_loop());
        }
        // Later than the end of the look, this thread was not running: it has kept whoever sends from its processor.
        self.hope.store(if until.has_passed() { in_vain } else { HOPE }, Relaxed);
        Ok(true)
    }
}
