//! Objects in one process, used from others: Python's `multiprocessing.managers`.
//!
//! ```no_run
//! use shmkit_manager::{Manager, manager};
//!
//! struct Ledger {
//!     total: i64,
//! }
//!
//! #[manager(crate = shmkit_manager)]
//! impl Ledger {
//!     pub fn new() -> Self {
//!         Self { total: 0 }
//!     }
//!
//!     pub fn add(&mut self, n: i64) -> i64 {
//!         self.total += n;
//!         self.total
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     shmkit_process::init(); // the manager's process is this program, too
//!     let manager = Manager::start()?;
//!     let ledger = LedgerProxy::new(&manager)?; // a value: it travels in a task's arguments
//!     assert_eq!(ledger.add(7)?, 7);
//!     Ok(())
//! }
//! ```
//!
//! # Which to take
//!
//! | what many processes use | is |
//! | --- | --- |
//! | plain data, on one machine | a `ShmMap`, `ShmVec`, `Value` in shared memory, of the other crates: no process, no proxy, some hundred times as fast |
//! | a lock, a queue between processes of one machine | one in shared memory, which survives who holds it |
//! | an object of any kind, with files, sockets, a model in it | a type with [`#[manager]`](macro@manager) |
//! | data of any type whose size nobody knows | a [`Dict`] or a [`List`], here |
//! | anything from another machine | a manager at a TCP address |
//!
//! # How
//!
//! A manager is a process that listens at a Unix socket, by default one with a name that nobody else knows and that nothing is left
//! of, or at a TCP address. Each connection has a thread there, up to a [number](Builder::connections). Calls of one object run
//! together where they take `&self`, and alone where they take `&mut self`. A process connects once for each of its threads that
//! calls at a time.
//!
//! An object is there as long as anybody refers to it: a proxy, another object, or a [name](Manager::publish). A method may take
//! and return proxies; in the manager they lead to the object without a socket.
//!
//! # What may go wrong
//!
//! | | the one that calls gets |
//! | --- | --- |
//! | the method returns, an error too | what it returned |
//! | it panics | [`CallError::Panicked`]; the object is as that left it, and all goes on. Where the program aborts on panics, the next |
//! | the manager is killed, or ends, in the middle of the call | [`CallError::Disconnected`], which says whether the call may have been run |
//! | it is called after that | [`CallError::Gone`], at once |
//! | another client is killed | nothing: what that had is dropped when its socket ends |
//! | a client is slow, or silent | nothing: it has a thread to itself, and holds no lock while it is waited for |
//! | the program that started the manager ends, or is killed | the manager is ended, by the kernel if need be |
//!
//! **A call is never repeated.** Whether that does harm, the caller knows and nobody else.
//!
//! # Who may call
//!
//! At a Unix socket processes of the same user, and root, as the kernel says. Over TCP whoever has the [`Key`]: each side shows the
//! other that it knows it, and it is never sent but to a process that is started with a proxy in its arguments. What follows is not
//! encrypted. Whoever is let in can call what is exposed, and nothing else: lengths, numbers and bytes are checked, and take no more memory
//! than has come.
//!
//! # What it does not
//!
//! Locks are not proxied: one whose owner is far away cannot be told from one whose owner is dead. There is [`Manager::lease`], which
//! is named for what it is. Objects that refer to each other in a circle stay until the manager ends. Two objects whose methods call
//! each other from two sides at once wait for ever, as two locks do.

#![cfg(not(loom))]

mod any;
#[expect(unreachable_pub, reason = "as public as the methods that take it, which nobody sees")]
mod blob;
mod builder;
mod builtin;
mod call;
mod caller;
mod context;
mod error;
mod here;
mod lease;
mod link;
mod manager;
mod objects;
mod own;
mod protocol;
mod proxy;
mod served;
mod server;
mod start;
mod terms;
mod travel;
mod wire;

pub use shmkit_connection::{Address, Key};
pub use shmkit_derive::manager;

pub use crate::{
    any::Any,
    builder::Builder,
    builtin::{Counter, Dict, DictIter, List, ListIter, Namespace, Queue},
    caller::is_gone as caller_is_gone,
    error::{CallError, Ran, StartError},
    lease::Lease,
    manager::Manager,
    proxy::{Proxy, Remote},
    server::Server,
};

/// What fuzzers need.
#[doc(hidden)]
pub use crate::wire::Wire;

/// What `#[manager]` needs.
#[doc(hidden)]
pub mod __manager {
    pub use serde;
    pub use shmkit_process::__manager::Entry;

    pub use crate::served::{
        Args, Known, Maker, Method, Refusal, Returned, Served, Type, not_made, returned,
    };
    pub use crate::{CallError, Manager, Proxy, Remote};
}
