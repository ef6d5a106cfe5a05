//! How a broadcast is made, and where who comes late begins.

/// What becomes of an item that a subscriber has not received, when its place is needed for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overrun {
    /// The publisher waits for the slowest living subscriber: all of them receive everything.
    #[default]
    Wait = 0,
    /// It is overwritten, and a subscriber that comes too late is told how many it has [missed](crate::BroadcastError::Lagged): the
    /// publisher waits for nobody.
    Skip = 1,
}

/// Where a new subscriber begins.
///
/// Closed: at either end, and in between there is no place that stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what is published from now on.
    #[default]
    Newest,
    /// With the oldest item that is still there: about seven eighths of a full ring.
    Oldest,
}

/// How a broadcast is to be: its capacity, how many subscribers it can have, and what becomes of what the slow ones miss.
///
/// ```
/// use shmkit_queue::{BroadcastSpec, Overrun};
///
/// let spec = BroadcastSpec::new(64).subscribers(8).overrun(Overrun::Skip);
/// let usual: BroadcastSpec = 64.into();
/// assert_ne!(spec, usual);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastSpec {
    pub(crate) capacity: u64,
    pub(crate) subscribers: Option<u32>,
    pub(crate) overrun: Overrun,
}

impl BroadcastSpec {
    /// For so many items, rounded up to a power of two, 1 to 2^32; as many subscribers at a time as there can be participants;
    /// the publisher waits for the slowest.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, subscribers: None, overrun: Overrun::default() }
    }

    /// Says how many subscribers there can be at a time, 1 to 65,536. Each takes 128 bytes.
    #[must_use]
    pub fn subscribers(self, subscribers: u32) -> Self {
        Self { subscribers: Some(subscribers), ..self }
    }

    /// Says what becomes of what the slow ones have not received.
    #[must_use]
    pub fn overrun(self, overrun: Overrun) -> Self {
        Self { overrun, ..self }
    }
}

/// For so many items.
impl From<u64> for BroadcastSpec {
    fn from(capacity: u64) -> Self {
        Self::new(capacity)
    }
}
