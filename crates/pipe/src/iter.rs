//! A pipe as a sequence of values.

use core::fmt;
use core::iter::FusedIterator;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Participant};

use crate::{PipeError, Receiver};

/// The values of a pipe up to its end of file; see [`Receiver::iter`].
pub struct Iter<'s, 'a, T, J: Judge = Participant<'a>> {
    receiver: &'s mut Receiver<'a, T, J>,
    ended: bool,
}

impl<'s, 'a, T: ShmSafe, J: Judge> Iter<'s, 'a, T, J> {
    pub(crate) fn new(receiver: &'s mut Receiver<'a, T, J>) -> Self {
        Self { receiver, ended: false }
    }
}

impl<T: ShmSafe, J: Judge> Iterator for Iter<'_, '_, T, J> {
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

impl<T: ShmSafe, J: Judge> FusedIterator for Iter<'_, '_, T, J> {}

impl<T, J: Judge> fmt::Debug for Iter<'_, '_, T, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("ended", &self.ended).finish_non_exhaustive()
    }
}
