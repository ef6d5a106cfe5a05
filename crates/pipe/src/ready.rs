//! Ends among several things that are waited for.

use shmkit_roster::Judge;
use shmkit_wait::{Ready, Source};

use crate::{FrameReceiver, FrameSender, Receiver, Sender};

/// Ready when there is something to receive, or to be told instead.
impl<T, K: Judge> Ready for Receiver<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.end.arm())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.end.is_ready(&self.keeper, 1, asked)
    }
}

/// Ready when there is room, or something to be told instead.
impl<T, K: Judge> Ready for Sender<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.end.arm())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.end.is_ready(&self.keeper, 1, asked)
    }
}

/// Ready when there is something to receive, or to be told instead. Of a streamed message that may be a piece: then *try* finds no
/// message yet, and the next piece makes ready again.
impl<K: Judge> Ready for FrameReceiver<K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.end.arm())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.end.is_ready(&self.keeper, 1, asked)
    }
}

/// The room in a pipe for a message, as one of several things that are waited for: of [`FrameSender::room_for`].
#[derive(Debug)]
pub struct FrameRoom<'s, K: Judge> {
    sender: &'s FrameSender<K>,
    words: u64,
}

impl<K: Judge> FrameSender<K> {
    /// Returns the room for a message of `len` bytes, for who waits for several things: ready when it can be sent, or, if it has
    /// to be streamed, its first piece.
    pub fn room_for(&self, len: usize) -> FrameRoom<'_, K> {
        FrameRoom { sender: self, words: self.end.words_for(len as u64) }
    }
}

/// Ready when there is room, or something to be told instead.
impl<K: Judge> Ready for FrameRoom<'_, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.sender.end.arm())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.sender.end.is_ready(&self.sender.keeper, self.words, asked)
    }
}
