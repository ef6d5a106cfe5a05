//! The stepper: an actor that runs one instruction, or to the next system-call stop, at a time ([ptrace(2)]).
//!
//! [ptrace(2)]: https://man7.org/linux/man-pages/man2/ptrace.2.html

use std::time::Instant;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};

use crate::actor::{Cast, Role};
use crate::board::{Board, now};
use crate::changes::Trail;
use crate::{Fault, LIMIT};

/// What lies between two kill points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// One instruction.
    Instruction,
    /// A system call's entry or its exit.
    SystemCall,
}

/// What ends a drive before so many points.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The victim's second mark.
    Mark,
    /// That, and its first sleep on a futex.
    Sleep,
}

/// Which instructions are points.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Points {
    /// Each.
    Each,
    /// Those after which something has changed, if that was asked for; else each.
    Changes,
}

/// How far a victim was driven.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// Points passed.
    pub steps: u32,
    /// Whether the operation ended before the point that was asked for.
    pub end: bool,
}

/// An actor between its two marks.
#[derive(Debug)]
pub struct Victim<'s> {
    cast: Cast<'s>,
    /// Whether it has got to its second mark.
    at_end: bool,
}

enum Stop {
    /// A step was taken.
    Step,
    /// A system call is entered or left.
    SystemCall,
    /// The actor stopped itself.
    Mark,
}

