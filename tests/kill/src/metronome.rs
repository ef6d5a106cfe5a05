//! A signal now and then, so that no blocking call lasts for ever.

use std::time::Duration;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::Fault;

/// Makes every blocking call of this process return with `EINTR` now and then: the director's, so that its waits have
/// a limit; a survivor's, whose waits must bear it. Forked children do not inherit the timer.
pub(crate) fn start(tick: Duration) -> Result<(), Fault> {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }?;
    let tick = libc::timeval { tv_sec: 0, tv_usec: tick.as_micros() as libc::suseconds_t };
    let every = libc::itimerval { it_interval: tick, it_value: tick };
    // SAFETY: `every` is a valid timer value for the length of the call; the old one is not asked for.
    let failed =
        unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const every, std::ptr::null_mut()) };
    nix::Error::result(failed)?;
    Ok(())
}
