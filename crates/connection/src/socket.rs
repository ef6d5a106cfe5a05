//! The socket below a connection: what the kernel does of a message at a time.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::socket::sockopt::SockType as TypeOption;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockType, SockaddrLike,
    SockaddrStorage, getsockname, getsockopt, recv, recvmsg, sendmsg,
};
use nix::sys::time::TimeSpec;
use shmkit_atomic::Deadline;
use shmkit_sync::{Patience, Slices};

use crate::ConnectionError;

/// How many descriptors go with one message: the kernel's `SCM_MAX_FD`.
pub(crate) const MOST_DESCRIPTORS: usize = 253;

/// A stream socket.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    /// Descriptors can travel through it.
    pub(crate) is_unix: bool,
}

/// How many bytes came, which descriptors with them, and whether others did not arrive.
pub(crate) type Arrived = (usize, Vec<OwnedFd>, bool);

impl Socket {
    /// Takes a descriptor, if it is one of a stream socket.
    pub(crate) fn new(fd: OwnedFd) -> Result<Self, Errno> {
        if getsockopt(&fd, TypeOption)? != SockType::Stream {
            return Err(Errno::EPROTOTYPE);
        }
        let address = getsockname::<SockaddrStorage>(fd.as_raw_fd())?;
        Ok(Self { is_unix: address.family() == Some(AddressFamily::Unix), fd })
    }

