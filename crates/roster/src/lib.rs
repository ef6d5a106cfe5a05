//! Who takes part in a shared region, and who of them is still alive.
//!
//! A *participant* is an address space that joined a region's roster. It gets an [`OwnerId`] that is never issued
//! twice, and holds a record lock that the kernel releases at the moment its address space is gone: killed, exited or
//! replaced by `exec`. Primitives put the id into their words, and ask a [`Judge`] two questions: *who am I*, and *is
//! this owner alive*.

#[cfg(not(loom))]
mod anchor;
#[cfg(not(loom))]
mod atfork;
#[cfg(not(loom))]
mod description;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod identity;
#[cfg(not(loom))]
mod join;
mod judge;
#[cfg(any(loom, feature = "model"))]
pub mod model;
mod owner;
#[cfg(not(loom))]
mod participant;
#[cfg(not(loom))]
mod person;
#[cfg(not(loom))]
mod probe;
#[cfg(not(loom))]
mod range;
#[cfg(not(loom))]
pub mod removal;
#[cfg(not(loom))]
mod table;
#[cfg(all(test, not(loom)))]
mod testing;

pub use crate::judge::{Judge, Verdict, ask};
pub use crate::owner::OwnerId;
#[cfg(not(loom))]
pub use crate::{
    atfork::NoForks,
    description::{Description, Link},
    error::{JoinError, JoinErrorKind, RosterError},
    participant::Participant,
    person::Person,
    table::{Member, Roster},
};
