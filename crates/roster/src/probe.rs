//! Asking the kernel who is alive.

use std::os::fd::BorrowedFd;

use crate::{OwnerId, Roster, range};

/// What one descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The owner's mark is locked. No other file than ours has a lock there (`Salt`): it needs no control.
    Alive,
    /// It is free, and the *control*, our own mark asked for afterwards, is locked: the question reached our file.
    Dead,
    /// Both are free: either the descriptor leads to a stranger's file, or we have lost our place.
    NotUs,
    /// The kernel refused to say.
    Error,
}

/// How often a death is asked for before it is believed. The two questions of one time may go to two files: a program
/// that closes our descriptor, and opens first a stranger's file under its number and then ours, between them. It would
/// have to do so at each of these times in a row.
pub(crate) const ROUNDS: u32 = 4;

/// Asks through a descriptor, whatever that leads to.
pub(crate) fn ask(file: BorrowedFd<'_>, roster: Roster<'_>, me: OwnerId, owner: OwnerId) -> Answer {
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
