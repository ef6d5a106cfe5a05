//! Asking the kernel who is alive.

use std::os::fd::{AsFd, BorrowedFd};

use crate::participant::Participant;
use crate::{OwnerId, Roster, Verdict, range};

/// What one descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The owner's mark is locked. No other file than ours has a lock there (`Salt`): it needs no control.
    Alive,
    /// It is free, and the *control*, our own mark asked for afterwards, is locked: the question reached our file.
    Dead,
    /// Both are free: either the descriptor leads to a stranger's file, or we have lost our place.
    NotUs,
    /// The kernel refused to say.
    Error,
}

/// Answers for `owner`, asked by the participant called `me`.
pub(crate) fn verdict(participant: &Participant<'_>, me: OwnerId, owner: OwnerId) -> Verdict {
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

/// How often a death is asked for before it is believed. The two questions of one time may go to two files: a program
/// that closes our descriptor, and opens first a stranger's file under its number and then ours, between them. It would
/// have to do so at each of these times in a row.
const ROUNDS: u32 = 4;

fn ask(file: BorrowedFd<'_>, roster: Roster<'_>, me: OwnerId, owner: OwnerId) -> Answer {
    let mut answer = Answer::Dead;
    for _ in 0..ROUNDS {
        if answer == Answer::Dead {
            answer = ask_once(file, roster, me, owner);
        }
    }
    answer
}

fn ask_once(file: BorrowedFd<'_>, roster: Roster<'_>, me: OwnerId, owner: OwnerId) -> Answer {
    // Both are names of this roster: the caller has looked.
    let (Some(theirs), Some(ours)) = (roster.mark(owner), roster.mark(me)) else {
        return Answer::Error;
    };
    match range::conflict(file, theirs) {
        Ok(Some(_)) => return Answer::Alive,
        Ok(None) => {}
        Err(_) => return Answer::Error,
    }
    match range::conflict(file, ours) {
        Ok(Some(_)) => Answer::Dead,
        Ok(None) => Answer::NotUs,
        Err(_) => Answer::Error,
    }
}
