//! An end that goes from one holder to the next, without an end of what it carries.

use shmkit_atomic::Ordering::Release;
use shmkit_roster::Judge;

use super::RawEnd;
use crate::PipeError;
use crate::raw::RawRing;
use crate::raw::roles::HANDED;

impl<'r, const SENDS: bool> RawEnd<'r, SENDS> {
    /// Gives this side up without closing it: whoever claims it next goes on where this holder stopped, in the same session, and
    /// the other side is told of nothing; it waits until somebody comes. From then on the handle refuses everything.
    ///
    /// One step: killed before it, the holder has died; killed after it, nobody has the side, and who comes next gets it.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check): then nothing has happened.
    pub fn hand_over<J: Judge + ?Sized>(&mut self, judge: &J) -> Result<&'r RawRing, PipeError> {
        self.check(judge)?;
        if self.old != 0 && self.old_session == self.session() {
            // Our successor has heard what we have heard.
            self.note(self.old_session);
        }
        // Release: pairs with the Acquire in `claim`: whoever has it next sees the last position.
        let given = self.ring.control.roles.exchange(Self::SELF, self.word, HANDED, Release);
        given.map_err(|_| PipeError::NotMine)?;
        self.word = 0; // As in `close`.
        Ok(self.ring)
    }
}
