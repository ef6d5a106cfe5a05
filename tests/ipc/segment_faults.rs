//! Segments where the system gives less than was asked for: an error that says so, never a signal.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use shmkit_tests::segment::small;

use crate::segment::directory;
use crate::support::Peer;

/// A peer that meets a fault, and ends well.
#[track_caller]
fn meets(script: &str, directory: &Path) {
    let args = [directory.to_str().unwrap(), "it"];
    Peer::execute(&format!("segment/{script}"), &args, |_| ()).join();
}

#[test]
fn shm_24_a_full_file_system_is_an_error_at_create_and_never_a_sigbus() {
    meets("full", directory().path());
}

#[test]
fn a_segment_lies_on_huge_pages_and_does_not_grow_there() {
    meets("huge", directory().path());
}

#[test]
fn shm_24_a_raw_segment_is_allocated_whoever_made_it() {
    meets("raw-full", directory().path());
}

#[test]
fn of_several_one_makes_the_segment_for_which_there_is_room_once() {
    meets("room-for-one", directory().path());
}

#[test]
fn a_file_system_without_room_for_another_file_is_an_error() {
    meets("no-inodes", directory().path());
}

#[test]
fn a_full_file_system_is_swept_of_the_dead() {
    meets("full-of-dead", directory().path());
}

#[test]
fn no_permission_is_an_error_that_names_both_sides() {
    let directory = directory();
    let _segment = small(directory.path()).create("it").unwrap();
    let mode = if nix::unistd::geteuid().is_root() { 0o755 } else { 0o555 };
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
    meets("no-permission", directory.path());
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn exhausted_descriptors_are_an_error_and_leave_nothing() {
    let directory = directory();
    let _segment = small(directory.path()).create("it").unwrap();
    meets("no-descriptors", directory.path());
}

#[test]
fn who_leaves_without_a_free_descriptor_removes_the_name() {
    meets("leave-without-descriptors", directory().path());
}

#[test]
fn a_limit_on_files_is_an_error_and_not_a_signal() {
    meets("file-limit", directory().path());
}

#[test]
fn a_limit_on_memory_is_an_error() {
    meets("memory-limit", directory().path());
}

#[test]
fn a_limit_on_locked_memory_is_an_error() {
    meets("lock-limit", directory().path());
}

#[test]
fn without_proc_a_segment_is_joined_by_name() {
    let directory = directory();
    let _segment = small(directory.path()).create("it").unwrap();
    meets("no-proc", directory.path());
}
