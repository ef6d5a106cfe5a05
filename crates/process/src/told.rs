//! What who wants to hear is told, by `tracing`: nothing without that feature. This crate prints nothing.

use crate::shared::Shared;
use crate::status::Status;

/// A process is there.
pub(crate) fn started(shared: &Shared) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        pid = shared.state().pid,
        name = shared.name.as_str(),
        task = shared.task,
        "process started"
    );
    let _ = shared;
}

/// It has ended, and whoever waits for it was told.
pub(crate) fn ended(shared: &Shared, status: Status) {
    #[cfg(feature = "tracing")]
    tracing::debug!(pid = shared.state().pid, name = shared.name.as_str(), task = shared.task, %status, "process ended");
    let _ = (shared, status);
}
