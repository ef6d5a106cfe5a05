//! The words of a pool in shared memory, and the steps that are done with them.
//!
//! ```text
//! parent  S1 cell Free(g) -> Queued(g)                  S2 its number into the line
//!         S3 cell Queued, Running(g) -> watched         S4 and back: nobody looks any more
//! worker  W1 a number out of the line, with a receipt   W2 worker Idle -> Busy(cell)
//!         W3 cell Queued(g) -> Running(me, g)           W4 the receipt: nobody else gets the number
//!         W5 run; write the answer                      W6 cell Running(me, g) -> Done(g): the answer counts
//!         W7 tell the parent, unless it was watched     W8 worker Busy(cell) -> Idle
//! parent  F1 told, or S4 in vain: read the answer, cell Done(g) -> Free(g+1)
//! death   K1 the kernel and the roster say so           K2 cell Running(dead, g) -> Free(g+1), or Queued(g) again
//!         K3 each Done that nobody told of: F1          K4 a new worker: Starting
//! limit   T1 worker Busy(cell) -> Condemned(cell)       T2 kill it         T3 as a death
//! ```

mod cell;
mod front;
mod progress;
mod turn;
mod word;
mod worker;

use core::error::Error;
use core::fmt;
use std::io;

pub use self::cell::{Commit, RawCell, Seen};
pub use self::front::RawFront;
pub use self::progress::{MOST_BYTES, MOST_CALLS, Progress};
pub use self::turn::{Next, Receipt, Turn};
pub use self::word::{CellState, MAX_CELLS, WorkerState};
pub use self::worker::RawWorker;

/// A word of a pool has a value that no process of this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// What the word means.
    pub field: &'static str,
    /// The value found.
    pub found: u64,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, found } = self;
        write!(
            f,
            "the pool is corrupt: its {field} is {found:#x}, which no process of this version writes; make the pool anew"
        )
    }
}

impl Error for Corrupt {}

/// Data that no process of this version writes.
impl From<Corrupt> for io::Error {
    fn from(error: Corrupt) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
