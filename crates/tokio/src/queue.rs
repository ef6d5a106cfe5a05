//! Putting and taking.

use std::io;

use shmkit_layout::ShmSafe;
use shmkit_queue::{MessageQueue, PutError, Queue, QueueError};
use shmkit_roster::Judge;

use crate::Async;
use crate::holder::armed;

impl<T: ShmSafe, K: Judge> Async<Queue<T, K>> {
    /// Takes an item, as [`Queue::get`]; `None` if the queue is closed, and nothing is left. Can be cancelled at any time, and
    /// nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::get`].
    ///
    /// # If a peer dies
    ///
    /// See [`Queue`].
    pub async fn get(&mut self) -> io::Result<Option<T>> {
        let attempt = |queue: &mut Queue<T, K>| match queue.try_get() {
            Err(QueueError::Empty) => None,
            Err(QueueError::Closed) => Some(Ok(None)),
            got => Some(got.map(Some).map_err(io::Error::from)),
        };
        self.with(attempt, armed).await?
    }

    /// Puts an item, as [`Queue::put`]. Cancelled, it has put nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Queue::put`], without the item.
    ///
    /// # If a peer dies
    ///
    /// See [`Queue`].
    pub async fn put(&mut self, item: T) -> io::Result<()> {
        let attempt = |queue: &mut Queue<T, K>| match queue.try_put(item) {
            Err(PutError { error: QueueError::Full, .. }) => None,
            Err(PutError { error, .. }) => Some(Err(io::Error::from(error))),
            Ok(()) => Some(Ok(())),
        };
        self.with(attempt, |pollable, queue| pollable.arm(&queue.room())).await?
    }
}

impl<K: Judge> Async<MessageQueue<K>> {
    /// Takes a message, as [`MessageQueue::get`]; `None` if the queue is closed, and nothing is left. Can be cancelled at any time,
    /// and nothing is lost.
    ///
    /// # Errors
    ///
    /// Those of [`MessageQueue::get`].
    ///
    /// # If a peer dies
    ///
    /// See [`MessageQueue`].
    pub async fn get(&mut self) -> io::Result<Option<Vec<u8>>> {
        let attempt = |queue: &mut MessageQueue<K>| match queue.try_get() {
            Err(QueueError::Empty) => None,
            Err(QueueError::Closed) => Some(Ok(None)),
            got => Some(got.map(Some).map_err(io::Error::from)),
        };
        self.with(attempt, armed).await?
    }

    /// Puts a message, as [`MessageQueue::put`]. Cancelled, it has put nothing.
    ///
    /// # Errors
    ///
    /// Those of [`MessageQueue::put`].
    ///
    /// # If a peer dies
    ///
    /// See [`MessageQueue`].
    pub async fn put(&mut self, message: &[u8]) -> io::Result<()> {
        let attempt = |queue: &mut MessageQueue<K>| match queue.try_put(message) {
            Err(QueueError::Full) => None,
            put => Some(put.map_err(io::Error::from)),
        };
        self.with(attempt, |pollable, queue| pollable.arm(&queue.room_for(message.len()))).await?
    }
}
