//! The operations of connections and of their halves, in the four forms.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::poll::PollFlags;
use shmkit_sync::Patience;

use crate::socket::Wait;
use crate::{Connection, ConnectionError, Message, RecvHalf, SendHalf};

/// Defines three forms of an operation beside the plain one.
macro_rules! forms {
    ($($x:ident, $now:ident, $timeout:ident, $deadline:ident = $by:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), without waiting.")]
        ///
        /// # Errors
        ///
        /// As there, and [`WouldBlock`](ConnectionError::WouldBlock).
        pub fn $now(&mut self, $($arg: $type),*) -> $result {
            self.$by($($arg,)* None)
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), for at most `limit`.")]
        ///
        /// # Errors
        ///
        /// As there, and [`TimedOut`](ConnectionError::TimedOut) after `limit`.
        pub fn $timeout(&mut self, $($arg: $type,)* limit: Duration) -> $result {
            self.$by($($arg,)* Some(limit.into()))
        }

        #[doc = concat!("As [`", stringify!($x), "`](Self::", stringify!($x), "), until `deadline`, an `Instant` or any [`Patience`].")]
        ///
        /// # Errors
        ///
        /// As there, and whatever ends the patience.
        pub fn $deadline<'p>(&mut self, $($arg: $type,)* deadline: impl Into<Patience<'p>>) -> $result {
            self.$by($($arg,)* Some(deadline.into()))
        }
    )*};
}

