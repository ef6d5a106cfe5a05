//! What becomes of a task whose worker has died.

/// What becomes of a task whose worker has died before it answered.
///
/// Nobody knows how much of it has happened. So a task is not run again unless somebody says that this does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    times: u32,
}

impl Retry {
    /// The death is its answer: at most once. The default.
    pub const NEVER: Self = Self { times: 0 };

    /// Another worker runs it, so often at most: at least once. A task that kills every worker is answered with the last death.
    pub const fn times(times: u32) -> Self {
        Self { times }
    }

    /// Whether it is run again after so many deaths.
    pub(crate) fn allows(self, deaths: u32) -> bool {
        deaths <= self.times
    }

    pub(crate) fn keeps_arguments(self) -> bool {
        self.times > 0
    }
}
