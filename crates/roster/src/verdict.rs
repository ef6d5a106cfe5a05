//! What a participant says of the others.

use std::os::fd::{AsFd, BorrowedFd};

use crate::participant::Participant;
use crate::probe::{Answer, ROUNDS, ask};
use crate::{Judge, OwnerId, Person, Verdict, range};

// SAFETY: ids are issued once, under the roster's locks (`join`), and the kernel alone calls an owner dead (`probe`).
unsafe impl Judge for Participant<'_> {
    #[inline]
    fn me(&self) -> Option<OwnerId> {
        self.id()
    }

    fn place(&self) -> *const () {
        core::ptr::from_ref(self.id_word()).cast()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        if owner == OwnerId::GONE {
            return Verdict::Dead;
        }
        if !self.roster().knows(owner) {
            return Verdict::Nobody;
        }
        self.id().map_or(Verdict::Unknown, |me| verdict(self, me, owner))
    }

    fn places(&self) -> u32 {
        self.roster().slots()
    }

    fn person(&self, owner: OwnerId) -> Option<Person> {
        self.roster().person(owner)
    }
}

/// Answers for `owner`, asked by the participant called `me`.
fn verdict(participant: &Participant<'_>, me: OwnerId, owner: OwnerId) -> Verdict {
    let (file, roster) = (participant.unchecked_file(), participant.roster());
    match ask(file, roster, me, owner) {
        Answer::Alive => return Verdict::Alive,
        Answer::Dead => return Verdict::Dead,
        Answer::NotUs | Answer::Error => {}
    }
    // Somebody closed our descriptor, and perhaps opened another file under its number; or this thread has descriptors
    // of its own; or the kernel has forgotten us. Any other description of our file can tell. It is not kept: what is in
    // one thread's table need not be in another's.
    if participant.is_ours(file) {
        return again(participant, file, me, owner);
    }
    match participant.open_anew() {
        Some(file) => again(participant, file.as_fd(), me, owner),
        None => Verdict::Unknown,
    }
}

/// Asks once more, on a descriptor that led to our file a moment ago.
fn again(
    participant: &Participant<'_>,
    file: BorrowedFd<'_>,
    me: OwnerId,
    owner: OwnerId,
) -> Verdict {
    match ask(file, participant.roster(), me, owner) {
        Answer::Alive => Verdict::Alive,
        Answer::Dead => Verdict::Dead,
        Answer::NotUs if is_forgotten(participant, file, me) => {
            // The others take us for dead, and may have what we hold.
            participant.lose(me);
            Verdict::Unknown
        }
        Answer::NotUs | Answer::Error => Verdict::Unknown,
    }
}

/// Whether our own mark is free. To be sure of it takes a description that nobody else in this program knows: a thread
/// that puts a stranger's file under our descriptor's number, and ours back again, may do so around each question.
fn is_forgotten(participant: &Participant<'_>, file: BorrowedFd<'_>, me: OwnerId) -> bool {
    let Some(ours) = participant.roster().mark(me) else { return false };
    let private = participant.open_private(file);
    let file = private.as_ref().map_or(file, AsFd::as_fd);
    (0..ROUNDS).all(|_| {
        participant.is_ours(file)
            && matches!(range::conflict(file, ours), Ok(None))
            && participant.is_ours(file)
    })
}
