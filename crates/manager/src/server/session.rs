//! What a process that is connected has: references, and leases. It goes when the last of its connections ends.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Mutex, PoisonError, Weak};

use super::Shared;
use crate::objects::Held;
use crate::protocol::Token;

/// The process at the other end of one or more connections.
pub(crate) struct Session {
    pub(crate) token: Token,
    shared: Weak<Shared>,
    holds: Mutex<HashMap<u64, (Held, u64)>>,
}

impl Session {
    pub(crate) fn new(token: Token, shared: Weak<Shared>) -> Self {
        Self { token, shared, holds: Mutex::default() }
    }

    /// Counts a reference.
    pub(crate) fn hold(&self, held: Held) {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, count) = holds.entry(held.object().number).or_insert((held, 0));
        *count = count.saturating_add(1);
    }

    /// Takes a reference off; of what it does not have there is none to take.
    pub(crate) fn release(&self, object: u64) {
        let mut holds = self.holds.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, count)) = holds.get_mut(&object) else { return };
        *count -= 1;
        let gone = if *count == 0 { holds.remove(&object) } else { None };
        // What it takes along may be much, and have a drop of its own.
        drop(holds);
        drop(gone);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Before its leases: who gets one finds nothing of what it had.
        drop(take(self.holds.get_mut().unwrap_or_else(PoisonError::into_inner)));
        if let Some(shared) = self.shared.upgrade() {
            shared.leases.end_of(self.token);
            shared.forget(self.token);
        }
    }
}
