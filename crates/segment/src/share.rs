//! Handing segments to a program that is started.
//!
//! The child inherits descriptors, and finds in its environment which numbers they have and which file they lead to.
//!
//! A `pre_exec` closure could unmark them in the child alone, but makes the standard library fork, which copies the
//! parent's page tables. Without one it calls `posix_spawn`, to which it hands no descriptors but three. So the parent
//! itself unmarks them for the moment in which the program is started.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::error::Failure;
use crate::starting::Starting;
use crate::status::Identity;
use crate::token::{FIRST, Token, duplicate, variable};
use crate::{Segment, SegmentError, attach};

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::process::Command {}
}

/// Hands segments to the program that a [`Command`] starts.
pub trait ShareSegment: sealed::Sealed {
    /// Hands a segment to the child, which joins it with [`Segment::inherited`] under the same key: 1 to 64 letters,
    /// digits and underscores. Start the child with what is returned: [`Command::spawn`] hands nothing over.
    ///
    /// It works for anonymous and for named segments, and for a child of another user
    /// ([`uid`](std::os::unix::process::CommandExt::uid)) that may not open the file itself. The child must join before
    /// the last participant leaves a named segment that is not persistent.
    ///
    /// # Errors
    ///
    /// [`InvalidName`](crate::ErrorKind::InvalidName) for another key, [`TooManyFiles`](crate::ErrorKind::TooManyFiles):
    /// a descriptor is kept for the command, [`NoDescriptor`](crate::ErrorKind::NoDescriptor).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use shmkit_segment::{Options, Segment, ShareSegment};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let segment = Options::new(4096).anonymous()?;
    /// let child = std::process::Command::new("worker").share_segment("work", &segment)?.spawn()?;
    /// // In the child:
    /// let segment = Segment::inherited("work")?;
    /// # Ok(())
    /// # }
    /// ```
    fn share_segment(&mut self, key: &str, segment: &Segment) -> Result<Sharing<'_>, SegmentError>;
}

impl ShareSegment for Command {
    fn share_segment(&mut self, key: &str, segment: &Segment) -> Result<Sharing<'_>, SegmentError> {
        Sharing { command: self, shared: Vec::new() }.share_segment(key, segment)
    }
}

/// A command with the segments that its program inherits. It may start the program more than once, and long after the
/// segments were dropped here.
///
/// # Implementation notes
///
/// The program is started as without segments: by `posix_spawn`, whatever this process has in memory, unless
/// the command asks for what only a fork can do. While it is, the descriptors are not marked as close-on-exec, so that
/// a program that *another thread* starts in the same fraction of a millisecond, and not by a `Sharing`, inherits them,
/// too. It would know nothing of them; a segment's memory stays as long as somebody has a descriptor. Where that
/// matters, start programs by one thread at a time.
#[must_use = "only what starts the program here hands the segments over"]
pub struct Sharing<'c> {
    command: &'c mut Command,
    shared: Vec<Shared>,
}

/// A segment to be handed over.
struct Shared {
    variable: String,
    /// The command's own: the program may be started long after the segment was dropped.
    file: OwnedFd,
    identity: Identity,
}

impl Sharing<'_> {
    /// Hands another segment to the child; see [`ShareSegment::share_segment`].
    ///
    /// # Errors
    ///
    /// Those of [`ShareSegment::share_segment`].
    pub fn share_segment(mut self, key: &str, segment: &Segment) -> Result<Self, SegmentError> {
        let shared = Shared::new(key, segment).map_err(|failure| {
            failure.during(format!("share {segment} as {key:?} with a program"))
        })?;
        self.shared.retain(|other| other.variable != shared.variable);
        self.shared.push(shared);
        Ok(self)
    }

    /// Starts the program, as [`Command::spawn`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`], and what keeps descriptors from being handed over.
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.start(Command::spawn)
    }

    /// Starts the program and waits for its end, as [`Command::status`] does. Its input is this process's.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn).
    pub fn status(&mut self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts the program in another way: by [`exec`](std::os::unix::process::CommandExt::exec), or by a library that
    /// takes a [`Command`]. What `start` starts inherits the segments. `start` is to do nothing else, as another
    /// program must not be started meanwhile, and no `Sharing` can be.
    ///
    /// # Errors
    ///
    /// Those of `start`, and what keeps descriptors from being handed over.
    pub fn start<T>(&mut self, start: impl FnOnce(&mut Command) -> io::Result<T>) -> io::Result<T> {
        let mut open =
            Open { shared: &self.shared, tickets: Vec::with_capacity(self.shared.len()) };
        for shared in &self.shared {
            let token = open.token(shared);
            self.command.env(&shared.variable, token.to_value());
        }
        // Programs that are started at a time do not inherit each other's.
        let _open = open.unmark(Starting::begin())?;
        start(self.command)
    }
}

impl Shared {
    fn new(key: &str, segment: &Segment) -> Result<Self, Failure> {
        let variable = variable(key)?;
        let file = duplicate(attach::own_file(segment.participant())?)
            .map_err(|errno| Failure::os(errno, "duplicating it"))?;
        Ok(Self { variable, file, identity: segment.shared().identity() })
    }
}

/// Descriptors for one child. Dropped, they are marked again, or closed.
struct Open<'s> {
    shared: &'s [Shared],
    /// For this child alone, and closed here when it has them: they will carry its locks.
    tickets: Vec<OwnedFd>,
}

impl<'s> Open<'s> {
    fn token(&mut self, shared: &Shared) -> Token {
        let Shared { file, identity, .. } = shared;
        // Who cannot make one, having dropped its privileges, leaves it to the child to open the file.
        let ticket = attach::reopen(file.as_fd()).ok().and_then(|new| away(new).ok());
        let number = ticket.as_ref().map(AsRawFd::as_raw_fd);
        self.tickets.extend(ticket);
        Token { fd: file.as_raw_fd(), ticket: number, identity: *identity }
    }

    fn unmark(self, starting: Starting) -> io::Result<Unmarked<'s>> {
        let unmarked = Unmarked { open: self, _starting: starting };
        unmarked.mark(FdFlag::empty())?;
        Ok(unmarked)
    }
}

/// Descriptors that every program inherits that is started now.
struct Unmarked<'s> {
    open: Open<'s>,
    _starting: Starting,
}

impl Unmarked<'_> {
    fn mark(&self, flags: FdFlag) -> io::Result<()> {
        let files = self.open.shared.iter().map(|shared| &shared.file);
        for file in files.chain(&self.open.tickets) {
            fcntl(file, FcntlArg::F_SETFD(flags))?;
        }
        Ok(())
    }
}

impl Drop for Unmarked<'_> {
    fn drop(&mut self) {
        // Cannot fail for descriptors that are open.
        let _ = self.mark(FdFlag::FD_CLOEXEC);
    }
}

impl fmt::Debug for Sharing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables = self.shared.iter().map(|shared| &shared.variable).collect::<Vec<_>>();
        f.debug_struct("Sharing")
            .field("command", &self.command)
            .field("variables", &variables)
            .finish_non_exhaustive()
    }
}

/// Moves a descriptor away from the numbers of input, output and error.
fn away(file: OwnedFd) -> Result<OwnedFd, Errno> {
    if file.as_raw_fd() >= FIRST { Ok(file) } else { duplicate(file.as_fd()) }
}
