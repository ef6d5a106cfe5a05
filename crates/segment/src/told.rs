//! What who wants to hear is told, by `tracing`: nothing without that feature. This crate prints nothing.
//!
//! Nobody is told while a lock is held for which anybody waits, or by what must not allocate: who listens may do anything.

use std::path::Path;

use crate::shared::Shared;

/// This process has opened a segment, or made one.
pub(crate) fn came(shared: &Shared, is_new: bool) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        path = shared.place().map(|place| tracing::field::debug(place.path())),
        bytes = shared.header().size,
        "segment {}",
        if is_new { "created" } else { "opened" }
    );
    let _ = (shared, is_new);
}

/// A name was removed that the dead had left.
pub(crate) fn removed(path: &Path) {
    #[cfg(feature = "tracing")]
    tracing::debug!(?path, "segment removed");
    let _ = path;
}