macro_rules! receiving {
    ($($Receiving:ident)*) => {$(
        /// # Receiving
        ///
        /// Whoever gives up in the middle of a message loses nothing of it: the next receive goes on where this one stopped.
        impl $Receiving {
            /// Waits for a message, and returns it.
            ///
            /// # Errors
            ///
            /// [`Closed`](ConnectionError::Closed) at the end, [`CutShort`](ConnectionError::CutShort) in the middle of a message;
            /// [`TooLong`](ConnectionError::TooLong), before any memory is taken; [`Malformed`](ConnectionError::Malformed);
            /// [`Reset`](ConnectionError::Reset), and what the system says.
            ///
            /// # If a peer dies
            ///
            /// what it had sent comes first, then `Closed` or `CutShort`: the kernel closes its socket. (Others that have it
            /// as well, as its forked children, keep it open.)
            pub fn recv_bytes(&mut self) -> Result<Vec<u8>, ConnectionError> {
                self.recv_bytes_by(Some(Patience::ENDLESS))
            }

            /// Waits for a message, puts it at the beginning of `to`, and returns its length.
            ///
            /// # Errors
            ///
            /// As [`recv_bytes`](Self::recv_bytes), and [`BufferTooShort`](ConnectionError::BufferTooShort) instead of `TooLong`: the message is not
            /// lost.
            pub fn recv_bytes_into(&mut self, to: &mut [u8]) -> Result<usize, ConnectionError> {
                self.recv_bytes_into_by(to, Some(Patience::ENDLESS))
            }

            /// Waits for a message, and returns it with the descriptors that came along. (The other receives close them.)
            ///
            /// # Errors
            ///
            /// Those of [`recv_bytes`](Self::recv_bytes).
            pub fn recv_message(&mut self) -> Result<Message, ConnectionError> {
                self.recv_message_by(Some(Patience::ENDLESS))
            }

            /// Waits for a descriptor that was sent by [`send_descriptor`](Connection::send_descriptor), or by Python's `send_handle`.
            ///
            /// # Errors
            ///
            /// [`NoDescriptor`](ConnectionError::NoDescriptor) if a byte comes without one;
            /// [`MidMessage`](ConnectionError::MidMessage) behind a half received message; and those of [`recv_bytes`](Self::recv_bytes).
            pub fn recv_descriptor(&mut self) -> Result<OwnedFd, ConnectionError> {
                self.recv_descriptor_by(Some(Patience::ENDLESS))
            }

            /// Waits until there is something to receive, or the end; returns whether there is. A message may have come in a
            /// part only. Nothing is taken, so that of several processes that poll each sees it.
            ///
            /// # Errors
            ///
            /// What the system says, and whatever ends a patience but its time.
            pub fn poll(&mut self) -> Result<bool, ConnectionError> {
                self.poll_by(Some(Patience::ENDLESS))
            }

            forms! {
                recv_bytes, try_recv_bytes, recv_bytes_timeout, recv_bytes_deadline = recv_bytes_by() -> Result<Vec<u8>, ConnectionError>;
                recv_bytes_into, try_recv_bytes_into, recv_bytes_into_timeout, recv_bytes_into_deadline = recv_bytes_into_by(to: &mut [u8]) -> Result<usize, ConnectionError>;
                recv_message, try_recv_message, recv_message_timeout, recv_message_deadline = recv_message_by() -> Result<Message, ConnectionError>;
                recv_descriptor, try_recv_descriptor, recv_descriptor_timeout, recv_descriptor_deadline = recv_descriptor_by() -> Result<OwnedFd, ConnectionError>;
            }

            /// Returns whether there is something to receive now, or the end.
            ///
            /// # Errors
            ///
            /// Those of [`poll`](Self::poll).
            pub fn try_poll(&mut self) -> Result<bool, ConnectionError> {
                self.poll_by(None)
            }

            /// As [`poll`](Self::poll), for at most `limit`.
            ///
            /// # Errors
            ///
            /// As there.
            pub fn poll_timeout(&mut self, limit: Duration) -> Result<bool, ConnectionError> {
                self.poll_by(Some(limit.into()))
            }

            /// As [`poll`](Self::poll), until `deadline`, an `Instant` or any [`Patience`].
            ///
            /// # Errors
            ///
            /// As there.
            pub fn poll_deadline<'p>(&mut self, deadline: impl Into<Patience<'p>>) -> Result<bool, ConnectionError> {
                self.poll_by(Some(deadline.into()))
            }

            /// Has it read ahead of the message that is received, from now on: up to 4 KiB, which is one system call for a small
            /// message instead of two. It is for who keeps this end to itself: what was read ahead is in this process only, descriptors
            /// that come along are closed, and until all is received the descriptor is not [taken back](Connection::into_fd).
            ///
            /// ```
            /// use shmkit_connection::Connection;
            ///
            /// let (mut here, mut there) = Connection::pair()?;
            /// there.read_ahead();
            /// here.send_bytes(b"one")?;
            /// here.send_bytes(b"two")?;
            /// drop(here);
            /// assert_eq!(there.recv_bytes()?, b"one");
            /// assert!(there.try_poll()?);
            /// let mut there = there.into_fd().unwrap_err(); // the other one is not in the socket any more
            /// assert_eq!(there.recv_bytes()?, b"two");
            /// assert!(there.into_fd().is_ok());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            pub fn read_ahead(&mut self) {
                self.incoming.read_ahead();
            }

            /// Sets the longest message to take, in bytes: 16 MiB unless it is set. What is longer is refused before memory is
            /// taken for it.
            pub fn set_max_len(&mut self, most: usize) {
                self.incoming.most = most;
            }

            /// Returns the longest message that is taken, in bytes.
            pub fn max_len(&self) -> usize {
                self.incoming.most
            }

            fn recv_message_by(&mut self, patience: Option<Patience<'_>>) -> Result<Message, ConnectionError> {
                self.incoming.message(&self.socket, Wait::new(patience))
            }

            fn recv_bytes_by(&mut self, patience: Option<Patience<'_>>) -> Result<Vec<u8>, ConnectionError> {
                self.recv_message_by(patience).map(|message| message.bytes)
            }

            fn recv_bytes_into_by(&mut self, to: &mut [u8], patience: Option<Patience<'_>>) -> Result<usize, ConnectionError> {
                self.incoming.message_into(to, &self.socket, Wait::new(patience))
            }

            fn recv_descriptor_by(&mut self, patience: Option<Patience<'_>>) -> Result<OwnedFd, ConnectionError> {
                if !self.incoming.is_between() {
                    return Err(ConnectionError::MidMessage);
                }
                self.socket.recv_descriptor(&mut Wait::new(patience))
            }

            fn poll_by(&mut self, patience: Option<Patience<'_>>) -> Result<bool, ConnectionError> {
                if self.incoming.is_ready() {
                    return Ok(true);
                }
                self.socket.poll(PollFlags::POLLIN, Wait::new(patience))
            }
        }
    )*};
}

