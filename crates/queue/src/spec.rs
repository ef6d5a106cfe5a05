//! How a queue is made, and what has become of its items.

use crate::raw::MOST_DEATHS;

/// What becomes of the item of a taker that died, or was killed, before it was done with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// Another one who takes gets it. The dead one may have worked on it: it is worked on at least once.
    #[default]
    AtLeastOnce = 0,
    /// Nobody gets it, and it is [counted](Stats::lost): it is worked on at most once.
    AtMostOnce = 1,
}

/// How a queue is to be: its capacity, and what becomes of the items of the dead.
///
/// ```
/// use shmkit_queue::{Delivery, QueueSpec};
///
/// let spec = QueueSpec::new(64).delivery(Delivery::AtMostOnce);
/// let usual: QueueSpec = 64.into();
/// assert_ne!(spec, usual);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    pub(crate) capacity: u64,
    pub(crate) delivery: Delivery,
    /// 0: never.
    pub(crate) deaths: u32,
}

impl QueueSpec {
    /// For so many items, 1 to 16,777,215; the items of the dead come again.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, delivery: Delivery::default(), deaths: 0 }
    }

    /// Says what becomes of the item of a taker that died.
    #[must_use]
    pub fn delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }

    /// Says that an item with which so many takers have died, 1 to 15, one after the other, is not handed out again: it goes to the
    /// [dead letters](crate::Queue::dead_letters), so that what kills whoever works on it does so no more. More than 15
    /// count as 15, and 0 as 1. Who gives an item back has not died with it.
    ///
    /// There is room for as many dead letters as for items, and memory for them from the beginning; one more than that is
    /// [lost](Stats::lost). It concerns queues that deliver [at least once](Delivery::AtLeastOnce).
    #[must_use]
    pub fn give_up_after(self, deaths: u32) -> Self {
        Self { deaths: deaths.clamp(1, MOST_DEATHS), ..self }
    }
}

/// For so many items.
impl From<u64> for QueueSpec {
    fn from(capacity: u64) -> Self {
        Self::new(capacity)
    }
}

/// What has become of items since the queue was made, beside being taken.
///
/// Each number is short by one for a participant that was killed between what it did and counting it; nothing depends on
/// them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Items whose taker died before it was done with them, and that nobody gets: of a queue that delivers
    /// [at most once](Delivery::AtMostOnce), or for want of room among the dead letters.
    pub lost: u64,
    /// Puts that were cut by a death: nobody gets what was half written.
    pub discarded: u64,
    /// Items that came back: their taker died before it was done with them, or gave them back.
    pub redelivered: u64,
    /// Items that went to the dead letters, [so many](QueueSpec::give_up_after) having died with them.
    pub given_up: u64,
}
