//! What who wants to hear is told, by `tracing`: nothing without that feature. This crate prints nothing.

use crate::kind::Kind;
use crate::outcome::Outcome;

/// A sweep has done what a dead process had registered.
pub(crate) fn released(kind: Kind<'_>, name: &[u8], outcome: Outcome) {
    #[cfg(feature = "tracing")]
    tracing::debug!(%kind, name = %name.escape_ascii(), ?outcome, "released");
    let _ = (kind, name, outcome);
}
