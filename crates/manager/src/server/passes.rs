//! What is on its way from one process to another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Session;
use crate::objects::Held;

/// How long what somebody has sent on is kept when the sender has gone.
const GRACE: Duration = Duration::from_secs(60);

/// How many may be on their way at once: the next one is not kept.
const MOST: usize = 1 << 16;

/// References that were sent, and have not come yet: who sent one may drop its own, or end.
#[derive(Default)]
pub(crate) struct Passes(Mutex<HashMap<u64, Vec<Pass>>>);

struct Pass {
    held: Held,
    by: Weak<Session>,
    /// Set when the sender has gone.
    until: Option<Instant>,
}

impl Passes {
    /// Keeps an object for whoever the reference comes to.
    pub(crate) fn add(&self, held: Held, by: Weak<Session>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().map(Vec::len).sum::<usize>() < MOST {
            let number = held.object().number;
            all.entry(number).or_default().push(Pass { held, by, until: None });
        }
    }

    /// One of them has come.
    pub(crate) fn take(&self, object: u64) -> Option<Held> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = all.get_mut(&object)?;
        let pass = waiting.pop();
        if waiting.is_empty() {
            all.remove(&object);
        }
        pass.map(|pass| pass.held)
    }

    /// Forgets those whose sender went a while ago.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut over = Vec::new();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for waiting in all.values_mut() {
            for pass in waiting.iter_mut().filter(|pass| pass.by.strong_count() == 0) {
                pass.until.get_or_insert(now + GRACE);
            }
            let is_over = |pass: &mut Pass| pass.until.is_some_and(|until| until <= now);
            over.extend(waiting.extract_if(.., is_over));
        }
        all.retain(|_, waiting| !waiting.is_empty());
        drop(all);
        drop(over);
    }
}
