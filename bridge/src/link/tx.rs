//! What a link sends, and who sends it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{MutexGuard, PoisonError};

use zenoh::Wait;

use super::{Link, lock};
use crate::frame::{self, Frame, HEAD, Head};

/// Frames of about so many bytes go in one message.
const CHUNK: usize = 60 << 10;
/// With fewer messages under way, whoever sends sends itself: they find room in zenoh's and the kernel's buffers. With more, what is sent
/// meanwhile goes together.
const DIRECT: usize = 2;

#[derive(Default)]
pub(super) struct Tx {
    /// The number of the next message.
    pub(super) seq: u64,
    /// What is to be sent, each with room for its numbers.
    chunks: VecDeque<Vec<u8>>,
    /// Bytes of them.
    pub(super) waiting: usize,
    /// What was sent and is not known to have come: the number behind each message.
    unacked: VecDeque<u64>,
    /// Somebody sends.
    is_sending: bool,
    pub(super) is_down: bool,
}

impl Tx {
    fn push(&mut self, frame: &Frame<'_>) {
        let last = self.chunks.back_mut().filter(|last| last.len() < CHUNK);
        let before = last.as_ref().map_or(0, |last| last.len());
        match last {
            Some(last) => {
                frame::push(last, frame);
                self.waiting += last.len() - before;
            }
            None => {
                let mut chunk = vec![0; HEAD];
                frame::push(&mut chunk, frame);
                self.waiting += chunk.len();
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Returns whether the next chunk may go at once, by whoever has something to say.
    fn has_room(&self) -> bool {
        self.unacked.len() < DIRECT && self.chunks.front().is_none_or(|next| next.len() <= CHUNK)
    }

    pub(super) fn acknowledge(&mut self, ack: u64) {
        while let Some(&behind) = self.unacked.front()
            && behind <= ack
        {
            self.unacked.pop_front();
        }
    }
}

impl Link {
    /// Sends a frame, or has it sent. It does not wait.
    pub(crate) fn post(&self, frame: &Frame<'_>) {
        let mut tx = lock(&self.tx);
        if tx.is_down {
            return;
        }
        tx.push(frame);
        if tx.is_sending {
            // Whoever sends takes it, too.
        } else if tx.has_room() {
            drop(self.send(tx, true));
        } else {
            self.wake.notify_one();
        }
    }

    /// Sends what is to be sent; in somebody else's thread, as much as there is room for.
    fn send<'l>(&'l self, mut tx: MutexGuard<'l, Tx>, is_lent: bool) -> MutexGuard<'l, Tx> {
        tx.is_sending = true;
        while !tx.is_down && (!is_lent || tx.has_room()) {
            let Some(mut chunk) = tx.chunks.pop_front() else { break };
            let len = chunk.len();
            // Relaxed: it says no more than that so many have come.
            let ack = self.received.load(Relaxed);
            Head { link: self.id, seq: tx.seq, ack }.write(&mut chunk[..HEAD]);
            tx.seq += 1;
            tx.waiting -= len;
            let behind = tx.seq;
            tx.unacked.push_back(behind);
            drop(tx);
            // In the order of the numbers: only this thread sends. What is not sent is missed by its number.
            let sent = self.to.put(chunk).wait();
            tx = lock(&self.tx);
            tx.is_down |= sent.is_err();
        }
        tx.is_sending = false;
        if !tx.chunks.is_empty() || tx.is_down {
            self.wake.notify_one();
        }
        tx
    }

    /// The link's own thread.
    pub(super) fn write(&self) {
        let mut tx = lock(&self.tx);
        while !tx.is_down {
            tx = if tx.chunks.is_empty() || tx.is_sending {
                self.wake.wait(tx).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.send(tx, false)
            };
        }
        drop(tx);
        self.fail("zenoh takes nothing for it any more");
    }
}
