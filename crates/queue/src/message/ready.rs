//! Queues of messages among several things that are waited for.

use shmkit_roster::Judge;
use shmkit_wait::{Ready, Source};

use super::MessageQueue;

/// Ready when there is something to take, or to be told instead.
impl<K: Judge> Ready for MessageQueue<K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.ring.arm_items())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.ring.has_items(self.heap.keeper(), asked).unwrap_or(true)
    }
}

/// The room in a queue of messages, as one of several things that are waited for: of [`MessageQueue::room_for`].
#[derive(Debug)]
pub struct MessageRoom<'q, K: Judge> {
    queue: &'q MessageQueue<K>,
    len: usize,
}

impl<K: Judge> MessageQueue<K> {
    /// Returns its room, for who waits for several things: ready when a message of so many bytes can be put. The queue itself is
    /// ready when something can be taken.
    pub fn room_for(&self, len: usize) -> MessageRoom<'_, K> {
        MessageRoom { queue: self, len }
    }
}

impl<K: Judge> MessageRoom<'_, K> {
    fn has_slot(&self, asked: bool) -> bool {
        self.queue.ring.has_room(self.queue.heap.keeper(), asked).unwrap_or(true)
    }
}

/// Ready when there is room, or something to be told instead.
impl<K: Judge> Ready for MessageRoom<'_, K> {
    fn source(&self) -> Source<'_> {
        // What is missing now; if it is the other one by the time that somebody sleeps, that sleeps a slice.
        if self.has_slot(false) {
            let bell = &self.queue.frame.memory;
            Source::Word(bell.waiter(bell.arm()))
        } else {
            Source::Word(self.queue.ring.arm_room())
        }
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.has_slot(asked) && self.queue.has_memory(self.len).unwrap_or(true)
    }
}
