//! What stands in a lock, for people.

use core::fmt;

use shmkit_atomic::Ordering::Relaxed;
#[cfg(not(loom))]
use shmkit_layout::Facts;
#[cfg(not(loom))]
use shmkit_roster::Judge;

use crate::RawMutex;
use crate::mutex::raw::{WAITERS, owner};
use crate::outcome::condition;
#[cfg(not(loom))]
use crate::who::Who;

#[cfg(not(loom))]
impl RawMutex {
    /// What its words say, but for who holds it.
    pub(crate) fn facts(&self) -> Facts {
        let word = self.word.load(Relaxed);
        Facts::new()
            .say("held", !matches!(owner(word), Ok(None)))
            .say("waited for", word & WAITERS != 0)
            .say("data", condition(self.state.load(Relaxed)))
            .say("poisoned", self.is_poisoned())
            .say("deaths", self.epoch())
    }

    /// Shows what stands in the lock, with who holds it in words, as fields of something.
    pub(crate) fn describe<J: Judge + ?Sized>(
        &self,
        judge: &J,
        debug: &mut fmt::DebugStruct<'_, '_>,
    ) {
        self.describe_holder(judge, debug);
        self.describe_state(debug);
    }

    /// Shows who holds the lock, in words.
    pub(crate) fn describe_holder<J: Judge + ?Sized>(
        &self,
        judge: &J,
        debug: &mut fmt::DebugStruct<'_, '_>,
    ) {
        match owner(self.word.load(Relaxed)) {
            Ok(owner) => debug.field("holder", &owner.map(|owner| Who(judge, owner))),
            Err(word) => debug.field("corrupt", &format_args!("{word:#x}")),
        };
    }
}

impl RawMutex {
    pub(crate) fn describe_state(&self, debug: &mut fmt::DebugStruct<'_, '_>) {
        let state = condition(self.state.load(Relaxed));
        debug
            .field("waiters", &(self.word.load(Relaxed) & WAITERS != 0))
            .field("state", &format_args!("{state}"))
            .field("deaths", &self.epoch())
            .field("poisoned", &self.is_poisoned());
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RawMutex");
        match owner(self.word.load(Relaxed)) {
            Ok(owner) => debug.field("owner", &owner),
            Err(word) => debug.field("corrupt", &format_args!("{word:#x}")),
        };
        self.describe_state(&mut debug);
        debug.finish()
    }
}
