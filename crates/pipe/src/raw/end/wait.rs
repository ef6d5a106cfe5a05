//! How one side of a ring waits for the other.

use core::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::futex::Wake;
use shmkit_atomic::{Deadline, barrier};
use shmkit_roster::{Judge, OwnerId, PeerId};
use shmkit_sync::{GivenUp, Patience, Spin, Wait};

use super::peer::Found;
use super::{OFTEN, Peer, RawEnd};
use crate::raw::roles::HEAVY;
use crate::{PipeError, Waiting};

/// Pauses between two looks at the other side's position before a sleep. Each takes a line from the other side, which wants to
/// write to it; meanwhile several items come together.
const REST: u32 = 10;

/// The same of a receiver that gets each item alone.
const REST_ALONE: u32 = 2;

/// How often a side that waits for the rest of a message lets others run, and looks again, before it sleeps: 0.1 ms on a machine
/// that has nothing else to do. Once one side sleeps, the other has filled or emptied the ring before it is awake, and would fall
/// asleep in its turn: so they would go on, and a message would take a sleep for each time that it fills the ring.
const YIELDS: u32 = if cfg!(loom) { 0 } else { 250 };

/// How long operations that do not wait go on without asking whether the other side is alive.
const ASK_AFTER: Duration = Duration::from_millis(1);

/// What a side finds when it looks.
enum Look {
    /// So many places are ready, as many as wanted.
    Ready(u64),
    /// There is something to wait for: the other side is `Absent`, `Present` or `Unknown`.
    Wait(Peer),
}

