//! Tests that need more than one process: one module per subject.

mod broadcast;
mod cell;
mod collections;
mod conformance;
mod connection;
mod corpus;
mod crowds;
mod directory;
mod directory_removal;
mod duplex;
mod frames;
mod growth;
mod handover;
mod messages;
mod namespaces;
mod observer;
mod oneself;
mod passing;
mod patience;
mod pipe;
mod process;
mod python;
mod queue;
mod roster;
mod roster_descriptors;
mod roster_file;
mod roster_fork;
mod rwlock;
mod schema;
mod segment;
mod segment_exit;
mod segment_faults;
mod segment_fork;
mod segment_injection;
mod segment_leave;
mod segment_refusals;
mod segment_share;
mod snapshot;
mod support;
mod sync;
mod tracker;
mod transaction;
mod wait;

// Processes that run tasks are this program, too.
shmkit::early!();
