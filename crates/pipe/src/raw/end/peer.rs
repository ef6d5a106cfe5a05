//! What one side of a ring knows of who holds the other.

use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_roster::{Expected, Judge, OwnerId, PeerId, Verdict, ask};

use super::{ROLE, RawEnd};
use crate::PipeError;
use crate::raw::roles::{CLOSED, HEAVY, Pair, is_vacant};

/// In the session that a side was told of: it has left in it, and was not told of its end.
const LEFT: u32 = 1 << 31;

/// What the other side of a ring is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// Nobody has come yet, or nobody since those whose end was told of before, or who handed its end over.
    Absent,
    /// Somebody, who was not found dead.
    Present,
    /// It closed its end.
    Closed,
    /// Its process is gone.
    Dead(OwnerId),
    /// Nobody has come yet, and who was [expected](RawEnd::expect) is gone.
    NeverCame(OwnerId),
    /// Nobody has come yet, and the [expected](RawEnd::expect) process of this number has ended.
    Ended(u32),
    /// Nobody can tell.
    Unknown(OwnerId),
}

impl Peer {
    /// # Errors
    ///
    /// That of who waits for somebody who will not come.
    pub(super) fn may_come(self) -> Result<(), PipeError> {
        match self {
            Self::NeverCame(peer) => Err(PipeError::NeverCame { peer }),
            Self::Ended(pid) => Err(PipeError::ProcessEnded { pid }),
            _ => Ok(()),
        }
    }
}

/// Returns what the other side is that nobody has claimed: `Absent`, unless who is to come is gone. Asked, and told, of a
/// process that could not be: `Absent` as well, for another may come.
fn absent<J: Judge + ?Sized>(expected: &Expected, judge: &J, me: OwnerId) -> Peer {
    match (expected.id(), expected.verdict(judge, me)) {
        // An id that cannot be is nobody who will come.
        (PeerId::Participant(peer), Verdict::Dead | Verdict::Nobody) => Peer::NeverCame(peer),
        (PeerId::Participant(peer), Verdict::Unknown) => Peer::Unknown(peer),
        (PeerId::Process(pid), Verdict::Dead) => Peer::Ended(pid),
        _ => Peer::Absent,
    }
}

/// What a look at the other side has found.
pub(super) struct Found {
    pub(super) peer: Peer,
    /// Its role.
    pub(super) role: u32,
    /// How many have held it, before that.
    pub(super) session: u32,
}

impl Found {
    /// Returns whether somebody is not there (any more) who might have done something before we looked.
    fn is_gone(&self) -> bool {
        matches!(self.peer, Peer::Dead(_) | Peer::NeverCame(_) | Peer::Ended(_))
    }
}

