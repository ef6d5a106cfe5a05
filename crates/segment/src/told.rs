//! What who wants to hear is told, by `tracing`: nothing without that feature. This crate prints nothing.
//!
//! Nobody is told while a lock is held, or by what must not allocate: who listens may do anything.

use std::path::Path;

use crate::shared::Shared;

/// This process has opened a segment.
pub(crate) fn opened(shared: &Shared) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        path = shared.place().map(|place| tracing::field::debug(place.path())),
        bytes = shared.header().size,
        "segment opened"
    );
    let _ = shared;
}

/// It has made one.
pub(crate) fn created(shared: &Shared) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        path = shared.place().map(|place| tracing::field::debug(place.path())),
        bytes = shared.header().size,
        "segment created"
    );
    let _ = shared;
}

/// A name was removed that the dead had left.
pub(crate) fn removed(path: &Path) {
    #[cfg(feature = "tracing")]
    tracing::debug!(?path, "segment removed");
    let _ = path;
}
