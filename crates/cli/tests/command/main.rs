//! The shmkit command, as people and scripts run it.

mod doctor;
mod ls_gc;
mod signals;
mod support;
mod terminal;
mod tour;
