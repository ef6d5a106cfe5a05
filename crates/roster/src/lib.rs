//! Who takes part in a shared region, and who of them is still alive.
//!
//! A *participant* is an address space that joined a region's roster. It gets an [`OwnerId`] that nobody else
//! has, and holds a record lock that the kernel releases at the moment its address space is gone: killed, exited or
//! replaced by `exec`. Primitives put the id into their words, and ask a [`Judge`] two questions: *who am I*, and *is
//! this owner alive*.
//!
//! * [`Roster`]: the table in shared memory that gives out the names.
//! * [`Participant`]: a place in it, and the kernel's answer to the two questions.
//! * [`Seat`]: a share in such a place, and in the memory it is for, which a handle can own.
//! * [`removal`]: the locks that whoever removes the file takes, so that nobody joins what is about to vanish.
//! * [`Turn`]: the right to do alone what must not be done twice, before there is a file.
//! * [`Spent`]: how a place begins anew when it has given out all its names.
//! * [`DeathWatch`]: waiting until somebody is dead.
//! * [`Judge`]: the questions as a trait, so that models and other rosters can answer them.
//!
//! # How it works
//!
//! The lock is on a file description that nobody else has, and the description is kept by a *mapping*, not by a
//! descriptor: one page that nobody reads, unmapped in children. So the lock lives exactly as long as the address space
//! that could still write to the shared bytes. A descriptor's lock would fall with a daemon's `close_range`, and a child
//! that inherits the descriptor would keep it. PIDs, start times, heartbeats and time-outs are never asked: a PID is
//! reused, is equal in two namespaces, and survives `exec`; a time-out cannot tell the stopped from the dead.
//!
//! What this does *not* do: it knows no locks and no pipes, it does not tell anybody of a death (who waits, asks), and it
//! makes no files. It needs Linux 5.6 or later, 64 bits, as all of shmkit does, and a file system whose mappings keep
//! the description they were made through: tmpfs, memfd, ext4, xfs, btrfs; not overlayfs, where joining answers
//! [`Unsupported`](JoinErrorKind::Unsupported).
//!
//! # Features
//!
//! * `serde`: what handles have in common that are values and travel to other processes.
//! * `model`: a judge of a model's processes, for fuzzers and tests of who builds on this crate. Never for a program.
//!
//! # In a mapping of your own
//!
//! The roster takes the first [`Roster::bytes`] of any shared mapping of a file, and the rest is yours.
#![cfg_attr(not(loom), doc = "```")]
#![cfg_attr(not(loom), doc = include_str!("../examples/embedded_roster.rs"))]
#![cfg_attr(not(loom), doc = "```")]

#[cfg(not(loom))]
mod anchor;
#[cfg(not(loom))]
mod atfork;
#[cfg(not(loom))]
mod backing;
#[cfg(not(loom))]
mod beside;
#[cfg(not(loom))]
mod birth;
#[cfg(not(loom))]
mod boot;
#[cfg(not(loom))]
mod description;
#[cfg(not(loom))]
mod era;
#[cfg(not(loom))]
mod error;
mod expected;
#[cfg(not(loom))]
mod file;
#[cfg(not(loom))]
mod identity;
#[cfg(not(loom))]
mod io;
#[cfg(not(loom))]
mod join;
mod judge;
#[cfg(not(loom))]
mod mark;
#[cfg(any(loom, feature = "model"))]
pub mod model;
#[cfg(any(not(loom), test))]
mod numbering;
mod owner;
#[cfg(not(loom))]
mod participant;
#[cfg(not(loom))]
mod person;
#[cfg(not(loom))]
mod places;
#[cfg(not(loom))]
mod probe;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
mod range;
#[cfg(not(loom))]
pub mod removal;
#[cfg(not(loom))]
mod salt;
#[cfg(not(loom))]
mod seat;
#[cfg(any(not(loom), test))]
mod slot;
#[cfg(not(loom))]
mod table;
#[cfg(all(test, not(loom)))]
mod testing;
mod thread;
#[cfg(all(feature = "serde", not(loom)))]
pub mod travel;
#[cfg(not(loom))]
mod turn;
#[cfg(not(loom))]
mod verdict;
#[cfg(not(loom))]
mod watch;

pub use crate::expected::{Expected, PeerId};
pub use crate::judge::{Judge, Verdict, ask};
pub use crate::owner::OwnerId;
pub use crate::thread::{ThreadToken, is_alone};
#[cfg(not(loom))]
pub use crate::{
    atfork::{NoForks, in_every_child},
    backing::Backing,
    beside::with_own_descriptors,
    description::{Description, Link},
    era::Spent,
    error::{JoinError, JoinErrorKind, RosterError},
    file::KeptFile,
    participant::Participant,
    person::Person,
    process::Process,
    salt::random,
    seat::{Keep, Seat},
    table::{Member, Roster},
    turn::Turn,
    watch::DeathWatch,
};
