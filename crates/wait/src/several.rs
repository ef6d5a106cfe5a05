//! The wait for one of several things.

use std::io;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use shmkit_atomic::Deadline;
use shmkit_atomic::futex::{MOST, Waiter, WakeAny, wait_any};
use shmkit_sync::Slices;

use crate::bridge::Rope;
use crate::coarse::wait_any_coarsely;
use crate::{Ready, Source, WaitError};

/// Waits until one of `things` is ready, for at most `limit` or, without one, for as long as it takes; returns the places of
/// all that are, in order, and none if the time is over. With a limit of zero it only looks.
///
/// One thing may be given several times, and is then ready at each place. Another who waits for the same may be faster: what is
/// ready here need not be any more by the time it is used, so that *try* is the form to use it by. Who is told of two things
/// and uses one leaves the other to those who sleep for it, who notice within a slice (32 ms).
///
/// ```
/// use std::net::UdpSocket;
/// use std::time::Duration;
///
/// use shmkit_wait::wait;
///
/// let [a, b] = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
/// a.send_to(b"hello", b.local_addr()?)?;
/// assert_eq!(wait(&[&a, &b], Duration::from_secs(10))?, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`WaitError`].
///
/// # If a peer dies
///
/// what it had done before makes ready what it belongs to; and so does its death, where an operation on it would tell of
/// that: after 32 ms at most.
pub fn wait(
    things: &[&dyn Ready],
    limit: impl Into<Option<Duration>>,
) -> Result<Vec<usize>, WaitError> {
    if things.is_empty() {
        return Err(WaitError::Nothing);
    }
    let deadline = limit.into().map_or(Deadline::NEVER, Deadline::after);
    let mut slices = Slices::new();
    let mut asked = deadline.has_passed();
    let mut rope = None;
    loop {
        let places = Places::of(things);
        let ready = places.ready(things, asked)?;
        if !ready.is_empty() || deadline.has_passed() {
            return Ok(ready);
        }
        let until = slices.next(deadline);
        places.sleep(until, &mut rope)?;
        asked = until.has_passed();
    }
}

/// Where to sleep for several things.
struct Places<'t> {
    /// What each is told by.
    sources: Vec<Source<'t>>,
    words: Vec<Waiter>,
    descriptors: Vec<PollFd<'t>>,
}

impl<'t> Places<'t> {
    fn of(things: &'t [&'t dyn Ready]) -> Self {
        let sources: Vec<_> = things.iter().map(|thing| thing.source()).collect();
        let (mut words, mut descriptors) = (Vec::new(), Vec::new());
        for source in &sources {
            match *source {
                Source::Word(waiter) => words.push(waiter),
                Source::Descriptor(fd) => descriptors.push(PollFd::new(fd, PollFlags::POLLIN)),
                Source::Nothing => {}
            }
        }
        Self { sources, words, descriptors }
    }

    /// Returns the places of those that are ready now.
    fn ready(&self, things: &[&dyn Ready], asked: bool) -> Result<Vec<usize>, WaitError> {
        let mut descriptors = self.descriptors.clone();
        if !descriptors.is_empty() {
            poll_until(&mut descriptors, Deadline::PASSED)?;
        }
        // Readable, at its end, or broken: whoever reads from it does not wait.
        let mut answers = descriptors.iter().map(|fd| fd.any().unwrap_or(true));
        let mut ready = Vec::new();
        for (at, (thing, source)) in things.iter().zip(&self.sources).enumerate() {
            let told = matches!(source, Source::Descriptor(_)) && answers.next() == Some(true);
            if told || thing.is_ready(asked) {
                ready.push(at);
            }
        }
        Ok(ready)
    }

    /// Sleeps until one of them is worth a look, or until `until`.
    fn sleep(&self, until: Deadline, rope: &mut Option<Rope>) -> Result<(), WaitError> {
        let (words, descriptors) = (&self.words, &self.descriptors);
        match (words.len(), descriptors.is_empty()) {
            (0, true) => sleep(until.remaining().unwrap_or(Duration::MAX)),
            (0, false) => poll_until(&mut descriptors.clone(), until)?,
            (1..=MOST, true) => {
                if wait_any(words, until) == WakeAny::Unsupported {
                    // The first word at least wakes us; of the others we hear a little late.
                    wait_any_coarsely(words, until);
                }
            }
            _ => {
                let rope = match rope {
                    Some(rope) => rope,
                    None => rope.insert(Rope::new().map_err(WaitError::System)?),
                };
                rope.tie(words, until).map_err(WaitError::System)?;
                let mut all = descriptors.clone();
                all.push(PollFd::new(rope.as_fd(), PollFlags::POLLIN));
                poll_until(&mut all, until)?;
            }
        }
        Ok(())
    }
}

/// `poll(2)`, which counts milliseconds: rounded up, so that a deadline has passed when it says so.
fn poll_until(descriptors: &mut [PollFd<'_>], until: Deadline) -> Result<(), WaitError> {
    let millis = |left: Duration| left.as_nanos().div_ceil(1_000_000);
    let timeout = until.remaining().map_or(PollTimeout::NONE, |left| {
        PollTimeout::try_from(millis(left)).unwrap_or(PollTimeout::MAX)
    });
    match poll(descriptors, timeout) {
        // Interrupted: the caller looks, and comes again.
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(WaitError::System(io::Error::from(error))),
    }
}
