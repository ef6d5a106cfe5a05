//! Run a function in a process of its own, and always hear how it ended.
//!
//! ```no_run
//! use shmkit_process::{Process, task};
//!
//! #[task(crate = shmkit_process)]
//! fn square(x: u64) -> u64 {
//!     x * x
//! }
//!
//! #[shmkit_process::main(crate = shmkit_process)]
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let process = Process::spawn(square, (7,))?; // another process, which runs `square`
//!     assert_eq!(process.join()?, 49);
//!     Ok(())
//! }
//! ```
//!
//! > **Any process may be killed at any instruction. A task is answered exactly once: with its result, or with who died and how. No
//! > call waits for the dead. When the program is killed, its children end, and nothing stays behind.**
//!
//! # How
//!
//! The process is this program, executed anew, whatever became of its file. Before it does anything of its own,
//! [`#[main]`](macro@main), [`init`] or [`early!`] sees that it was started to run a task, runs it, and ends it. The function is known by its
//! name and its signature, never by an address. Arguments and answer travel as [parcels](shmkit_parcel) through a socket that is its
//! standard input at first.
//!
//! Test binaries have no `main` of their own: they say [`early!`] once, and work under `cargo test` as under `cargo nextest`, which
//! runs each test in a process of its own.
//!
//! One thread of this process starts all others, reads what they answer, and sees them end. The kernel kills them when this process
//! dies.
//!
//! A [`Nursery`] is a process of the same kind that has prepared something, and from which others are forked in a tenth of the time.
//!
//! # What may go wrong
//!
//! | in the process | the one that waits for it gets |
//! | --- | --- |
//! | the task returns, an error too | what it returned |
//! | it panics | [`TaskError::Panicked`], with what the panic said and where; where the program aborts on panics, the next but one |
//! | it calls `exit` | [`TaskError::Exited`] |
//! | it aborts, overflows its stack, or a signal ends it | [`TaskError::WorkerDied`], with the signal; also before it began |
//! | it answers, and dies then | the answer |
//! | it forks | the answer of the process that was started; the child that comes back, too, is ended without a word |
//! | it has no such task, or with another signature | [`TaskError::NotStarted`] |
//! | it never says that it runs tasks | the same, after 10 s, in which it can start no process itself |
//!
//! # Features
//!
//! * `tracing`: an event at `DEBUG` for each process that is started and that has ended, to whoever subscribes. Nothing is printed.
//!
//! # What it does not
//!
//! Programs that a task starts by [`Command`](std::process::Command) are not ended with it. A task that executes a set-uid program, or
//! changes its user, is not ended by the kernel any more when its parent dies. Somebody in this process who waits for *any* child
//! (`waitpid(-1)`) takes the exit status, which is [`Unknown`](Status::Unknown) then, and nothing else.

mod builder;
mod calls;
mod current;
mod elsewhere;
mod entry;
mod error;
mod failure;
mod fork;
mod keeper;
mod mark;
mod message;
mod nursery;
mod process;
mod shared;
mod status;
mod task;
mod told;
mod worker;

pub use shmkit_derive::{main, task};

pub use crate::{
    builder::Builder,
    current::{ActiveChild, Current, Parent, active_children, cpu_count, current, parent},
    entry::init,
    error::{SpawnError, SpawnErrorKind, TaskError},
    failure::Failure,
    message::Panic,
    nursery::Nursery,
    process::Process,
    status::{Death, Status},
    task::{ArgumentError, Task},
};

/// What the macros need.
#[doc(hidden)]
pub mod __task {
    pub use shmkit_parcel::Parcel;

    pub use crate::current::AtEnd;
    pub use crate::entry::{early, init};
    pub use crate::task::{ArgumentError, Entry, Task, fingerprint};
}

/// What managers need.
#[doc(hidden)]
pub mod __manager {
    pub use crate::task::{Entry, apart, fingerprint};
    pub use crate::worker::catch;
}

/// What bridges to other machines need.
#[doc(hidden)]
pub mod __bridge {
    pub use crate::calls::{Call, answered};
    pub use crate::elsewhere::Told;
}

/// What pools need.
#[doc(hidden)]
pub mod __pool {
    pub use crate::calls::{Call, answered, returned, unencodable};
}
