//! What has come of the message that is being received.

use std::mem::take;
use std::os::fd::OwnedFd;

use crate::ConnectionError;
use crate::frame::{MOST_HEAD, Parsed, parse};
use crate::socket::{Socket, Wait};

/// The longest message that a connection takes unless it is told otherwise, in bytes: 16 MiB.
pub(crate) const MOST: usize = 16 << 20;

/// How much memory is taken ahead of what has come, in bytes: as much again as there is, and at least this. A length that
/// is only said costs no more.
const STEP: usize = 64 << 10;

/// How much is read ahead at most, in bytes, where that is wanted.
const AHEAD: usize = 4 << 10;

/// A message that comes with descriptors.
#[derive(Debug)]
#[non_exhaustive]
pub struct Message {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The descriptors that came along, in order; closed when they are dropped, and on `exec`.
    pub descriptors: Vec<OwnedFd>,
    /// Whether there were others, which this process had no number free for (`ulimit -n`).
    pub is_lacking: bool,
}

/// The message that is being received. Whoever gives up in the middle leaves here what has come.
#[derive(Debug)]
pub(crate) struct Incoming {
    head: [u8; MOST_HEAD],
    /// How much of the header has come.
    got: usize,
    /// What has come of the message, while nobody receives.
    body: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    is_lacking: bool,
    /// The longest message to take, in bytes.
    pub(crate) most: usize,
    ahead: Option<Box<Ahead>>,
}

/// What was read and is behind what was received.
#[derive(Debug)]
struct Ahead {
    bytes: [u8; AHEAD],
    from: usize,
    to: usize,
}

impl Ahead {
    /// Receives up to `to.len()` bytes; none: the other end is closed.
    fn recv(
        &mut self,
        to: &mut [u8],
        socket: &Socket,
        wait: &mut Wait<'_>,
    ) -> Result<usize, ConnectionError> {
        if self.from == self.to {
            if to.len() >= AHEAD {
                return socket.recv(to, wait);
            }
            (self.from, self.to) = (0, 0);
            self.to = socket.recv(&mut self.bytes, wait)?;
        }
        let n = to.len().min(self.to - self.from);
        to[..n].copy_from_slice(&self.bytes[self.from..self.from + n]);
        self.from += n;
        Ok(n)
    }
}

/// Receives bytes, those first that were read ahead.
fn recv(
    ahead: &mut Option<Box<Ahead>>,
    to: &mut [u8],
    socket: &Socket,
    wait: &mut Wait<'_>,
) -> Result<usize, ConnectionError> {
    match ahead {
        Some(ahead) => ahead.recv(to, socket, wait),
        None => socket.recv(to, wait),
    }
}

impl Incoming {
    pub(crate) fn new() -> Self {
        let (head, got, body, descriptors) = ([0; MOST_HEAD], 0, Vec::new(), Vec::new());
        Self { head, got, body, descriptors, is_lacking: false, most: MOST, ahead: None }
    }

    /// Has more be read at once than is received.
    pub(crate) fn read_ahead(&mut self) {
        let empty = || Box::new(Ahead { bytes: [0; AHEAD], from: 0, to: 0 });
        self.ahead.get_or_insert_with(empty);
    }

    /// Returns whether something was read that is not received.
    fn is_ahead(&self) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.from < ahead.to)
    }

    /// Returns whether nothing of a message has come yet.
    pub(crate) fn is_between(&self) -> bool {
        self.got == 0 && !self.is_ahead()
    }

    /// Returns whether the next receive would be answered from what has come.
    pub(crate) fn is_ready(&self) -> bool {
        match parse(&self.head[..self.got]) {
            Parsed::More(_) => self.is_ahead(),
            Parsed::Wrong(_) => true,
            Parsed::Length(length) => {
                length > self.most as u64 || length == self.body.len() as u64 || self.is_ahead()
            }
        }
    }

    /// Receives a message.
    pub(crate) fn message(
        &mut self,
        socket: &Socket,
        mut wait: Wait<'_>,
    ) -> Result<Message, ConnectionError> {
        let length = self.length(socket, &mut wait)?;
        if length > self.most as u64 {
            return Err(ConnectionError::TooLong { length, most: self.most });
        }
        let length = length as usize;
        while self.body.len() < length {
            let got = self.body.len();
            let step = got.max(STEP).min(length - got);
            self.body.resize(got + step, 0);
            let answer = recv(&mut self.ahead, &mut self.body[got..], socket, &mut wait);
            self.body.truncate(got + *answer.as_ref().unwrap_or(&0));
            self.came(answer?, got, length)?;
        }
        let bytes = take(&mut self.body);
        Ok(self.end(bytes))
    }

    /// Receives a message into `to`; returns its length, and the rest of it.
    pub(crate) fn message_into(
        &mut self,
        to: &mut [u8],
        socket: &Socket,
        mut wait: Wait<'_>,
    ) -> Result<usize, ConnectionError> {
        let length = self.length(socket, &mut wait)?;
        let Some(to) = usize::try_from(length).ok().and_then(|length| to.get_mut(..length)) else {
            return Err(ConnectionError::BufferTooShort { length });
        };
        let mut got = self.body.len();
        to[..got].copy_from_slice(&self.body);
        while got < to.len() {
            let answer = recv(&mut self.ahead, &mut to[got..], socket, &mut wait);
            let answer = answer.and_then(|n| self.came(n, got, length as usize));
            match answer {
                Ok(n) => got += n,
                Err(error) => {
                    self.body.clear();
                    self.body.extend(&to[..got]);
                    return Err(error);
                }
            }
        }
        self.body.clear();
        self.end(Vec::new());
        Ok(got)
    }

    /// Receives what is left of the header; returns the length of the message.
    fn length(&mut self, socket: &Socket, wait: &mut Wait<'_>) -> Result<u64, ConnectionError> {
        loop {
            let more = match parse(&self.head[..self.got]) {
                Parsed::Length(length) => return Ok(length),
                Parsed::Wrong(length) => return Err(ConnectionError::Malformed { length }),
                Parsed::More(more) => more,
            };
            let to = &mut self.head[self.got..self.got + more];
            // Descriptors come with the first byte.
            let n = if socket.is_unix && self.got == 0 && self.ahead.is_none() {
                let (n, descriptors, lost) = socket.recv_along(to, wait)?;
                (self.descriptors, self.is_lacking) = (descriptors, lost);
                n
            } else {
                recv(&mut self.ahead, to, socket, wait)?
            };
            self.got += n;
            match (n, self.got) {
                (0, 0) => return Err(ConnectionError::Closed),
                (0, got) => return Err(ConnectionError::CutShort { got, length: None }),
                _ => {}
            }
        }
    }

    /// No bytes where there should be some are the end.
    fn came(&self, n: usize, got: usize, length: usize) -> Result<usize, ConnectionError> {
        match n {
            0 => Err(ConnectionError::CutShort { got, length: Some(length) }),
            n => Ok(n),
        }
    }

    /// The message is complete: the next one begins.
    fn end(&mut self, bytes: Vec<u8>) -> Message {
        self.got = 0;
        let descriptors = take(&mut self.descriptors);
        Message { bytes, descriptors, is_lacking: take(&mut self.is_lacking) }
    }
}
