//! Asking the kernel who is alive.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::participant::Participant;
use crate::range::{self, Range};
use crate::{OwnerId, Verdict};

/// What one descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The owner's byte is locked.
    Alive,
    /// It is free, and the *control*, our own byte asked for afterwards, is locked: the question reached our file.
    Dead,
    /// Both are free: either the descriptor leads to a stranger's file, or we have lost our place.
    NotUs,
    /// The kernel refused to say.
    Error,
}

/// Answers for `owner`, asked by the participant called `me`.
pub(crate) fn verdict(participant: &Participant<'_>, me: OwnerId, owner: OwnerId) -> Verdict {
    match ask(participant.unchecked_file(), me, owner) {
        Answer::Alive => return Verdict::Alive,
        Answer::Dead => return Verdict::Dead,
        Answer::NotUs | Answer::Error => {}
    }
    // Somebody closed our descriptor, and perhaps opened another file under its number; or the kernel has forgotten
    // us. Any other description of our file can tell.
    let Ok(file) = participant.file() else { return Verdict::Unknown };
    match ask(file, me, owner) {
        Answer::Alive => Verdict::Alive,
        Answer::Dead => Verdict::Dead,
        // Not if the descriptor was closed since.
        Answer::NotUs
            if participant.file().is_ok_and(|now| now.as_raw_fd() == file.as_raw_fd()) =>
        {
            // Our own byte is free: the others take us for dead, and may have what we hold.
            participant.lose(me);
            Verdict::Unknown
        }
        Answer::NotUs | Answer::Error => Verdict::Unknown,
    }
}

fn ask(file: BorrowedFd<'_>, me: OwnerId, owner: OwnerId) -> Answer {
    match range::conflict(file, Range::id(owner)) {
        Ok(Some(_)) => return Answer::Alive,
        Ok(None) => {}
        Err(_) => return Answer::Error,
    }
    match range::conflict(file, Range::id(me)) {
        Ok(Some(_)) => Answer::Dead,
        Ok(None) => Answer::NotUs,
        Err(_) => Answer::Error,
    }
}
