//! Blocks of any size in shared memory that no death loses.
//!
//! * [`Heap`]: an object in a region, from which processes and their threads take blocks side by side.
//! * [`Block`]: one that this process has reserved, to be filled; dropped, it goes back.
//! * [`BlockId`]: its name, the same in every process, with a generation: one that was freed is refused.
//! * [`Account`]: where every byte is: free, kept, reserved.
//! * [`Changes`]: for structures whose blocks are looked at without their lock.
//! * [`RawHeap`]: the machine below.
//!
//! A structure takes a block in two steps. *Reserved*, it carries the name of the process that took it: if that is killed,
//! whoever needs memory next has it back. *Kept*, it belongs to the structure, which holds its id: see [`Swap`] for how a
//! structure changes from one block to another so that a kill between any two instructions loses neither.
//!
//! What this crate does *not* know: segments, and what the blocks hold.
//!
//! # Features
//!
//! * `serde`: handles whose objects lie in a segment are values that travel to other processes, in parcels.

mod account;
#[cfg(not(loom))]
mod block;
mod class;
mod error;
#[cfg(not(loom))]
mod facts;
#[cfg(not(loom))]
mod heap;
mod id;
mod local;
#[cfg(not(loom))]
mod plan;
mod raw;
#[cfg(not(loom))]
mod swap;
mod thread;
mod word;

pub use crate::account::Account;
pub use crate::error::HeapError;
pub use crate::id::BlockId;
pub use crate::local::Local;
pub use crate::raw::area::Area;
pub use crate::raw::changes::Changes;
pub use crate::raw::frame::{HazardLine, HeapFrame, PageWords, SeatWords};
pub use crate::raw::{Parts, RawHeap, Reserved};
#[cfg(not(loom))]
pub use crate::{block::Block, facts::facts, heap::Heap, plan::HeapSpec, swap::Swap};