impl<const SENDS: bool> RawEnd<'_, SENDS> {
    /// Waits until `want` places are ready, and returns how many are.
    ///
    /// # Errors
    ///
    /// [`PipeError::TimedOut`] and whatever else ends `patience`; of a receiver, [`PipeError::Closed`] and [`PipeError::PeerDied`] only
    /// if fewer than `want` items are left; of a sender, `Closed` always and `PeerDied` only if there is no room.
    ///
    /// # If a peer dies
    ///
    /// A waiter asks before it sleeps, and again after 1, 2, 4, … 32 ms.
    #[inline(always)]
    pub fn wait<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        want: u64,
        patience: impl Into<Patience<'p>>,
    ) -> Result<u64, PipeError> {
        if self.is_as_it_was(judge) {
            let ready = self.ready();
            if ready >= want {
                return Ok(ready);
            }
        }
        self.wait_looking(judge, want, &patience.into())
    }

    /// Goes on with a [`wait`](Self::wait) for which what it knew of does not do.
    #[inline(never)]
    fn wait_looking<J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        want: u64,
        patience: &Patience<'_>,
    ) -> Result<u64, PipeError> {
        self.check(judge)?;
        // Relaxed: a hint, as in `is_as_it_was`.
        let roles = self.load_roles(Relaxed);
        self.meet(roles);
        if !(SENDS && self.is_closed(roles.of(Self::OTHER))) {
            let before = self.ready();
            if before >= want {
                return Ok(before);
            }
            let ready = self.glance()?;
            if ready >= want {
                self.learn_of(before, ready);
                return Ok(ready);
            }
            if !SENDS && self.returned != self.mine {
                // Now there is time for it, and the sender may be waiting for room.
                self.give_back();
            }
        }
        if !patience.waits() {
            return self.poll(judge, want);
        }
        let ready = self.wait_long(judge, want, *patience)?;
        self.learn_of(0, ready);
        Ok(ready)
    }

    fn learn_of(&mut self, before: u64, ready: u64) {
        if !SENDS && before == 0 {
            self.learn(ready);
        }
    }

    /// Ends a [`wait`](Self::wait) that has just looked in vain, for who does not wait.
    fn poll<J: Judge + ?Sized>(&mut self, judge: &J, want: u64) -> Result<u64, PipeError> {
        // Whether the other side is alive costs a system call: it is not asked every time.
        let asked = self.ask_at.has_passed_coarsely();
        if !asked && !self.peer_closed() {
            // A receiver has just done so.
            let ready = if SENDS { self.look()? } else { self.ready() };
            return if ready >= want { Ok(ready) } else { Err(PipeError::TimedOut) };
        }
        match self.look_at_all(judge, want, asked) {
            Ok(Look::Ready(ready)) => Ok(ready),
            // It is asked again, and told again, at the next attempt.
            Ok(Look::Wait(Peer::Unknown(peer))) => {
                Err(PipeError::CannotJudge { peer: peer.into() })
            }
            Err(error) => Err(error),
            Ok(Look::Wait(_)) => {
                if asked {
                    self.ask_at = Deadline::after(ASK_AFTER);
                }
                Err(PipeError::TimedOut)
            }
        }
    }

    #[cold]
    fn wait_long<J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        want: u64,
        patience: Patience<'_>,
    ) -> Result<u64, PipeError> {
        // Most waits end here: nothing is asked, and no clock is read.
        if self.waiting != Waiting::Sleep && self.spin(want)? {
            return Ok(self.ready());
        }
        let mut wait = Wait::new(patience, self.me, judge);
        let mut unsure = None;
        let mut asked = true;
        loop {
            match self.look_at_all(judge, want, asked)? {
                Look::Ready(ready) => return Ok(ready),
                Look::Wait(peer) if asked => unsure = heard(&mut wait, peer),
                Look::Wait(_) => {}
            }
            wait.check().map_err(|why| given_up(why, unsure, patience))?;
            let wake = if self.waiting != Waiting::Spin {
                self.sleep(want, wait.until())?
            } else if !self.spin(want)? && wait.until().has_passed() {
                Wake::TimedOut
            } else {
                Wake::Changed
            };
            asked = wait.slept(wake).map_err(|why| given_up(why, unsure, patience))?;
            self.check(judge)?;
        }
    }

    /// Looks for some microseconds; returns whether so many places are ready.
    fn spin(&mut self, want: u64) -> Result<bool, PipeError> {
        let rest = if self.alone == OFTEN { REST_ALONE } else { REST };
        let mut spin = Spin::for_hand_over(rest);
        while !self.peer_closed() && spin.again() {
            if self.glance()? >= want {
                return Ok(true);
            }
        }
        for _ in 0..if self.hurried { YIELDS } else { 0 } {
            if self.peer_closed() {
                break;
            }
            std::thread::yield_now();
            if self.glance()? >= want {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks at everything, in the order that loses nothing: what the other side is, then its position, and only then
    /// is judged.
    fn look_at_all<J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        want: u64,
        asked: bool,
    ) -> Result<Look, PipeError> {
        let Found { peer, session, .. } = self.find(judge, asked)?;
        let ready = self.look()?;
        let error = match peer {
            Peer::Closed if SENDS => PipeError::Closed,
            _ if ready >= want => return Ok(Look::Ready(ready)),
            Peer::Closed => PipeError::Closed,
            Peer::Dead(peer) => {
                // What was sent has been received, or is the successor's.
                PipeError::PeerDied { peer, left: if SENDS { self.len() } else { 0 } }
            }
            Peer::Absent
            | Peer::Present
            | Peer::Unknown(_)
            | Peer::NeverCame(_)
            | Peer::Ended(_) => {
                return peer.may_come().map(|()| Look::Wait(peer));
            }
        };
        self.note(session);
        self.heard = Some(session);
        Err(error)
    }

    /// Sleeps until the other side rings or the slice ends, unless there is nothing to sleep for.
    fn sleep(&mut self, want: u64, slice: Deadline) -> Result<Wake, PipeError> {
        let bell = &self.ring.control.bell[Self::SELF];
        let armed = bell.arm();
        if self.word & HEAVY != 0 {
            // A peer that leaves its fence to us (`notify`) either sees the bell armed, or we see below what it
            // published. If the kernel refuses now, though it registered us: the end of the slice.
            barrier::heavy();
        }
        if self.look()? >= want || self.peer_closed() {
            // The mark stays on the bell: at most one ring for nobody.
            return Ok(Wake::Changed);
        }
        Ok(bell.sleep(armed, slice))
    }
}

/// Tells a wait what was heard of the other side, and returns of whom nobody could tell.
pub(super) fn heard<J: Judge + ?Sized>(wait: &mut Wait<'_, J>, peer: Peer) -> Option<OwnerId> {
    let unsure = match peer {
        Peer::Unknown(peer) => Some(peer),
        _ => None,
    };
    wait.heard(unsure.is_none());
    unsure
}

/// Returns what ended a wait; at its end nobody could tell of who is at the other side, if `unsure`, or as long as whose life
/// it was to last.
#[cold]
pub(super) fn given_up(why: GivenUp, unsure: Option<OwnerId>, patience: Patience<'_>) -> PipeError {
    match why {
        GivenUp::CannotJudge => match unsure.map(PeerId::from).or(patience.peers().next()) {
            Some(peer) => PipeError::CannotJudge { peer },
            None => PipeError::TimedOut,
        },
        GivenUp::TimedOut => PipeError::TimedOut,
        GivenUp::Interrupted => PipeError::Interrupted,
        GivenUp::PeerDied(PeerId::Participant(peer)) => PipeError::PeerDied { peer, left: 0 },
        GivenUp::PeerDied(PeerId::Process(pid)) => PipeError::ProcessEnded { pid },
    }
}
