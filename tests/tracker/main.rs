//! Tests of the tracker that need more than one process. A program of their own: the faults that are seeded into the tracker
//! build it once each.

mod allocation;
mod registrations;
#[path = "../ipc/support/mod.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod support;
mod watcher;
