//! What is left to send of a message whose sender has given up.

use std::os::fd::RawFd;

use crate::ConnectionError;
use crate::frame::Head;
use crate::socket::{MOST_DESCRIPTORS, Socket, Wait};

/// The message that is being sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// What is left of it.
    rest: Vec<u8>,
    /// How much of that has gone.
    gone: usize,
}

impl Outgoing {
    /// Returns whether nothing is left of a message that was begun.
    pub(crate) fn is_between(&self) -> bool {
        self.rest.is_empty()
    }

    /// Sends what is left.
    pub(crate) fn flush(
        &mut self,
        socket: &Socket,
        wait: &mut Wait<'_>,
    ) -> Result<(), ConnectionError> {
        while self.gone < self.rest.len() {
            self.gone += socket.send([&self.rest[self.gone..], &[]], &[], wait)?;
        }
        *self = Self::default();
        Ok(())
    }

    /// Sends a message, and what is left of the one before it ahead of it.
    pub(crate) fn message(
        &mut self,
        bytes: &[u8],
        descriptors: &[RawFd],
        socket: &Socket,
        mut wait: Wait<'_>,
    ) -> Result<(), ConnectionError> {
        check(descriptors, socket)?;
        self.flush(socket, &mut wait)?;
        let head = Head::of(bytes.len());
        let (head, mut descriptors) = (head.bytes(), descriptors);
        let mut gone = 0;
        while gone < head.len() + bytes.len() {
            let left = [&head[gone.min(head.len())..], &bytes[gone.saturating_sub(head.len())..]];
            match socket.send(left, descriptors, &mut wait) {
                Ok(n) => gone += n,
                // Nothing of it has gone.
                Err(error) if gone == 0 => return Err(error),
                // Nobody will read the rest.
                Err(error @ (ConnectionError::Closed | ConnectionError::Reset)) => {
                    return Err(error);
                }
                Err(error) => {
                    self.rest = left.concat();
                    return Err(match error {
                        ConnectionError::System(_) => error,
                        _ => ConnectionError::Unfinished { left: self.rest.len() },
                    });
                }
            }
            descriptors = &[];
        }
        Ok(())
    }

    /// Sends one descriptor with a byte of its own, as Python's `send_handle`.
    pub(crate) fn descriptor(
        &mut self,
        descriptor: RawFd,
        socket: &Socket,
        mut wait: Wait<'_>,
    ) -> Result<(), ConnectionError> {
        check(&[descriptor], socket)?;
        self.flush(socket, &mut wait)?;
        // How many they are.
        socket.send([&[1], &[]], &[descriptor], &mut wait).map(|_| ())
    }
}

fn check(descriptors: &[RawFd], socket: &Socket) -> Result<(), ConnectionError> {
    let (found, most) = (descriptors.len(), MOST_DESCRIPTORS);
    if found > 0 && !socket.is_unix {
        return Err(ConnectionError::CannotTravel);
    }
    if found > most {
        return Err(ConnectionError::TooManyDescriptors { found, most });
    }
    Ok(())
}
