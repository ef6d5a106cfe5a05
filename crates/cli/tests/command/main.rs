//! The shmkit command, as people and scripts run it.

mod bench;
mod call;
mod doctor;
mod export;
mod help;
mod inspect;
mod ls_gc;
mod many;
mod signals;
mod snapshots;
mod stream;
mod support;
mod terminal;
mod top;
mod tour;
mod waits;
mod watch;

// Tests here start this program anew, as processes that wait for each other.
shmkit::early!();
