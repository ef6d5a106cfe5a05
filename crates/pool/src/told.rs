//! What who wants to hear is told, by `tracing`: nothing without that feature. This crate prints nothing.
//!
//! Nobody hears while the book is locked: whoever does may use the pool.

use shmkit_process::TaskError;

/// A worker is there.
pub(crate) fn started(pool: &str, place: usize, pid: u32) {
    #[cfg(feature = "tracing")]
    tracing::debug!(pool, place, pid, "worker started");
    let _ = (pool, place, pid);
}

/// It has left, or ended for this reason.
pub(crate) fn ended(pool: &str, place: usize, pid: u32, why: Option<String>) {
    #[cfg(feature = "tracing")]
    match &why {
        None => tracing::debug!(pool, place, pid, "worker left"),
        Some(why) => tracing::warn!(pool, place, pid, why, "worker died"),
    }
    let _ = (pool, place, pid, why);
}

/// What is to be said when the book is not locked: calls of a task are answered, from this one on.
pub(crate) fn answered(
    task: &'static str,
    first: usize,
    calls: usize,
) -> Option<Box<dyn FnOnce() + Send>> {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(tracing::Level::TRACE) {
        return Some(Box::new(move || tracing::trace!(task, first, calls, "task answered")));
    }
    let _ = (task, first, calls);
    None
}

/// The same: this one will not be.
pub(crate) fn failed(
    task: &'static str,
    index: usize,
    error: &TaskError,
) -> Option<Box<dyn FnOnce() + Send>> {
    #[cfg(feature = "tracing")]
    if tracing::enabled!(tracing::Level::DEBUG) {
        let why = error.to_string();
        return Some(Box::new(move || tracing::debug!(task, index, %why, "task failed")));
    }
    let _ = (task, index, error);
    None
}

/// In a worker: runs the calls of a cell, in a span of their own.
pub(crate) fn within<R>(task: &'static str, calls: u64, run: impl FnOnce() -> R) -> R {
    #[cfg(feature = "tracing")]
    return tracing::debug_span!("task", name = task, calls).in_scope(run);
    #[cfg(not(feature = "tracing"))]
    {
        let _ = (task, calls);
        run()
    }
}
