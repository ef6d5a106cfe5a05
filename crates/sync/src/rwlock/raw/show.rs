//! What stands in a readers-writer lock, for people.

use core::fmt;

use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_layout::Facts;
#[cfg(not(loom))]
use shmkit_roster::Judge;

use super::RawRwLock;
#[cfg(not(loom))]
use super::RwLockFrame;
use super::word::{WAITERS, owner};
#[cfg(not(loom))]
use crate::outcome::POISONED;
use crate::outcome::condition;
#[cfg(not(loom))]
use crate::who::Who;

#[cfg(not(loom))]
impl RwLockFrame {
    /// What its words say, but for who is in.
    pub(crate) fn facts(&self) -> Facts {
        let word = self.word.load(Relaxed);
        let state = self.state.load(Relaxed);
        Facts::new()
            .say("held", !matches!(owner(word), Ok(None)))
            .say("in a change", self.writing.load(Relaxed) != 0)
            .say("waited for", word & WAITERS != 0)
            .say("data", condition(state))
            .say("poisoned", state & POISONED != 0)
            .say("deaths", self.epoch.load(Relaxed))
            .say("seats", self.seats())
    }
}

#[cfg(not(loom))]
impl RawRwLock<'_> {
    /// Shows what stands in the lock, with who is in in words, as fields of something.
    pub(crate) fn describe<J: Judge + ?Sized>(
        self,
        judge: &J,
        debug: &mut fmt::DebugStruct<'_, '_>,
    ) {
        match owner(self.frame.word.load(Relaxed)) {
            Ok(owner) => debug.field("holder", &owner.map(|owner| Who(judge, owner))),
            Err(word) => debug.field("corrupt", &format_args!("{word:#x}")),
        };
        let readers: Vec<_> = self
            .holdings()
            .filter_map(|holding| holding.owner())
            .map(|id| Who(judge, id))
            .collect();
        debug.field("readers", &readers);
        self.describe_state(debug);
    }
}

impl RawRwLock<'_> {
    fn describe_state(self, debug: &mut fmt::DebugStruct<'_, '_>) {
        let state = condition(self.frame.state.load(Relaxed));
        debug
            .field("writing", &(self.frame.writing.load(Relaxed) != 0))
            .field("waiters", &(self.frame.word.load(Relaxed) & WAITERS != 0))
            .field("state", &format_args!("{state}"))
            .field("deaths", &self.epoch())
            .field("poisoned", &self.is_poisoned());
    }
}

impl fmt::Debug for RawRwLock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RawRwLock");
        match owner(self.frame.word.load(Relaxed)) {
            Ok(owner) => debug.field("holder", &owner),
            Err(word) => debug.field("corrupt", &format_args!("{word:#x}")),
        };
        debug.field("readers", &self.holdings().collect::<Vec<_>>());
        self.describe_state(&mut debug);
        debug.finish()
    }
}
