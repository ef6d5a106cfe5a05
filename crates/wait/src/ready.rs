//! What can be waited for.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use shmkit_atomic::futex::Waiter;
use shmkit_roster::{Judge, Process, Verdict};
use shmkit_sync::Event;

/// Something that becomes ready.
///
/// A type of one's own that has a descriptor returns that, and is ready when it is readable; one that keeps what was read
/// from it says so in [`is_ready`](Self::is_ready) as well:
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixStream;
///
/// use shmkit_wait::{Ready, Source, wait};
///
/// struct Lines(BufReader<UnixStream>);
///
/// impl Ready for Lines {
///     fn source(&self) -> Source<'_> {
///         Source::Descriptor(self.0.get_ref().as_fd())
///     }
///
///     fn is_ready(&self, _asked: bool) -> bool {
///         !self.0.buffer().is_empty()
///     }
/// }
///
/// let (mut ours, theirs) = UnixStream::pair()?;
/// let mut lines = Lines(BufReader::new(theirs));
/// ours.write_all(b"one\ntwo\n")?;
/// for line in ["one\n", "two\n"] {
///     assert_eq!(wait(&[&lines], None)?, [0]);
///     let mut read = String::new();
///     lines.0.read_line(&mut read)?;
///     assert_eq!(read, line);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Ready {
    /// Returns what tells when to look again. Called before the last look ahead of each sleep: a word is marked by it, so
    /// that whoever makes this ready, and has not been seen to by that look, wakes who sleeps on it.
    fn source(&self) -> Source<'_>;

    /// Returns whether it is ready, beside what its descriptor says: the operation that this is waited for would not wait,
    /// be it that it would fail. Whether those live on whom it depends is to be found out if it is `asked`: at the end of
    /// a sleep that nobody has ended.
    fn is_ready(&self, asked: bool) -> bool {
        let _ = asked;
        false
    }
}

/// What tells when to look again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A word, which changes and is woken.
    Word(Waiter),
    /// A descriptor, which is readable, or has nobody at the other end.
    Descriptor(BorrowedFd<'a>),
    /// Nothing: it is ready by now, or never will be.
    Nothing,
}

impl<T: Ready + ?Sized> Ready for &T {
    fn source(&self) -> Source<'_> {
        (**self).source()
    }

    fn is_ready(&self, asked: bool) -> bool {
        (**self).is_ready(asked)
    }
}

/// Ready while it is set. (A pulse that has ended before the look is missed, other than by [`Event::wait`].)
impl<K: Judge> Ready for Event<K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.arm())
    }

    fn is_ready(&self, _asked: bool) -> bool {
        self.is_set()
    }
}

/// Ready when it has ended.
impl Ready for Process {
    fn source(&self) -> Source<'_> {
        self.descriptor().map_or(Source::Nothing, Source::Descriptor)
    }

    fn is_ready(&self, _asked: bool) -> bool {
        self.verdict() == Verdict::Dead
    }
}

macro_rules! descriptors {
    ($($kind:ty),+ $(,)?) => {
        $(
            /// Ready when it is readable.
            impl Ready for $kind {
                fn source(&self) -> Source<'_> {
                    Source::Descriptor(self.as_fd())
                }
            }
        )+
    };
}

descriptors!(
    BorrowedFd<'_>,
    OwnedFd,
    std::io::PipeReader,
    std::io::Stdin,
    std::net::TcpListener,
    std::net::TcpStream,
    std::net::UdpSocket,
    std::os::unix::net::UnixDatagram,
    std::os::unix::net::UnixListener,
    std::os::unix::net::UnixStream,
    std::process::ChildStderr,
    std::process::ChildStdout,
);
