//! A pipe as a sequence of values.

use core::fmt;
use core::iter::FusedIterator;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};

use crate::{PipeError, Receiver};

/// The values of a pipe up to its end of file; see [`Receiver::iter`].
pub struct Iter<'s, T, K: Judge = Seat> {
    receiver: &'s mut Receiver<T, K>,
    ended: bool,
}

impl<'s, T: ShmSafe, K: Judge> Iter<'s, T, K> {
    pub(crate) fn new(receiver: &'s mut Receiver<T, K>) -> Self {
        Self { receiver, ended: false }
    }
}

impl<T: ShmSafe, K: Judge> Iterator for Iter<'_, T, K> {
    type Item = Result<T, PipeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.receiver.recv() {
            Ok(value) => Some(Ok(value)),
            Err(error) => {
                self.ended = true;
                (error != PipeError::Closed).then_some(Err(error))
            }
        }
    }
}

impl<T: ShmSafe, K: Judge> FusedIterator for Iter<'_, T, K> {}

impl<T, K: Judge> fmt::Debug for Iter<'_, T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("ended", &self.ended).finish_non_exhaustive()
    }
}
