//! Nothing left behind: what is in `/dev/shm`, and cleaning up what no living process uses.
//!
//! * [`list`] looks at segments without joining them, mapping them or changing a byte of them.
//! * [`Inspection`] looks into one, [`inspect_all`] into all of them, and [`unnamed`] finds those that have no name.
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
//! * [`Tracker::register`] keeps a record of what is no segment: semaphores, plain shared memory, sockets, files, folders.
//!   A sweep releases what nobody alive has registered.
//! * [`Tracker::start`] has a watcher do both as soon as somebody dies; [`Watch`] is one in the foreground.
//!
//! None of them touches a file that is not a segment of this user or was registered: a name with the prefix is not enough,
//! nor a file that has lost its name to another one since. What bears a registered name is known by device, number and
//! birth. Between that look and the removal lie microseconds in which a stranger could put another file there: whoever
//! registers is kept out of them, and nobody else can be.
//!
//! What this crate does *not* do: it judges nobody. Whether a participant lives is the kernel's word, through the record
//! locks of `shmkit-roster`; and a segment is removed by `shmkit-segment`, in the one way in which segments are removed.
//!
//! # Features
//!
//! * `tracing`: an event at `DEBUG` for each thing that a sweep releases, and those of segments, to whoever subscribes. Nothing is printed.
//!
//! # Containers
//!
//! Those that share `/dev/shm` may have PID namespaces of their own, and share one watcher; any of them starts another when
//! the one with the watcher ends. Paths of another mount namespace are released only where they lead to the same file; what
//! cannot be seen stays registered until somebody comes by who sees it.
//!
//! # systemd's RemoveIPC
//!
//! When the last session of a user who is no system user ends, `systemd-logind` removes everything of theirs in `/dev/shm`
//! (`RemoveIPC=yes` is the default), in use or not: segments, semaphores, and the register. Services of such a user lose the
//! names of what they have, though not the memory. Set `RemoveIPC=no` in `logind.conf`, use a system user, or have the user
//! linger (`loginctl enable-linger`). A process that uses its tracker again registers all that it has in a new register.

mod asleep;
mod command;
mod copy;
mod deadlock;
mod entries;
mod error;
mod events;
mod examine;
mod fork;
mod guard;
mod holders;
mod identity;
mod inspect;
mod kind;
mod launch;
mod list;
mod look;
mod outcome;
mod page;
mod pending;
mod record;
mod register;
mod release;
mod reopen;
mod scratch;
mod shared;
mod sweep;
mod told;
mod tracker;
mod tree;
mod unmap;
mod unnamed;
mod waits;
mod watch;
mod watcher;

pub use shmkit_roster::{Member, Verdict};
pub use shmkit_segment::{DIRECTORY, PREFIX};
pub use shmkit_segment::{Entry, ObjectError};

pub use crate::deadlock::Deadlock;
pub use crate::error::{ErrorKind, TrackerError};
pub use crate::examine::Foreign;
pub use crate::holders::Holder;
pub use crate::inspect::{InspectError, Inspection, inspect_all};
pub use crate::kind::{Kind, command};
pub use crate::list::{Found, ListError, Summary, What, list, name_of};
pub use crate::outcome::Outcome;
pub use crate::release::Cleaner;
pub use crate::sweep::{Fate, Released, Report, Sweep, Swept};
pub use crate::tracker::{Name, Registered, Tracker, Watching};
pub use crate::unnamed::unnamed;
pub use crate::waits::{Process, Waiting, Waits, waits, waits_in};
pub use crate::watch::Watch;
pub use crate::watcher::Watched;
