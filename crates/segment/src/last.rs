//! The last one out: removing the name of a segment that this process has just left.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use shmkit_atomic::Deadline;
use shmkit_roster::{OwnerId, Participant};

use crate::error::Failure;
use crate::name::Place;
use crate::remove::{RemoveOutcome, Remover, Trouble, attempt, try_attempt};
use crate::status::Identity;

/// How long it looks again, while other removers are at work or a program that was started in the microseconds of this
/// process's join has not been executed yet: it keeps the join's locks until then.
const PATIENCE: Duration = Duration::from_millis(500);
/// The pause before the second look; each further one is twice as long.
const PAUSE: Duration = Duration::from_micros(50);
/// The longest one.
const MAX_PAUSE: Duration = Duration::from_millis(2);

/// Removes the name if it leads to this segment and nobody lives there any more. `me` is who has left.
pub(crate) fn out(
    place: &Place,
    identity: Identity,
    me: Option<OwnerId>,
) -> Result<RemoveOutcome, Failure> {
    let left = Remover::Left(identity, me);
    let deadline = Deadline::after(PATIENCE);
    let mut pause = PAUSE;
    loop {
        match try_attempt(place.at(), left) {
            Ok(Some(outcome)) => return Ok(outcome),
            Ok(None) if deadline.has_passed() => return Ok(RemoveOutcome::InUse),
            // Other threads may have every number that comes free.
            Err(Trouble::Open(Errno::EMFILE)) => match with_own_descriptors(place, left) {
                Ok(Some(outcome)) => return Ok(outcome),
                Err(failure) if deadline.has_passed() => return Err(failure),
                _ => {}
            },
            // The system's descriptors come and go.
            Err(Trouble::Open(Errno::ENFILE)) if !deadline.has_passed() => {}
            Err(trouble) => return Err(trouble.tell(place)),
            Ok(None) => {}
        }
        thread::sleep(pause);
        pause = (2 * pause).min(MAX_PAUSE);
    }
}

/// Removes the name if it leads to this segment and nobody lives there but this process, which is exiting: one look, as
/// somebody who is alive will look, too.
pub(crate) fn out_but_for(
    place: &Place,
    identity: Identity,
    me: &Participant<'_>,
) -> Result<RemoveOutcome, Failure> {
    let exiting = Remover::Exiting(identity, me);
    Ok(attempt(place, exiting)?.unwrap_or(RemoveOutcome::InUse))
}

/// Does it in a thread whose descriptors are its own, so that there is a number for one more.
fn with_own_descriptors(
    place: &Place,
    left: Remover<'_>,
) -> Result<Option<RemoveOutcome>, Failure> {
    let keep = place.at().0.as_raw_fd();
    let run = || match close_all_but(keep) {
        Ok(()) => attempt(place, left),
        Err(errno) => Err(Failure::os(errno, "close_range")),
    };
    shmkit_roster::with_own_descriptors(run)
        .map_err(|error| Failure::os(errno_of(&error), "starting a thread"))?
}

/// Closes all of this thread's own descriptors but input, output and errors, and the one to keep.
fn close_all_but(keep: RawFd) -> Result<(), Errno> {
    let close_range = |first: libc::c_uint, last: libc::c_uint| {
        if first > last {
            return Ok(());
        }
        // SAFETY: the copies are of this thread alone, whose code has none of its own yet, and no signal handler runs in it;
        // those that they were copied
        // from stay open, and so do their descriptions with whatever they hold.
        Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
    };
    // AT_FDCWD is none.
    let keep = libc::c_uint::try_from(keep).unwrap_or(libc::c_uint::MAX).max(3);
    let closed = close_range(3, keep - 1).and_then(|()| match keep {
        libc::c_uint::MAX => Ok(()),
        keep => close_range(keep + 1, libc::c_uint::MAX),
    });
    match closed {
        // Linux 5.8 and older: one number is enough.
        Err(Errno::ENOSYS) => {
            let number = if keep == 3 { 4 } else { 3 };
            // SAFETY: as above.
            Errno::result(unsafe { libc::close(number) }).map(drop)
        }
        other => other,
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::time::Instant;

    use super::*;
    use crate::inspect::{open_file, read};
    use crate::remove::{GHOSTS, if_dead_by};
    use crate::status::Status;
    use crate::{OpenOptions, Options};

    /// A segment in which only a forked child lives, which is killed after so long.
    fn with_ghost(kill_after: Duration, scene: impl FnOnce(&Place, Identity, OwnerId)) {
        let directory =
            tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
        let place = Place::new(directory.path(), "it").unwrap();
        let (hear, say) = nix::unistd::pipe().unwrap();
        // SAFETY: the child joins, says so, and waits to be killed; malloc works in it.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: a plain call.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let segment = Options::new(512).directory(directory.path()).create("it").unwrap();
            let me = segment.participant().id().unwrap().get();
            nix::unistd::write(&say, &me.to_ne_bytes()).unwrap();
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        }
        let mut word = [0; 4];
        nix::unistd::read(&hear, &mut word).unwrap();
        let ghost = OwnerId::from_word(u32::from_ne_bytes(word)).unwrap();
        let file = open_file(&place).unwrap();
        let status = Status::of(file.as_fd()).unwrap();
        let identity = Identity::new(&status, &read(file.as_fd(), status.size).unwrap());
        drop(file);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(kill_after);
                // SAFETY: our child, and nobody else's.
                unsafe { libc::kill(child, libc::SIGKILL) };
                // SAFETY: as above.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            });
            scene(&place, identity, ghost);
        });
        OpenOptions::new().directory(directory.path()).remove_if_dead("it").unwrap();
    }

    #[test]
    fn the_last_one_out_waits_for_the_locks_that_it_has_left_behind() {
        with_ghost(Duration::from_millis(20), |place, identity, ghost| {
            assert_eq!(out(place, identity, Some(ghost)).unwrap(), RemoveOutcome::Removed);
        });
    }

    #[test]
    fn the_last_one_out_waits_for_nobody_who_lives() {
        with_ghost(Duration::from_millis(20), |place, identity, _| {
            assert_eq!(out(place, identity, None).unwrap(), RemoveOutcome::InUse);
        });
    }

    /// What is started while somebody joins has the locks until it is executed.
    #[test]
    fn who_makes_a_segment_anew_looks_again_before_it_says_that_somebody_lives_there() {
        with_ghost(Duration::from_secs(1), |place, _, _| {
            let began = Instant::now();
            let looked = if_dead_by(place, None, Deadline::NEVER).unwrap();
            assert_eq!(looked, RemoveOutcome::InUse);
            assert!(began.elapsed() >= GHOSTS);
        });
    }

    #[test]
    fn the_last_one_out_does_not_wait_for_ever() {
        with_ghost(Duration::from_secs(2), |place, identity, ghost| {
            let began = Instant::now();
            assert_eq!(out(place, identity, Some(ghost)).unwrap(), RemoveOutcome::InUse);
            assert!(began.elapsed() >= PATIENCE);
            assert!(began.elapsed() < Duration::from_millis(1900));
        });
    }
}