impl<'s> Victim<'s> {
    /// Forks an actor and lets it run to its first mark.
    pub(crate) fn fork(board: &'s Board, seat: usize, role: &Role<'_>) -> Result<Self, Fault> {
        let traced = |actor: &crate::Actor<'_>| {
            ptrace::traceme()?;
            role(actor)
        };
        let mut victim = Self { cast: Cast::fork(board, seat, &traced)?, at_end: false };
        match victim.next_stop()? {
            Some(Stop::Mark) => {}
            _ => return Err(Fault::broken("the victim did not get to its first mark")),
        }
        let options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD;
        ptrace::setoptions(victim.cast.pid, options)?;
        Ok(victim)
    }

    /// Drives the victim over `steps` units, or to its second mark if that comes first.
    ///
    /// # Errors
    ///
    /// If it stops for another reason, ends, or sleeps for ever.
    pub fn advance(&mut self, unit: Unit, steps: u32) -> Result<Reached, Fault> {
        self.drive(unit, steps, Until::Mark, Points::Changes)
    }

    /// As [`Self::advance`] by instructions, and by each, whatever the points of those are that are killed: one that goes on has its
    /// registers.
    ///
    /// # Errors
    ///
    /// As [`Self::advance`].
    pub fn advance_each(&mut self, steps: u32) -> Result<Reached, Fault> {
        self.drive(Unit::Instruction, steps, Until::Mark, Points::Each)
    }

    /// As [`Self::advance`] by instructions; going to sleep on a futex is the end as well.
    ///
    /// # Errors
    ///
    /// As [`Self::advance`].
    pub fn advance_awake(&mut self, steps: u32) -> Result<Reached, Fault> {
        self.drive(Unit::Instruction, steps, Until::Sleep, Points::Changes)
    }

    fn drive(
        &mut self,
        unit: Unit,
        most: u32,
        until: Until,
        points: Points,
    ) -> Result<Reached, Fault> {
        let counts = points == Points::Changes && unit == Unit::Instruction;
        let mut trail = counts.then(|| Trail::begin(self.cast.pid)).flatten();
        let mut steps = 0;
        while steps < most {
            match unit {
                Unit::Instruction => ptrace::step(self.cast.pid, None)?,
                Unit::SystemCall => ptrace::syscall(self.cast.pid, None)?,
            }
            match self.next_stop()? {
                Some(Stop::Mark) => {
                    self.at_end = true;
                    return Ok(Reached { steps, end: true });
                }
                Some(_) if until == Until::Sleep && self.slept()? => {
                    return Ok(Reached { steps, end: true });
                }
                Some(_) => {}
                None => return Err(Fault::hung("the victim slept for ever in its operation")),
            }
            steps += match &mut trail {
                Some(trail) => trail.has_changed(self.called()?).into(),
                None => 1,
            };
        }
        Ok(Reached { steps: most, end: false })
    }

    /// Lets the victim run until it sleeps on a futex for the `nth` time: with slices that double, long enough for
    /// the director to act before the slice runs out. Or until it sleeps for ever.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn run_to_sleep(&mut self, nth: u32) -> Result<(), Fault> {
        let mut sleeps = 0;
        loop {
            ptrace::syscall(self.cast.pid, None)?;
            match self.next_stop()? {
                Some(Stop::SystemCall) => {}
                Some(_) => return Err(Fault::broken("the waiter ended before it slept")),
                None => return Err(Fault::hung("the waiter never slept")),
            }
            if let Some(for_ever) = self.enters_sleep()? {
                sleeps += 1;
                if sleeps == nth || for_ever {
                    return Ok(ptrace::syscall(self.cast.pid, None)?);
                }
            }
        }
    }

    /// Waits for the end of the sleep that [`Self::run_to_sleep`] began, and returns whether somebody woke the
    /// victim. It stops before its first instruction awake.
    ///
    /// # Errors
    ///
    /// If it sleeps for ever.
    pub fn await_wake(&mut self) -> Result<bool, Fault> {
        match self.next_stop()? {
            Some(Stop::SystemCall) => {
                let info = ptrace::syscall_info(self.cast.pid)?;
                // SAFETY: at a system call's exit (`op`) the kernel filled in `exit`; any bytes are an i64.
                let result = unsafe { info.u.exit.sval };
                Ok(info.op == libc::PTRACE_SYSCALL_INFO_EXIT && result == 0)
            }
            Some(_) => Err(Fault::broken("the waiter stopped in its sleep")),
            None => Err(Fault::hung("the waiter slept for ever")),
        }
    }

    /// Kills and reaps the victim, and returns when, in nanoseconds of `CLOCK_MONOTONIC`.
    pub fn kill(mut self) -> u64 {
        let at = now();
        self.cast.kill();
        at
    }

    /// Lets the victim run on as an ordinary actor.
    ///
    /// # Errors
    ///
    /// That of `ptrace`.
    pub fn release(self) -> Result<Cast<'s>, Fault> {
        let mut this = self;
        if !this.at_end {
            // Its second mark would stop it for good.
            ptrace::cont(this.cast.pid, None)?;
            match this.next_stop()? {
                Some(Stop::Mark) => {}
                _ => return Err(Fault::hung("the paused victim did not finish")),
            }
        }
        ptrace::detach(this.cast.pid, None)?;
        Ok(this.cast)
    }

    /// Waits for the next stop; `None` if there is none within the limit.
    fn next_stop(&mut self) -> Result<Option<Stop>, Fault> {
        let mut end = None;
        loop {
            return match waitpid(self.cast.pid, None) {
                Ok(WaitStatus::Stopped(_, Signal::SIGTRAP)) => Ok(Some(Stop::Step)),
                Ok(WaitStatus::Stopped(_, Signal::SIGSTOP)) => Ok(Some(Stop::Mark)),
                Ok(WaitStatus::PtraceSyscall(_)) => Ok(Some(Stop::SystemCall)),
                Err(nix::Error::EINTR) => {
                    // The metronome.
                    if Instant::now() < *end.get_or_insert_with(|| Instant::now() + LIMIT) {
                        continue;
                    }
                    Ok(None)
                }
                Ok(status) => Err(self.cast.seat().recorded().unwrap_or_else(|| {
                    Fault::hung(format!("the victim stopped where it must not: {status:?}"))
                })),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// Returns whether the victim, at a system call's entry, is about to sleep on a futex, and then, whether without a
    /// limit.
    fn enters_sleep(&self) -> Result<Option<bool>, Fault> {
        let info = ptrace::syscall_info(self.cast.pid)?;
        if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
            return Ok(None);
        }
        // SAFETY: at a system call's entry (`op`) the kernel filled in `entry`; any bytes are numbers.
        let entry = unsafe { info.u.entry };
        Ok(is_futex_wait(entry.nr, entry.args[1]).then_some(entry.args[3] == 0))
    }

    /// Returns whether the step just taken was a system call.
    #[cfg(target_arch = "x86_64")]
    fn called(&self) -> Result<bool, Fault> {
        // As in `slept`.
        Ok(ptrace::getregs(self.cast.pid)?.orig_rax as i64 >= 0)
    }

    /// Elsewhere any step may have been one.
    #[cfg(not(target_arch = "x86_64"))]
    fn called(&self) -> Result<bool, Fault> {
        Ok(true)
    }

    /// Returns whether the step just taken was a sleep on a futex, or the next one is one that lasts longer than a victim
    /// is waited for.
    #[cfg(target_arch = "x86_64")]
    fn slept(&self) -> Result<bool, Fault> {
        /// The instruction `syscall`.
        const SYSCALL: i64 = 0x050f;
        let regs = ptrace::getregs(self.cast.pid)?;
        // Only a stop on the way out of a system call has its number in `orig_rax`; at others it is -1.
        if is_futex_wait(regs.orig_rax, regs.rsi) {
            return Ok(true);
        }
        let read = |at: u64| ptrace::read(self.cast.pid, at as ptrace::AddressType);
        if !is_futex_wait(regs.rax, regs.rsi) || read(regs.rip)? & 0xffff != SYSCALL {
            return Ok(false);
        }
        // The seconds of an absolute time on the monotonic clock come first.
        let limit = (now() / 1_000_000_000 + LIMIT.as_secs()) as i64;
        Ok(regs.r10 == 0 || read(regs.r10)? > limit)
    }

    /// Elsewhere the victim's slices run out on its way, and the run ends at its cap.
    #[cfg(not(target_arch = "x86_64"))]
    fn slept(&self) -> Result<bool, Fault> {
        Ok(false)
    }
}

fn is_futex_wait(number: u64, operation: u64) -> bool {
    let command = operation as i32 & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    number == libc::SYS_futex as u64
        && (command == libc::FUTEX_WAIT || command == libc::FUTEX_WAIT_BITSET)
}
