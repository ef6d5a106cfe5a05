//! shmkit for C and C++: segments, locks, values, arrays, pipes and queues between processes, which survive `kill -9`.
//!
//! `include/shmkit.h` is made from this source, `include/shmkit.hpp` is a C++17 header over it; see the README.
//!
//! Every function that can fail returns a [`shmkit_status`] and gives what it makes by its last arguments; what went wrong, in
//! words, is [`shmkit_last_error`](status::shmkit_last_error). Times are in milliseconds: 0 does not wait, a negative one waits
//! for ever. A handle may be used by many threads at once unless its functions say otherwise; it is freed once, by the function
//! that says so, when nobody uses it any more. A handle keeps what it needs of its segment, which may be closed before it.
//!
//! A process that is *killed* leaves nothing that others would wait for: what each function's documentation says happens then is
//! what the Rust function of the same name says. A forked child must not use its parent's handles: it opens the segment itself.
#![allow(non_camel_case_types, reason = "names of C")]

pub mod array;
pub mod barrier;
pub mod condvar;
pub mod event;
mod message;
pub mod mutex;
pub mod pipe;
mod pointers;
pub mod queue;
pub mod rwlock;
pub mod segment;
pub mod semaphore;
pub mod status;
mod timeout;
mod types;
pub mod value;

pub use crate::status::shmkit_status;
pub use crate::types::shmkit_type;