    /// Takes a descriptor that is one of a stream socket.
    pub(crate) fn known(fd: OwnedFd, is_unix: bool) -> Self {
        Self { fd, is_unix }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Receives up to `to.len()` bytes; none: the other end is closed.
    pub(crate) fn recv(
        &self,
        to: &mut [u8],
        wait: &mut Wait<'_>,
    ) -> Result<usize, ConnectionError> {
        self.insist(PollFlags::POLLIN, wait, |flags| recv(self.fd.as_raw_fd(), to, flags))
    }

    /// The same, with the descriptors that come along.
    pub(crate) fn recv_along(
        &self,
        to: &mut [u8],
        wait: &mut Wait<'_>,
    ) -> Result<Arrived, ConnectionError> {
        let mut space = nix::cmsg_space!([RawFd; MOST_DESCRIPTORS]);
        self.insist(PollFlags::POLLIN, wait, |flags| {
            let mut bytes = [IoSliceMut::new(&mut *to)];
            let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
            let fd = self.fd.as_raw_fd();
            let received = recvmsg::<()>(fd, &mut bytes, Some(&mut space), flags)?;
            let mut descriptors = Vec::new();
            for message in received.cmsgs()? {
                if let ControlMessageOwned::ScmRights(rights) = message {
                    // SAFETY: the kernel has made them for this process a moment ago, and nobody else knows of them.
                    let own = rights.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
                    descriptors.extend(own);
                }
            }
            let lost = received.flags.contains(MsgFlags::MSG_CTRUNC);
            Ok((received.bytes, descriptors, lost))
        })
    }

    /// Receives one descriptor that comes with a byte of its own.
    pub(crate) fn recv_descriptor(&self, wait: &mut Wait<'_>) -> Result<OwnedFd, ConnectionError> {
        if !self.is_unix {
            return Err(ConnectionError::CannotTravel);
        }
        match self.recv_along(&mut [0], wait)? {
            (0, _, _) => Err(ConnectionError::Closed),
            (_, descriptors, _) => {
                descriptors.into_iter().next().ok_or(ConnectionError::NoDescriptor)
            }
        }
    }

    /// Waits until there is something to receive or to send; returns whether there is.
    pub(crate) fn poll(
        &self,
        what: PollFlags,
        mut wait: Wait<'_>,
    ) -> Result<bool, ConnectionError> {
        loop {
            match ppoll(&mut [PollFd::new(self.as_fd(), what)], Some(TimeSpec::new(0, 0)), None) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(ConnectionError::of(errno)),
            }
            match wait.sleep(self.as_fd(), what) {
                Ok(_) => {}
                Err(ConnectionError::WouldBlock | ConnectionError::TimedOut) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a part of `head` and `body`, and the descriptors with its first byte; returns how many bytes.
    pub(crate) fn send(
        &self,
        [head, body]: [&[u8]; 2],
        descriptors: &[RawFd],
        wait: &mut Wait<'_>,
    ) -> Result<usize, ConnectionError> {
        let (bytes, rights) = ([IoSlice::new(head), IoSlice::new(body)], descriptors);
        let rights = [ControlMessage::ScmRights(rights)];
        let rights = if descriptors.is_empty() { &[] } else { &rights[..] };
        self.insist(PollFlags::POLLOUT, wait, |flags| {
            let flags = flags | MsgFlags::MSG_NOSIGNAL;
            sendmsg::<()>(self.fd.as_raw_fd(), &bytes, rights, flags, None)
        })
    }

    /// Does `call` until it does not ask to wait: in the kernel where nothing else can end the wait, by `poll` elsewhere.
    fn insist<T>(
        &self,
        what: PollFlags,
        wait: &mut Wait<'_>,
        mut call: impl FnMut(MsgFlags) -> nix::Result<T>,
    ) -> Result<T, ConnectionError> {
        let flags = if wait.is_endless() { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
        loop {
            match call(flags) {
                // A socket that somebody has made non-blocking, or one with a time-out, comes here, too.
                Err(Errno::EAGAIN) => {
                    wait.sleep(self.as_fd(), what)?;
                }
                Err(Errno::EINTR) => {}
                answer => return answer.map_err(ConnectionError::of),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// One wait: how long, and what may end it.
pub(crate) struct Wait<'p> {
    /// `None` does not wait at all.
    patience: Option<Patience<'p>>,
    slices: Slices,
}

impl<'p> Wait<'p> {
    pub(crate) fn new(patience: Option<Patience<'p>>) -> Self {
        Self { patience, slices: Slices::new() }
    }

    /// Returns whether nothing ends it but what is waited for.
    fn is_endless(&self) -> bool {
        self.patience.is_some_and(|p| p.deadline().remaining().is_none() && !p.asks())
    }

    /// After a vain try: sleeps until the descriptor is worth another one, or gives up; returns whether it is known to be.
    pub(crate) fn sleep(
        &mut self,
        fd: BorrowedFd<'_>,
        what: PollFlags,
    ) -> Result<bool, ConnectionError> {
        self.sleep_until(fd, what, Deadline::NEVER)
    }

    /// The same, but no longer than `end`, at which the caller has something to do.
    pub(crate) fn sleep_until(
        &mut self,
        fd: BorrowedFd<'_>,
        what: PollFlags,
        end: Deadline,
    ) -> Result<bool, ConnectionError> {
        let left = self.slice()?.min(end).remaining().map(TimeSpec::from_duration);
        match ppoll(&mut [PollFd::new(fd, what)], left, None::<SigSet>) {
            Ok(0) | Err(Errno::EINTR) => self.ask().map(|()| false),
            Ok(_) => Ok(true),
            Err(errno) => Err(ConnectionError::of(errno)),
        }
    }

    /// After a vain try: returns until when to sleep, or gives up.
    pub(crate) fn slice(&mut self) -> Result<Deadline, ConnectionError> {
        let Some(patience) = self.patience else { return Err(ConnectionError::WouldBlock) };
        if patience.deadline().has_passed() {
            return Err(ConnectionError::TimedOut);
        }
        // The kernel tells of the other end's death: there is nothing else to look for.
        Ok(match patience.asks() {
            true => self.slices.next(patience.deadline()),
            false => patience.deadline(),
        })
    }

    /// After a sleep that nothing has ended, or a signal: asks whether to go on.
    pub(crate) fn ask(&self) -> Result<(), ConnectionError> {
        Ok(self.patience.map_or(Ok(()), |patience| patience.ask_without_judge())?)
    }
}
