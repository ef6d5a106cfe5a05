//! The shmkit command, as people and scripts run it.

mod doctor;
mod export;
mod inspect;
mod ls_gc;
mod signals;
mod stream;
mod support;
mod terminal;
mod tour;
mod waits;
mod watch;

// Tests here start this program anew, as processes that wait for each other.
shmkit::early!();
