//! What who wants to hear is told, by `tracing`: nothing without that feature. This crate prints nothing.
//!
//! Nobody hears while the book is locked: whoever does may use the pool.

use crate::book::{Later, News, Order};
use crate::member::{End, Member};

/// A worker is there.
pub(crate) fn started(pool: &str, place: usize, member: &Member) {
    #[cfg(feature = "tracing")]
    tracing::debug!(pool, place, pid = member.process.pid(), "worker started");
    let _ = (pool, place, member);
}

/// It has ended.
pub(crate) fn ended(pool: &str, place: usize, pid: u32, end: &End) {
    #[cfg(feature = "tracing")]
    match end {
        End::Left(None) => tracing::debug!(pool, place, pid, "worker left"),
        _ => tracing::warn!(pool, place, pid, why = %end.text(), "worker died"),
    }
    let _ = (pool, place, pid, end);
}

/// Calls of a task are answered, or will not be.
pub(crate) fn answered(order: &Order, calls: usize, news: &News, later: &mut Vec<Later>) {
    #[cfg(feature = "tracing")]
    match news {
        News::Answers { first, .. } if tracing::enabled!(tracing::Level::TRACE) => {
            let (task, first) = (order.task, *first);
            later.push(Box::new(move || tracing::trace!(task, first, calls, "task answered")));
        }
        News::Failed { index, error } if tracing::enabled!(tracing::Level::DEBUG) => {
            let (task, index, why) = (order.task, *index, error.to_string());
            later.push(Box::new(move || tracing::debug!(task, index, %why, "task failed")));
        }
        _ => {}
    }
    let _ = (order, calls, news, later);
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
