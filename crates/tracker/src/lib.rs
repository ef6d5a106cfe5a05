//! What is in `/dev/shm`, and sweeping up what no living process uses.
//!
//! * [`list`] looks at segments without joining them, mapping them or changing a byte of them.
//! * [`Inspection`] looks into one.
//! * [`waits`] says who waits for what, and which of them for each other.
//! * [`Sweep`] removes those whose participants are all gone, or says what it would remove.
//!
//! ```
//! use shmkit_tracker::{Fate, Sweep};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! for swept in Sweep::new().dry_run(true).run()?.files {
//!     match swept.fate {
//!         Fate::Removable => println!("nobody lives in {}: {} bytes", swept.name, swept.size),
//!         other => println!("{} stays: {other}", swept.name),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Neither touches a file that is not a segment of this user: a name with the prefix is not enough, nor a file that
//! was opened and has lost its name to another one since.
//!
//! What this crate does *not* do: it runs no process of its own, and judges nobody. Whether a participant lives is
//! the kernel's word, through the record locks of `shmkit-roster`; and a segment is removed by `shmkit-segment`, in the
//! one way in which segments are removed.

mod asleep;
mod copy;
mod deadlock;
mod examine;
mod inspect;
mod list;
mod sweep;
mod waits;

pub use shmkit_roster::{Member, Verdict};
pub use shmkit_segment::{DIRECTORY, PREFIX};
pub use shmkit_segment::{Entry, ObjectError};

pub use crate::deadlock::Deadlock;
pub use crate::examine::Foreign;
pub use crate::inspect::{InspectError, Inspection};
pub use crate::list::{Found, ListError, Summary, What, list, name_of};
pub use crate::sweep::{Fate, Report, Sweep, Swept};
pub use crate::waits::{Holder, Process, Waiting, Waits, waits};
