//! How one side of a ring waits for somebody to hold the other.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::barrier;
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{Patience, Wait};

use super::peer::Found;
use super::wait::{given_up, heard};
use super::{Peer, RawEnd};
use crate::PipeError;
use crate::raw::roles::HEAVY;

impl<const SENDS: bool> RawEnd<'_, SENDS> {
    /// Waits until somebody who was not found dead holds the other side, and returns who.
    ///
    /// # Errors
    ///
    /// Whatever ends `patience`; [`PipeError::CannotJudge`] if somebody holds it of whom nobody can
    /// tell, after a second at the latest; [`PipeError::NeverCame`] or
    /// [`PipeError::ProcessEnded`] if who was expected is gone; as [`check`](Self::check).
    pub fn wait_for_peer<'p, J: Judge + ?Sized>(
        &mut self,
        judge: &J,
        patience: impl Into<Patience<'p>>,
    ) -> Result<OwnerId, PipeError> {
        let patience = patience.into();
        let mut wait = Wait::new(patience, self.me, judge);
        loop {
            self.check(judge)?;
            // Asked each time: somebody comes seldom, and must be alive.
            let Found { peer, role, .. } = self.find_next(judge)?;
            if let (Peer::Present, Some(peer)) = (peer, OwnerId::from_word(role)) {
                self.expected = None;
                return Ok(peer);
            }
            peer.may_come()?;
            let unsure = heard(&mut wait, peer);
            wait.check().map_err(|why| given_up(why, unsure, patience))?;
            let bell = &self.ring.control.bell[Self::SELF];
            let armed = bell.arm();
            if self.word & HEAVY != 0 {
                barrier::heavy(); // As in `sleep`.
            }
            // Relaxed: the fence of `arm` orders it; who claims the other side changes its role first and rings then.
            if self.load_roles(Relaxed).of(Self::OTHER) == role {
                let wake = bell.sleep(armed, wait.until());
                wait.slept(wake).map_err(|why| given_up(why, unsure, patience))?;
            }
        }
    }
}
