//! Actors: forked processes that play one role of a scene.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use crate::board::{Board, DONE, Seat};
use crate::{Fault, LIMIT, Sheet, metronome};

/// What an actor does: the only thing that its process does.
pub type Role<'r> = dyn Fn(&Actor<'_>) -> Result<(), Fault> + 'r;

/// An actor, as it sees itself.
#[derive(Debug)]
pub struct Actor<'s> {
    seat: usize,
    board: &'s Board,
    pid: Pid,
}

impl Actor<'_> {
    /// Returns the actor's seat.
    pub fn seat(&self) -> usize {
        self.seat
    }

    /// Returns what all share.
    pub fn sheet(&self) -> &Sheet {
        self.board
    }

    /// Says how far this actor got.
    pub fn phase(&self, phase: u32) {
        self.board.seats[self.seat].set_phase(phase);
    }

    /// Waits until the director says `cue`.
    ///
    /// # Errors
    ///
    /// If it does not for a minute.
    pub fn await_cue(&self, cue: u32) -> Result<(), Fault> {
        if self.board.seats[self.seat].await_cue(cue) {
            return Ok(());
        }
        Err(Fault::broken("the director never gave the cue"))
    }

    /// Returns how far the director lets this actor go.
    pub fn cue(&self) -> u32 {
        self.board.seats[self.seat].cue()
    }

    /// Records that this actor is through: the end of its recovery time.
    pub fn through(&self) {
        self.board.seats[self.seat].stamp();
    }

    /// Forks a child that does this and ends, nothing dropped, with what it has then: it dies in the middle. Who looks at
    /// this actor meanwhile finds it asleep only if the child sleeps.
    ///
    /// # Errors
    ///
    /// What the child finds wrong, or that it does not end.
    pub(crate) fn outlive(&self, does: &dyn Fn() -> Result<(), Fault>) -> Result<(), Fault> {
        // SAFETY: an actor has one thread, so that its child may do what it likes.
        let child = match unsafe { fork() }? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let _ = prctl::set_pdeathsig(Signal::SIGKILL);
                let done = catch_unwind(AssertUnwindSafe(does));
                if let Ok(Err(fault)) = &done {
                    self.board.seats[self.seat].record(fault);
                }
                // SAFETY: ends the process at once, as a kill would.
                unsafe { libc::_exit(i32::from(!matches!(done, Ok(Ok(()))))) }
            }
        };
        let end = Instant::now() + LIMIT;
        loop {
            let flags = (state(child) != Some('S')).then_some(WaitPidFlag::WNOHANG);
            match waitpid(child, flags) {
                Ok(WaitStatus::StillAlive) if Instant::now() < end => std::hint::spin_loop(),
                Ok(WaitStatus::StillAlive) => return Err(Fault::hung("a child does not end")),
                Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
                Err(nix::Error::EINTR) => {}
                ended => return Err(Fault::hung(format!("a child ended: {ended:?}"))),
            }
        }
    }

    /// From now on a signal handler runs in this actor all the time: shorter than a slice of a sleep.
    ///
    /// # Errors
    ///
    /// That of `setitimer`.
    pub fn rattle(&self) -> Result<(), Fault> {
        metronome::start(Duration::from_millis(3))
    }

    /// Stops: the beginning of the operation that is killed at every point, and its end.
    ///
    /// Returns in a few instructions: these, and those that lead to the next stop, are the harness's own points.
    #[inline]
    pub fn mark(&self) {
        // The only error is that there is no such process; it is us.
        let _ = kill(self.pid, Signal::SIGSTOP);
    }
}

/// An actor, as the director sees it. Dropping it kills and reaps the process.
#[derive(Debug)]
pub struct Cast<'s> {
    pub(crate) pid: Pid,
    seat: usize,
    board: &'s Board,
    reaped: bool,
}

