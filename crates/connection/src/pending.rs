//! Those who have come, and are not known yet.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use shmkit_atomic::Deadline;

use crate::handshake::Handshake;
use crate::{Connection, ConnectionError, HandshakeError};

/// The handshakes of a listener, each as far as it has come, and one descriptor for all of them and for the listener's.
#[derive(Debug)]
pub(crate) struct Pending {
    /// Readable when a connection is to be accepted, or one of the handshakes may go on.
    epoll: Epoll,
    /// From the one that began first.
    handshakes: VecDeque<Handshake>,
    /// Those that are through.
    done: VecDeque<Connection>,
    /// Whose they are: a forked child makes its own.
    pid: u32,
}

impl Pending {
    pub(crate) fn new(listener: &OwnedFd) -> nix::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let (handshakes, done, pid) = (VecDeque::new(), VecDeque::new(), process::id());
        Ok(Self { epoll, handshakes, done, pid })
    }

    /// Lets go of what a forked child has inherited: its parent goes on with them.
    pub(crate) fn be_ours(&mut self, listener: &OwnedFd) -> nix::Result<()> {
        if self.pid != process::id() {
            *self = Self::new(listener)?;
        }
        Ok(())
    }

    /// Begins one more; returns the one that had to make room for it, of which there are `most` at once.
    pub(crate) fn begin(
        &mut self,
        handshake: Handshake,
        most: usize,
    ) -> Result<Option<HandshakeError>, ConnectionError> {
        let mut handshake = handshake;
        let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP, 1);
        self.epoll.add(handshake.connection().as_fd(), event).map_err(ConnectionError::of)?;
        self.handshakes.push_back(handshake);
        if self.handshakes.len() <= most {
            return Ok(None);
        }
        let oldest = self.handshakes.pop_front();
        Ok(oldest.map(|mut oldest| {
            self.forget(&mut oldest);
            HandshakeError::Crowded
        }))
    }

    /// Goes on with all of them; `refuse` is told of those that have failed.
    pub(crate) fn go(&mut self, mut refuse: impl FnMut(HandshakeError)) {
        for _ in 0..self.handshakes.len() {
            let Some(mut handshake) = self.handshakes.pop_front() else { return };
            match handshake.go() {
                Ok(true) => {
                    self.forget(&mut handshake);
                    self.done.push_back(handshake.into_connection());
                }
                Ok(false) if handshake.deadline.has_passed() => {
                    self.forget(&mut handshake);
                    refuse(ConnectionError::TimedOut.into());
                }
                Ok(false) => self.handshakes.push_back(handshake),
                Err(error) => {
                    self.forget(&mut handshake);
                    refuse(error);
                }
            }
        }
    }

    /// Asks for no more of what happens there. To close it would not do where a forked child has it, too.
    fn forget(&self, handshake: &mut Handshake) {
        let _ = self.epoll.delete(handshake.connection().as_fd());
    }

    /// Returns one that is through.
    pub(crate) fn done(&mut self) -> Option<Connection> {
        self.done.pop_front()
    }

    /// Returns whether there is one that is through.
    pub(crate) fn is_ready(&self) -> bool {
        !self.done.is_empty() && self.pid == process::id()
    }

    /// Returns when the first of them is late.
    pub(crate) fn deadline(&self) -> Deadline {
        self.handshakes.iter().map(|pending| pending.deadline).min().unwrap_or(Deadline::NEVER)
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