macro_rules! sending {
    ($($Sending:ident)*) => {$(
        /// # Sending
        impl $Sending {
            /// Sends a message, waiting for room as long as it takes.
            ///
            /// # Errors
            ///
            /// [`Closed`](ConnectionError::Closed) if the other end is, without a SIGPIPE; [`Reset`](ConnectionError::Reset), and
            /// what the system says. From the other forms: [`Unfinished`](ConnectionError::Unfinished) if a part of it has gone,
            /// and nothing has if it is another error.
            ///
            /// # If a peer dies
            ///
            /// nobody tells whether it has read what was sent: *Closed* comes when the kernel has closed its socket.
            pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
                self.send_bytes_by(bytes, Some(Patience::ENDLESS))
            }

            /// Sends a message with descriptors, which the other side [receives](Connection::recv_message) as copies of its own; these
            /// may be closed at once.
            ///
            /// # Errors
            ///
            /// Those of [`send_bytes`](Self::send_bytes), [`CannotTravel`](ConnectionError::CannotTravel) if the socket is no
            /// Unix one, and [`TooManyDescriptors`](ConnectionError::TooManyDescriptors) (more than 253).
            pub fn send_message(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), ConnectionError> {
                self.send_message_by(bytes, descriptors, Some(Patience::ENDLESS))
            }

            /// Sends one descriptor and no message, as Python's `send_handle`, for [`recv_descriptor`](Connection::recv_descriptor) or its
            /// `recv_handle`.
            ///
            /// # Errors
            ///
            /// Those of [`send_message`](Self::send_message).
            pub fn send_descriptor(&mut self, descriptor: BorrowedFd<'_>) -> Result<(), ConnectionError> {
                self.send_descriptor_by(descriptor, Some(Patience::ENDLESS))
            }

            /// Sends what is left of a message whose sender gave up in the middle.
            ///
            /// # Errors
            ///
            /// Those of [`send_bytes`](Self::send_bytes).
            pub fn flush(&mut self) -> Result<(), ConnectionError> {
                self.flush_by(Some(Patience::ENDLESS))
            }

            forms! {
                send_bytes, try_send_bytes, send_bytes_timeout, send_bytes_deadline = send_bytes_by(bytes: &[u8]) -> Result<(), ConnectionError>;
                send_message, try_send_message, send_message_timeout, send_message_deadline = send_message_by(bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), ConnectionError>;
                send_descriptor, try_send_descriptor, send_descriptor_timeout, send_descriptor_deadline = send_descriptor_by(descriptor: BorrowedFd<'_>) -> Result<(), ConnectionError>;
                flush, try_flush, flush_timeout, flush_deadline = flush_by() -> Result<(), ConnectionError>;
            }

            fn send_bytes_by(&mut self, bytes: &[u8], patience: Option<Patience<'_>>) -> Result<(), ConnectionError> {
                self.outgoing.message(bytes, &[], &self.socket, Wait::new(patience))
            }

            fn send_message_by(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>], patience: Option<Patience<'_>>) -> Result<(), ConnectionError> {
                let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
                self.outgoing.message(bytes, &numbers, &self.socket, Wait::new(patience))
            }

            fn send_descriptor_by(&mut self, descriptor: BorrowedFd<'_>, patience: Option<Patience<'_>>) -> Result<(), ConnectionError> {
                self.outgoing.descriptor(descriptor.as_raw_fd(), &self.socket, Wait::new(patience))
            }

            fn flush_by(&mut self, patience: Option<Patience<'_>>) -> Result<(), ConnectionError> {
                self.outgoing.flush(&self.socket, &mut Wait::new(patience))
            }
        }
    )*};
}

receiving!(Connection RecvHalf);
sending!(Connection SendHalf);

macro_rules! descriptors {
    ($($End:ident)*) => {$(
        /// The socket's. It is readable when there is something to receive, or the end; what was received in part already, it does
        /// not know of.
        impl AsFd for $End {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }
    )*};
}

descriptors!(Connection RecvHalf SendHalf);
