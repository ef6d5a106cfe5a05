//! Sending and receiving.

use std::io;

use shmkit_layout::ShmSafe;
use shmkit_pipe::{FrameReceiver, FrameSender, PipeError, Receiver, SendError, Sender};
use shmkit_roster::Judge;

use crate::Async;
use crate::holder::armed;

/// What an attempt to receive says: nothing yet, the end of file, or a result.
pub(crate) fn received<T>(attempt: Result<T, PipeError>) -> Option<io::Result<Option<T>>> {
    match attempt {
        Err(PipeError::Empty) => None,
        Err(PipeError::Closed) => Some(Ok(None)),
        other => Some(other.map(Some).map_err(io::Error::from)),
    }
}

impl<K: Judge> Async<FrameReceiver<K>> {
    /// Receives a message; `None` at the end of file. Can be cancelled at any time, and nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`FrameReceiver::recv`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameReceiver`].
    pub async fn recv(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.with(|end| received(end.try_recv()), armed).await?
    }
}

impl<K: Judge> Async<FrameSender<K>> {
    /// Sends a message, however long. Cancelled, it has sent nothing: a part of a long one that has gone is given up.
    ///
    /// # Errors
    ///
    /// Those of [`FrameSender::send`].
    ///
    /// # If a peer dies
    ///
    /// See [`FrameSender`].
    pub async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        let attempt = |end: &mut FrameSender<K>| match end.try_send_part(message, sent) {
            Ok(now) if now == message.len() => Some(Ok(())),
            Ok(now) => {
                sent = now;
                None
            }
            Err(PipeError::Full) => None,
            Err(error) => Some(Err(io::Error::from(error))),
        };
        self.with(attempt, |pollable, end| pollable.arm(&end.room_for(message.len()))).await?
    }
}

impl<T: ShmSafe, K: Judge> Async<Receiver<T, K>> {
    /// Receives a value; `None` at the end of file. Can be cancelled at any time, and nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`Receiver::recv`].
    ///
    /// # If a peer dies
    ///
    /// See [`Receiver`].
    pub async fn recv(&mut self) -> io::Result<Option<T>> {
        self.with(|end| received(end.try_recv()), armed).await?
    }
}

impl<T: ShmSafe, K: Judge> Async<Sender<T, K>> {
    /// Sends a value. Cancelled, it has sent nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Sender::send`], without the value.
    ///
    /// # If a peer dies
    ///
    /// See [`Sender`].
    pub async fn send(&mut self, value: T) -> io::Result<()> {
        let attempt = |end: &mut Sender<T, K>| match end.try_send(value) {
            Err(SendError { error: PipeError::Full, .. }) => None,
            sent => Some(sent.map_err(io::Error::from)),
        };
        self.with(attempt, armed).await?
    }
}