impl<const SENDS: bool> RawEnd<'_, SENDS> {
    /// Says who is expected to claim the other side: if that participant, or process, is gone without having done so, this
    /// side is told, instead of waiting for ever.
    pub fn expect(&mut self, peer: impl Into<Expected>) {
        self.expected = Some(peer.into());
    }

    /// Returns what the other side is; whether it is alive only if that is to be `asked`.
    ///
    /// What it published before it closed or died is seen by a [`look`](Self::look) *after* this. The other way round
    /// the last items are lost.
    ///
    /// # Errors
    ///
    /// [`PipeError::Corrupt`] if the role word names nobody who can be.
    pub fn peer<J: Judge + ?Sized>(&self, judge: &J, asked: bool) -> Result<Peer, PipeError> {
        self.find(judge, asked).map(|found| found.peer)
    }

    /// As [`peer`](Self::peer), with what it is told by.
    pub(super) fn find<J: Judge + ?Sized>(
        &self,
        judge: &J,
        asked: bool,
    ) -> Result<Found, PipeError> {
        if let Some(found) = self.succeeded() {
            return Ok(found);
        }
        loop {
            // First: a session that is older than the role is told of once more, a younger one would not be.
            let session = self.session();
            // Acquire: pairs with the Release in `close`.
            let role = self.load_roles(Acquire).of(Self::OTHER);
            let corrupt = PipeError::Corrupt { field: ROLE, found: role.into() };
            let nobody = is_vacant(role) || self.is_old(role);
            let peer = match OwnerId::from_word(role) {
                _ if nobody => match &self.expected {
                    Some(expected) if asked => absent(expected, judge, self.me),
                    _ => Peer::Absent,
                },
                None => return Err(corrupt),
                Some(_) if role & CLOSED != 0 => Peer::Closed,
                Some(_) if !asked => Peer::Present,
                Some(peer) => match ask(judge, self.me, peer) {
                    Verdict::Dead => Peer::Dead(peer),
                    Verdict::Alive => Peer::Present,
                    Verdict::Unknown => Peer::Unknown(peer),
                    Verdict::Nobody => return Err(corrupt),
                },
            };
            // It may have closed since we looked, or come and closed, and left: that is no death. Acquire: as above.
            let found = Found { peer, role, session };
            if found.is_gone() && self.has_changed(&found) {
                continue;
            }
            return Ok(found);
        }
    }

    /// Looks as [`find`](Self::find) does, for who waits for somebody to come, and not for the end of who was there: beside
    /// that it is asked about who is expected.
    pub(super) fn find_next<J: Judge + ?Sized>(&self, judge: &J) -> Result<Found, PipeError> {
        loop {
            let mut found = self.find(judge, true)?;
            // Without a role it is an accepted session that was succeeded: somebody has come.
            if let (Peer::Closed | Peer::Dead(_), Some(expected)) = (found.peer, &self.expected)
                && found.role != 0
            {
                found.peer = absent(expected, judge, self.me);
                if found.is_gone() && self.has_changed(&found) {
                    continue;
                }
            }
            return Ok(found);
        }
    }

    /// Returns whether somebody has come, or left, since it was `found` what the other side is.
    fn has_changed(&self, found: &Found) -> bool {
        // Acquire: pairs with the Release of who claims or leaves: what it has said before is seen by the look that follows.
        self.session() != found.session || self.load_roles(Acquire).of(Self::OTHER) != found.role
    }

    /// Takes note of what the other side is now.
    pub(super) fn meet(&mut self, roles: Pair) {
        let other = roles.of(Self::OTHER);
        if other != self.old {
            self.old = 0;
        }
        // A sender looks again each time until somebody is there who has not closed.
        let again = SENDS && other & CLOSED != 0;
        self.roles = if again { roles.with(Self::OTHER, 0) } else { roles };
        self.light = other & self.word & HEAVY != 0;
    }

    /// Finds out, at the claim, whether the end of who holds the other side was told to our predecessor, who had received
    /// all there was: then nobody has come since. Whether that one has left in good order is what its role says (`closed`):
    /// killed in the middle of it, it may have noted it only.
    pub(super) fn recall<J: Judge + ?Sized>(&mut self, judge: &J, roles: Pair, closed: bool) {
        let role = roles.of(Self::OTHER);
        let session = self.session();
        // Relaxed: as our position.
        let told = self.ring.control.told[Self::SELF].load(Relaxed);
        let knows = told & LEFT == 0 || closed;
        if is_vacant(role) || (session ^ told) & !LEFT != 0 || !knows || !SENDS && self.ready() > 0
        {
            return;
        }
        // A death that came after our predecessor had left was told to nobody.
        let dead = |peer| told & LEFT == 0 && ask(judge, self.me, peer) == Verdict::Dead;
        if role & CLOSED != 0 || OwnerId::from_word(role).is_some_and(dead) {
            self.old = role;
            self.old_session = session;
        }
    }

    /// Records that this side knows of the end of a session. Killed before, the successor is told as well.
    pub(super) fn note(&self, session: u32) {
        // Relaxed: read by our successor, who learns of our position likewise.
        self.ring.control.told[Self::SELF].store(session & !LEFT, Relaxed);
    }

    /// Records that this side is given up in good order during a session, of whose end it has heard or not.
    pub(super) fn note_leave(&self, session: u32) {
        let told = &self.ring.control.told[Self::SELF];
        // Relaxed, both: as in `note`.
        if told.load(Relaxed) != session & !LEFT {
            told.store(session | LEFT, Relaxed);
        }
    }

    /// Returns how many have held the other side.
    pub(super) fn session(&self) -> u32 {
        // Acquire: pairs with the Release in `claim`.
        self.ring.control.sessions[Self::OTHER].load(Acquire)
    }

    /// Returns whether the end of who has `role` is old news. (The same one may have come again, and left: then it is
    /// another session.)
    #[inline]
    pub(super) fn is_old(&self, role: u32) -> bool {
        role != 0 && role == self.old && self.session() == self.old_session
    }

    /// Returns whether the role is that of one that has closed, and this side is to be told.
    #[inline]
    pub(super) fn is_closed(&self, role: u32) -> bool {
        role & CLOSED != 0 && !self.is_old(role)
    }

    /// Returns whether the other side is closed, as far as this side has heard.
    #[inline]
    pub(super) fn peer_closed(&self) -> bool {
        // Relaxed: a hint. Whoever reports it looks again, with Acquire, in `peer`.
        self.is_closed(self.load_roles(Relaxed).of(Self::OTHER))
    }
}
