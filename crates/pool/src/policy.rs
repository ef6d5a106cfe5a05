//! What becomes of a task whose worker has died.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shmkit_process::Death;

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

/// What is to become of a task whose worker has died: said by [`Builder::on_death`](crate::Builder::on_death).
///
/// Closed: there is nothing else that could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeath {
    /// Another worker runs it again.
    Again,
    /// The death is its answer.
    Fail,
}

/// Who is asked after each death.
#[derive(Clone)]
pub(crate) struct Hook(Arc<dyn Fn(&Death) -> AfterDeath + Send + Sync>);

impl Hook {
    pub(crate) fn new(hook: impl Fn(&Death) -> AfterDeath + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn ask(&self, death: &Death) -> AfterDeath {
        // Of what it has left half done, nothing is ours.
        catch_unwind(AssertUnwindSafe(|| (self.0)(death))).unwrap_or(AfterDeath::Fail)
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}
