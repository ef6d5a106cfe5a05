//! Ends among several things that are waited for.

use shmkit_roster::Judge;
use shmkit_wait::{Ready, Source};

use crate::{Receiver, Sender};

/// Ready when there is something to receive, or to be told instead.
impl<T, K: Judge> Ready for Receiver<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.end.arm())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.end.is_ready(&self.keeper, asked)
    }
}

/// Ready when there is room, or something to be told instead.
impl<T, K: Judge> Ready for Sender<T, K> {
    fn source(&self) -> Source<'_> {
        Source::Word(self.end.arm())
    }

    fn is_ready(&self, asked: bool) -> bool {
        self.end.is_ready(&self.keeper, asked)
    }
}
