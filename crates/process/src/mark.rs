//! The mark in the environment of a process that was started to run a task.
//!
//! It is what keeps a program that does not know of it from starting itself for ever: whoever has it, and has not
//! passed [`init`](crate::init), may start nobody.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::OnceLock;

use nix::sys::stat::fstat;

/// The variable.
pub(crate) const VARIABLE: &str = "SHMKIT_TASK";
const VERSION: u32 = 1;

/// What a process is told before it has read anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// How many processes stand above it: 1 for one that was started by a program that nobody started.
    pub(crate) depth: u32,
    /// The number of the file that its standard input is.
    pub(crate) inode: u64,
    /// It outlives who started it.
    pub(crate) detached: bool,
}

/// That of this process, once it has taken it.
static TAKEN: OnceLock<Mark> = OnceLock::new();

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let version: u32 = parts.next()?.parse().ok()?;
        let (depth, inode) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let detached = match parts.next()? {
            "stays" => true,
            "ends" => false,
            _ => return None,
        };
        let is_all = parts.next().is_none() && version == VERSION;
        is_all.then_some(Self { depth, inode, detached })
    }

    /// Takes that of this process from its environment, if it has one and its standard input is what it says.
    pub(crate) fn take() -> Option<Self> {
        let mark = Self::parse(&std::env::var(VARIABLE).ok()?)?;
        let input = fstat(stdin()).ok()?;
        if input.st_ino != mark.inode || TAKEN.set(mark).is_err() {
            return None;
        }
        if shmkit_roster::is_alone() {
            // Programs that the task starts are no tasks.
            // SAFETY: this process has one thread, so that no other one reads the environment.
            unsafe { std::env::remove_var(VARIABLE) };
        }
        Some(mark)
    }

    /// Returns whether this process was started to run a task, and does not know.
    pub(crate) fn is_pending() -> bool {
        TAKEN.get().is_none() && std::env::var_os(VARIABLE).is_some()
    }

    /// Returns how many processes stand above this one.
    pub(crate) fn depth() -> u32 {
        // One that does not know what it was started for counts as well.
        let pending = || Self::parse(&std::env::var(VARIABLE).ok()?);
        TAKEN.get().copied().or_else(pending).map_or(0, |mark| mark.depth)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.detached { "stays" } else { "ends" };
        write!(f, "{VERSION}:{}:{}:{end}", self.depth, self.inode)
    }
}

pub(crate) fn stdin() -> BorrowedFd<'static> {
    // SAFETY: a number that is used for system calls only; one that is not open answers EBADF.
    unsafe { BorrowedFd::borrow_raw(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        for detached in [false, true] {
            let mark = Mark { depth: 3, inode: u64::MAX, detached };
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        for text in ["", "1", "1:2:3", "2:1:1:ends", "1:1:1:ends:", "1:-1:1:ends", "1:1:1:later"] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}
