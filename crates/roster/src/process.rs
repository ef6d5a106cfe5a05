//! A process that is no participant, or not yet.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::process::Child;

use nix::errno::Errno;
use shmkit_atomic::Ordering::Acquire;
use shmkit_atomic::fence;

use crate::Verdict;

/// A process by a descriptor of it: who is expected to join, and has no [`OwnerId`](crate::OwnerId) before it does.
///
/// The kernel says whether it has ended ([pidfd_open(2)]), be it waited for or not; another one of the same number is not
/// taken for it. It says nothing about the participant that the process may be by then: for who has joined, ask
/// [`ask`](crate::ask).
///
/// [pidfd_open(2)]: https://man7.org/linux/man-pages/man2/pidfd_open.2.html
#[derive(Debug)]
pub struct Process {
    pid: u32,
    /// `None` if it had ended before.
    descriptor: Option<OwnedFd>,
}

impl Process {
    /// Takes a descriptor of a child that was started by the standard library. One that has ended is reaped, as by
    /// [`Child::try_wait`].
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// use shmkit_roster::{Process, Verdict};
    ///
    /// let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn()?;
    /// let process = Process::of_child(&mut child)?;
    /// assert_eq!(process.verdict(), Verdict::Alive);
    /// child.wait()?; // It closes the child's input.
    /// assert_eq!(process.verdict(), Verdict::Dead);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// That of the system: no descriptor is free.
    pub fn of_child(child: &mut Child) -> io::Result<Self> {
        // It is not reaped after this but by who has `child`, and the number is its own until then.
        match child.try_wait()? {
            Some(_) => Ok(Self { pid: child.id(), descriptor: None }),
            None => Self::of_pid(child.id()),
        }
    }

    /// Takes a descriptor of a process by its number: of a child of this process that nobody has waited for, or the number
    /// may be another one's.
    ///
    /// # Errors
    ///
    /// That of the system: no descriptor is free, or there is no such process.
    pub fn of_pid(pid: u32) -> io::Result<Self> {
        // SAFETY: it takes two numbers and touches no memory.
        let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let number = Errno::result(opened)? as RawFd;
        // SAFETY: the kernel has just made it for us.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Self { pid, descriptor: Some(descriptor) })
    }

    /// Returns its number, which may be another's when it has been waited for.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Returns its descriptor, which is readable when it has ended; `None` if it had before, or if somebody has closed it.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().filter(|descriptor| is_of_process(descriptor)).map(AsFd::as_fd)
    }

    /// Returns whether it has ended, which is final: [`Dead`](Verdict::Dead), and what it stored before is seen. Then
    /// nobody else has this end of its memory, but a child that it has forked may live.
    /// [`Unknown`](Verdict::Unknown) if somebody has closed our descriptor (`close_range`), and it is no child of this
    /// process.
    pub fn verdict(&self) -> Verdict {
        let Some(descriptor) = &self.descriptor else { return Verdict::Dead };
        if !is_of_process(descriptor) {
            return self.verdict_of_child();
        }
        let mut asked =
            libc::pollfd { fd: descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one `pollfd`, which lives on; it does not wait.
        let answers = unsafe { libc::poll(&raw mut asked, 1, 0) };
        match answers {
            0 => Verdict::Alive,
            1 if asked.revents & libc::POLLIN != 0 => {
                // Acquire: whatever the process stored lies before its end, and what we load from here on, after it.
                fence(Acquire);
                Verdict::Dead
            }
            _ => Verdict::Unknown,
        }
    }
}

impl Process {
    /// The verdict about a child, whose number is its own until it is waited for, by that number.
    fn verdict_of_child(&self) -> Verdict {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: numbers alone; all zero bytes are one.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` lives on; what has ended is left to who waits for it.
        let answer = unsafe { libc::waitid(libc::P_PID, self.pid, &raw mut info, flags) };
        // SAFETY: what `waitid` has left to be zero or filled in as of a child.
        match (Errno::result(answer), unsafe { info.si_pid() }) {
            (Ok(_), 0) => Verdict::Alive,
            (Ok(_), _) => {
                fence(Acquire); // As in `verdict`.
                Verdict::Dead
            }
            (Err(_), _) => Verdict::Unknown,
        }
    }
}

/// Returns whether a descriptor leads to a process: it may have been closed behind our back, and opened by somebody since.
fn is_of_process(descriptor: &OwnedFd) -> bool {
    let (number, info) = (descriptor.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: signal 0 is none, and without information about it there is nothing to read.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, number, 0, info, 0) };
    // To the dead and to whom we may not signal, it cannot be sent either.
    matches!(Errno::result(sent), Ok(_) | Err(Errno::ESRCH | Errno::EPERM))
}

impl Drop for Process {
    fn drop(&mut self) {
        // What somebody else has opened at our number since is not ours to close.
        if let Some(descriptor) = self.descriptor.take_if(|descriptor| !is_of_process(descriptor)) {
            let _ = descriptor.into_raw_fd();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn cat() -> Child {
        Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn an_end_is_known_before_and_after_it_was_waited_for() {
        let mut child = cat();
        let process = Process::of_child(&mut child).unwrap();
        assert_eq!((process.verdict(), process.id()), (Verdict::Alive, child.id()));
        child.kill().unwrap();
        while process.verdict() == Verdict::Alive {
            std::thread::yield_now();
        }
        assert_eq!(process.verdict(), Verdict::Dead, "and nobody has waited");
        child.wait().unwrap();
        assert_eq!(process.verdict(), Verdict::Dead);
        assert_eq!(Process::of_child(&mut child).unwrap().verdict(), Verdict::Dead);
    }

    #[test]
    fn a_descriptor_that_is_somebody_elses_by_now_is_not_believed_and_not_closed() {
        let mut child = cat();
        let process = Process::of_child(&mut child).unwrap();
        let number = process.descriptor.as_ref().unwrap().as_raw_fd();
        let file = std::fs::File::open("/dev/null").unwrap();
        // SAFETY: two numbers of ours; that one of them is not that of the process any more is what is tested.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), number) }, number);
        assert_eq!(process.verdict(), Verdict::Alive, "it is still our child");
        child.kill().unwrap();
        while process.verdict() == Verdict::Alive {
            std::thread::yield_now();
        }
        assert_eq!(process.verdict(), Verdict::Dead);
        child.wait().unwrap();
        assert_eq!(process.verdict(), Verdict::Unknown, "its number may be another's");
        drop(process);
        // SAFETY: the number is open, and nobody else's.
        let theirs = unsafe { OwnedFd::from_raw_fd(number) };
        assert!(std::fs::File::from(theirs).metadata().is_ok(), "it was closed");
    }
}
