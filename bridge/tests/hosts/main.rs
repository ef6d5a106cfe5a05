//! Hosts that are processes, with links between them that are cut, and killed at the worst moment.
//!
//! Each host is a process of this program with its own gateway; where the test may make network namespaces, `namespaces` gives them
//! networks of their own. What each host has run it counts in a segment of its own.

#![allow(clippy::unwrap_used, reason = "a test")]

mod control;
mod hostile;
mod links;
mod maps;
mod namespaces;
mod pools;
mod queues;
mod support;

shmkit::early!();
