//! Waiting without the interpreter, and hearing signals meanwhile.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use nix::unistd::{getpid, gettid};
use pyo3::prelude::*;
use shmkit::Patience;

/// What a caller said of how long to wait: Python's `block` and `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    For(Duration),
    /// For as long as it takes.
    Endless,
}

impl Wait {
    /// Of both arguments: whoever does not block has no time-out.
    pub(crate) fn new(block: Option<&Bound<'_, PyAny>>, timeout: Option<f64>) -> PyResult<Self> {
        match block {
            Some(block) if !block.is_truthy()? => Ok(Self::No),
            _ => Ok(timeout.into()),
        }
    }

    fn patience(self) -> Patience<'static> {
        match self {
            Self::No => Duration::ZERO.into(),
            Self::For(time) => time.into(),
            Self::Endless => Patience::ENDLESS,
        }
    }
}

/// Seconds, of which a negative number is none and one that no clock reaches is for ever.
impl From<Option<f64>> for Wait {
    fn from(timeout: Option<f64>) -> Self {
        match timeout {
            None => Self::Endless,
            Some(seconds) if seconds > 0.0 => {
                Duration::try_from_secs_f64(seconds).map_or(Self::Endless, Self::For)
            }
            // NaN, too.
            Some(_) => Self::No,
        }
    }
}

/// How many forks this process is away from the one that has loaded this.
static FORKS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// Whether this is the first thread, as of so many forks: to ask the kernel takes two calls, and a wait may be shorter.
    static FIRST: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

/// For Python to call in each forked child.
#[pyfunction]
pub(crate) fn forked() {
    // Relaxed: the child has one thread.
    FORKS.fetch_add(1, Relaxed);
}

/// Returns whether this is the first thread of this process.
fn is_first() -> bool {
    let forks = FORKS.load(Relaxed);
    match FIRST.get() {
        Some((known, first)) if known == forks => first,
        _ => {
            let first = getpid() == gettid();
            FIRST.set(Some((forks, first)));
            first
        }
    }
}

/// Runs what waits, while other threads have the interpreter. Returns what it returns, and what a signal handler raised
/// meanwhile: then the wait was told to stop, unless it had got what it was for.
///
/// Python runs its handlers in its first thread only, so that others need not be asked.
pub(crate) fn wait<R: Send>(
    py: Python<'_>,
    wait: Wait,
    run: impl FnOnce(Patience<'_>) -> R + Send,
) -> (R, Option<PyErr>) {
    py.detach(|| {
        if !is_first() {
            return (run(wait.patience()), None);
        }
        let raised = RefCell::new(None);
        let ask = || match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                raised.replace(Some(error));
                ControlFlow::Break(())
            }
        };
        let result = run(wait.patience().interruptible(&ask));
        (result, raised.into_inner())
    })
}
