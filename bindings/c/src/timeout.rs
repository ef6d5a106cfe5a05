//! Times of C: milliseconds, of which a negative number is for ever.

use std::time::Duration;

use shmkit::sync::Patience;

/// How long to wait.
pub(crate) fn patience(milliseconds: i64) -> Patience<'static> {
    match u64::try_from(milliseconds) {
        Ok(milliseconds) => Duration::from_millis(milliseconds).into(),
        Err(_) => Patience::ENDLESS,
    }
}
