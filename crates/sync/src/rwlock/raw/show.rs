//! What stands in a readers-writer lock, for people.

use core::fmt;

use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_roster::Judge;

use super::RawRwLock;
use super::word::{WAITERS, owner};
use crate::outcome::{INCONSISTENT, POISONED};
#[cfg(not(loom))]
use crate::who::Who;

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
        let state = match self.frame.state.load(Relaxed) & !POISONED {
            0 => "clean",
            INCONSISTENT => "inconsistent",
            _ => "unrecoverable",
        };
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
