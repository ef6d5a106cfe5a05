//! How a queue of messages is made.

use crate::{Delivery, QueueSpec};

/// How a queue of messages is to be: how many it holds, how many bytes, and what becomes of the messages of the dead.
///
/// ```
/// use shmkit_queue::{Delivery, MessageSpec};
///
/// // Up to 64 messages of 16 MiB together, of which 64 KiB are there from the beginning.
/// let spec = MessageSpec::new(64, 16 << 20).initial(1 << 16).delivery(Delivery::AtMostOnce);
/// # let _ = spec;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageSpec {
    pub(crate) slots: QueueSpec,
    /// Of the heap, tables included.
    pub(crate) bytes: u64,
    /// Those that are to be there from the beginning.
    pub(crate) initial: u64,
}

impl MessageSpec {
    /// For so many messages, 1 to 16,777,215, and so many bytes, 64 KiB at least: of messages that do not fit in their slot, and of
    /// the tables that tell where they lie, a hundredth or so. Messages of the dead come again.
    pub fn new(capacity: u64, bytes: u64) -> Self {
        Self { slots: QueueSpec::new(capacity), bytes, initial: bytes }
    }

    /// Says how many of the bytes are to be there from the beginning. The others are had when they are needed, if the segment
    /// [may grow](https://docs.rs/shmkit-segment), and are not given back.
    #[must_use]
    pub fn initial(self, bytes: u64) -> Self {
        Self { initial: bytes.min(self.bytes), ..self }
    }

    /// Says what becomes of the message of a taker that died.
    #[must_use]
    pub fn delivery(self, delivery: Delivery) -> Self {
        Self { slots: self.slots.delivery(delivery), ..self }
    }

    /// Says that a message with which so many takers have died goes to the dead letters, as
    /// [`QueueSpec::give_up_after`]. There it takes memory as any message does; if there is none it is lost.
    #[must_use]
    pub fn give_up_after(self, deaths: u32) -> Self {
        Self { slots: self.slots.give_up_after(deaths), ..self }
    }
}
