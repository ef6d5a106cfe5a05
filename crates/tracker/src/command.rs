//! Running a cleanup command, without an allocation.

use std::ptr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use shmkit_atomic::Deadline;
use shmkit_roster::NoForks;

use crate::fork::fork;
use crate::kind::MAX_NAME;
use crate::outcome::Outcome;

/// How long a command may take before it is killed.
pub(crate) const TIME: Duration = Duration::from_secs(10);

/// Most words of a command.
const WORDS: usize = 256;

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: libc::pid_t,
    deadline: Deadline,
}

unsafe extern "C" {
    static environ: *const *const libc::c_char;
}

/// Starts a command of words with a NUL between them.
pub(crate) fn start(words: &[u8]) -> Result<Running, Errno> {
    let mut text = [0; MAX_NAME + 1];
    text.get_mut(..words.len()).ok_or(Errno::E2BIG)?.copy_from_slice(words);
    let mut argv = [ptr::null::<libc::c_char>(); WORDS + 1];
    let starts = (0..words.len()).filter(|&at| at == 0 || words[at - 1] == 0);
    let mut count = 0;
    for at in starts {
        *argv.get_mut(count).filter(|_| count < WORDS).ok_or(Errno::E2BIG)? =
            text[at..].as_ptr().cast();
        count += 1;
    }
    // An empty word at the end.
    if words.last() == Some(&0) && count < WORDS {
        argv[count] = text[words.len()..].as_ptr().cast();
    }
    // A join in another thread has no descriptors to inherit then.
    let no_forks = NoForks::hold().ok();
    // SAFETY: the child calls nothing but what is safe between a fork and an exec.
    if let Some(child) = unsafe { fork() }? {
        drop(no_forks);
        return Ok(Running { child, deadline: Deadline::after(TIME) });
    }
    // A session of its own, so that it can be killed with what it has started; and signals as a program expects them.
    // SAFETY: a plain call.
    unsafe { libc::setsid() };
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE, libc::SIGCHLD] {
        // SAFETY: the default again, in a process of one thread.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: strings with their ends, in lists with theirs.
    unsafe { libc::execve(argv[0], argv.as_ptr(), environ) };
    // SAFETY: ends the child, which has done nothing.
    unsafe { libc::_exit(127) }
}

impl Running {
    /// What became of it, if it has ended; it is killed if it has run for too long.
    pub(crate) fn look(&self) -> Option<Outcome> {
        let mut status = 0;
        // SAFETY: our child, and room for its status.
        match unsafe { libc::waitpid(self.child, &raw mut status, libc::WNOHANG | libc::__WALL) } {
            0 => {
                if self.deadline.has_passed() {
                    // SAFETY: our child, which was not waited for, and its session.
                    unsafe { libc::kill(-self.child, libc::SIGKILL) };
                }
                None
            }
            // Somebody else in this program has waited for it.
            -1 => Some(Outcome::Done),
            _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => Some(Outcome::Done),
            _ => Some(Outcome::Failed(match libc::WIFEXITED(status) {
                true if libc::WEXITSTATUS(status) == 127 => libc::ENOENT,
                true => libc::ECANCELED,
                false => libc::EINTR,
            })),
        }
    }
}

/// Runs a command and waits for it.
pub(crate) fn run(words: &[u8]) -> Outcome {
    let running = match start(words) {
        Ok(running) => running,
        Err(errno) => return Outcome::Failed(errno as i32),
    };
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(ended) = running.look() {
            return ended;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::command;

    #[test]
    fn a_command_is_run_with_its_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made");
        let script = format!("test \"$#\" = 2 && test -z \"$2\" && : > '{}'", path.display());
        let words = command([&b"/bin/sh"[..], b"-c", script.as_bytes(), b"0", b"a", b""]);
        assert_eq!(run(&words), Outcome::Done);
        assert!(path.exists());
    }

    #[test]
    fn a_command_that_fails_says_so() {
        assert_eq!(run(b"/bin/false"), Outcome::Failed(libc::ECANCELED));
        assert_eq!(run(b"/no/such"), Outcome::Failed(libc::ENOENT));
        assert_eq!(run(b"/bin/sh\0-c\0kill -9 $$"), Outcome::Failed(libc::EINTR));
        assert_eq!(run(&[b'/'; 5000]), Outcome::Failed(libc::E2BIG));
        assert_eq!(run(&b"/\0".repeat(300)), Outcome::Failed(libc::E2BIG));
    }
}
