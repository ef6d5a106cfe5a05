//! Questions to the other side, and who is told of the answers.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use super::{Link, lock};
use crate::frame::{Decline, Frame};

/// What is said to who has asked.
pub(crate) enum Said<'a> {
    /// A part; there will be more.
    Part(&'a [u8]),
    /// All, or the last part; or why not.
    Last(Result<&'a [u8], Decline>),
}

/// Who has asked. Called for each part, and once with the last.
pub(crate) type Then = Box<dyn FnMut(Said<'_>) + Send>;

#[derive(Default)]
pub(super) struct Calls {
    /// Why there will be no answers any more.
    down: Option<String>,
    waiting: HashMap<u64, Then>,
}

thread_local! {
    /// This thread brings an answer.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread brings an answer: it must not wait for another one, which may be for it to bring.
pub(crate) fn is_telling() -> bool {
    TELLS.get()
}

fn tell(then: &mut Then, said: Said<'_>) {
    let before = TELLS.replace(true);
    then(said);
    TELLS.set(before);
}

impl Link {
    /// Asks by a frame that has this ticket. `then` is called with the answer by another thread, or by this one if there will be none.
    pub(crate) fn ask(&self, ticket: u64, then: Then, frame: &Frame<'_>) {
        if self.expect(ticket, then) {
            self.post(frame);
        }
    }

    /// Keeps whom to call with an answer, or with its next part; or calls at once, if there will be none. Returns whether it is kept.
    fn expect(&self, ticket: u64, mut then: Then) -> bool {
        let mut calls = lock(&self.calls);
        let Some(why) = calls.down.clone() else {
            calls.waiting.insert(ticket, then);
            return true;
        };
        drop(calls);
        then(Said::Last(Err(Decline::Gone(why))));
        false
    }

    /// Returns why the link is no more, if it is not.
    pub(crate) fn down(&self) -> Option<String> {
        lock(&self.calls).down.clone()
    }

    /// How many messages have come, if answers are waited for.
    pub(crate) fn waits(&self) -> Option<u64> {
        let waits = !lock(&self.calls).waiting.is_empty();
        waits.then(|| self.received.load(Relaxed))
    }

    /// Calls who has asked. Without a lock: it may ask again.
    pub(super) fn said(&self, ticket: u64, said: Said<'_>) {
        let Some(mut then) = lock(&self.calls).waiting.remove(&ticket) else { return };
        let is_part = matches!(said, Said::Part(_));
        tell(&mut then, said);
        if is_part {
            self.expect(ticket, then);
        }
    }

    /// There will be no answers any more: all who wait for one are told why.
    pub(super) fn tell_all(&self, why: &str) {
        let waiting = {
            let mut calls = lock(&self.calls);
            calls.down.get_or_insert_with(|| why.to_owned());
            std::mem::take(&mut calls.waiting)
        };
        for (_, mut then) in waiting {
            tell(&mut then, Said::Last(Err(Decline::Gone(why.to_owned()))));
        }
    }
}
