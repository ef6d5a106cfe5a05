//! SIGKILL at every instruction: the proof behind the promise.
//!
//! A *scene* forks its *actors*, drives one of them, the *victim*, over its operation one instruction (or one
//! system-call stop) at a time with ptrace, kills it at point *k*, and lets the survivors show that they get through,
//! see whole data or are told, and that nobody owns what another owns. Then again with *k* + 1, until the victim runs
//! out of its operation.
//!
//! What it does *not* do: it sees no weak memory (that is loom's part), and it knows only the interleavings that its
//! scenes set up.
//!
//! The harness is a program with one thread, since it forks; its library is for that program only.

mod actor;
mod arena;
mod board;
mod changes;
pub mod crew;
mod fault;
mod metronome;
mod report;
mod run;
mod scene;
pub mod scenes;
mod shm;
mod stepper;

use std::time::Duration;

pub use crate::actor::{Actor, Cast, Role};
pub use crate::arena::Arena;
pub use crate::board::{Board, SEATS, Seat, Sheet, now};
pub use crate::fault::{Fault, Kind};
pub use crate::report::{Row, table};
pub use crate::run::{Plan, Points, Tally, run};
pub use crate::scene::{Scene, Spread, Stage, Take};
pub use crate::stepper::{Reached, Unit, Victim};

/// Within this a survivor gets through, or it hangs. The worst recovery is some 50 ms; a busy machine needs the rest.
pub const LIMIT: Duration = Duration::from_secs(3);