impl<'s> Cast<'s> {
    /// Forks an actor into `seat`.
    pub(crate) fn fork(board: &'s Board, seat: usize, role: &Role<'_>) -> Result<Self, Fault> {
        let director = getpid();
        // What somebody before it has said there would be taken for its own word: that it is through, and has found nothing wrong.
        board.seats[seat].clear();
        // SAFETY: the director has one thread, so that its child may do what it likes.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, seat, board, reaped: false }),
            ForkResult::Child => play(board, seat, director, role),
        }
    }

    /// Returns the actor's seat on the board.
    pub(crate) fn seat(&self) -> &'s Seat {
        &self.board.seats[self.seat]
    }

    /// Returns the number of the seat.
    pub(crate) fn at(&self) -> usize {
        self.seat
    }

    /// Lets the actor go on to `cue`.
    pub fn cue(&self, cue: u32) {
        self.seat().set_cue(cue);
    }

    /// Waits until the actor got to `phase`.
    ///
    /// # Errors
    ///
    /// What the actor found wrong; [`Hung`](crate::Kind::Hung) if it does not get there.
    pub fn await_phase(&mut self, phase: u32) -> Result<(), Fault> {
        let end = Instant::now() + LIMIT;
        loop {
            let here = self.seat().await_phase(phase, Duration::from_millis(50));
            if self.seat().phase() == DONE
                && let Some(fault) = self.seat().recorded()
            {
                return Err(fault);
            }
            if here {
                return Ok(());
            }
            match waitpid(self.pid, Some(WaitPidFlag::WNOHANG))? {
                WaitStatus::StillAlive => {}
                status => {
                    self.reaped = true;
                    return Err(Fault::hung(format!("actor {} ended: {status:?}", self.seat)));
                }
            }
            if Instant::now() >= end {
                return Err(self.hung(&format!("did not get to phase {phase}")));
            }
        }
    }

    /// Gives the actor some time to get to `phase`, which it may not do.
    pub fn settle(&mut self, phase: u32, time: Duration) {
        self.seat().await_phase(phase, time);
    }

    /// Waits until the actor got to `phase` and sleeps in the kernel.
    ///
    /// # Errors
    ///
    /// As [`Self::await_phase`].
    pub fn await_asleep(&mut self, phase: u32) -> Result<(), Fault> {
        self.await_phase(phase)?;
        let end = Instant::now() + LIMIT;
        // Through already is as good as asleep: the director sees the same from here on.
        while self.state() != Some('S') && self.seat().phase() != DONE {
            if Instant::now() >= end {
                return Err(self.hung("never went to sleep"));
            }
            std::thread::sleep(Duration::from_micros(20));
        }
        Ok(())
    }

    /// Returns whether the actor sleeps in the kernel.
    pub fn is_asleep(&self) -> bool {
        self.state() == Some('S')
    }

    /// Waits until the actor has finished, and returns when it was through, in nanoseconds of `CLOCK_MONOTONIC`.
    ///
    /// # Errors
    ///
    /// What it found wrong, or that it did not finish.
    pub fn finish(mut self) -> Result<u64, Fault> {
        self.await_phase(DONE)?;
        let through = self.seat().through();
        // It has nothing left to do but `_exit`.
        let status = loop {
            match waitpid(self.pid, None) {
                Err(nix::Error::EINTR) => {}
                status => break status?,
            }
        };
        self.reaped = true;
        if let Some(fault) = self.seat().recorded() {
            return Err(fault);
        }
        match status {
            WaitStatus::Exited(_, 0) => Ok(through),
            status => Err(Fault::hung(format!("actor {} ended: {status:?}", self.seat))),
        }
    }

    /// Stops the actor where it is, until [`Self::resume`]: it lives, and does nothing.
    ///
    /// # Errors
    ///
    /// That of `kill`.
    pub fn stop(&self) -> Result<(), Fault> {
        Ok(kill(self.pid, Signal::SIGSTOP)?)
    }

    /// Lets a stopped actor go on.
    ///
    /// # Errors
    ///
    /// That of `kill`.
    pub fn resume(&self) -> Result<(), Fault> {
        Ok(kill(self.pid, Signal::SIGCONT)?)
    }

    /// Kills and reaps the actor, as somebody who dies inside a scene: from now on its seat is a dead one's.
    pub fn kill(&mut self) {
        self.board.fall(self.seat);
        self.end();
    }

    /// Kills and reaps the process.
    fn end(&mut self) {
        if self.reaped {
            return;
        }
        let _ = kill(self.pid, Signal::SIGKILL);
        // A traced process may report a stop first.
        while let Err(nix::Error::EINTR)
        | Ok(WaitStatus::Stopped(..) | WaitStatus::PtraceSyscall(_)) = waitpid(self.pid, None)
        {
        }
        self.reaped = true;
    }

    fn state(&self) -> Option<char> {
        state(self.pid)
    }

    fn hung(&self, what: &str) -> Fault {
        Fault::hung(format!(
            "actor {} {what} (phase {}, state {})",
            self.seat,
            self.seat().phase(),
            self.state().unwrap_or('?'),
        ))
    }
}

impl Drop for Cast<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the state of a process: R, S, D, Z, t, …
fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may contain anything, `)` included.
    stat[stat.rfind(')')? + 1..].trim_start().chars().next()
}

/// The life of an actor's process.
fn play(board: &Board, seat: usize, director: Pid, role: &Role<'_>) -> ! {
    // Nobody of a failed run may hold slots alive in the next.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let status = if getppid() == director {
        let actor = Actor { seat, board, pid: getpid() };
        let result = catch_unwind(AssertUnwindSafe(|| role(&actor)))
            .unwrap_or_else(|_| Err(Fault::hung(format!("actor {seat} panicked"))));
        if let Err(fault) = &result {
            board.seats[seat].record(fault);
        }
        board.seats[seat].set_phase(DONE);
        0
    } else {
        1 // The director died before the line above.
    };
    // SAFETY: ends the process without running what the director registered to run at its own exit.
    unsafe { libc::_exit(status) }
}
