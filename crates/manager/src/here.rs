//! A manager, to who refers to its objects in its own process.

use std::sync::Arc;

use crate::objects::{Held, Objects};
use crate::protocol::Answer;
use crate::served::{Args, Returned};

/// What needs no connection there.
pub(crate) trait Here: Send + Sync {
    /// Its objects.
    fn objects(&self) -> &Objects;

    /// Calls a method, and returns the whole answer, with the objects in it.
    fn call(
        self: Arc<Self>,
        held: &Held,
        method: u64,
        args: Args,
    ) -> Result<(Returned, Vec<Held>), Answer>;

    /// Keeps an object that this very process has sent on, for a while.
    fn keep_passed(&self, held: Held);

    /// One that was sent on has come here.
    fn has_come(&self, object: u64);
}
