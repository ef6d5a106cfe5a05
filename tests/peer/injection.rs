//! Peers of whose system calls one fails, between two marks: whatever that was, the attempt succeeds, or is an error that
//! says so, and the next attempt succeeds.

use std::fs;
use std::path::Path;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use shmkit_segment::{OpenOptions, Options, Segment};

use crate::directory::{Spec, Words};

/// The size of what is made in a segment that grows for it, in words.
pub const LARGE: u64 = 100_000;

/// A segment that may become large.
pub fn growing(directory: &Path) -> Options {
    Options::new(4096).participants(8).objects(4).max(64 << 20).directory(directory)
}

pub(crate) fn run(script: &str, args: &[String]) {
    let directory = Path::new(&args[0]);
    let fixed = || Options::new(64 << 10).participants(8).directory(directory);
    let open = || OpenOptions::new().directory(directory).open("it");
    match script {
        "create" => attempt(|| fixed().create("new")),
        "create-growing" => attempt(|| growing(directory).create("new")),
        "anonymous" => attempt(|| fixed().anonymous()),
        "open" => attempt(|| open().inspect(|segment| assert!(has(segment)))),
        "grow" => {
            let segment = open().expect("open");
            attempt(|| segment.make::<Words>("large", Spec::new(LARGE, 5)));
            assert!(segment.find::<Words>("large").expect("it was made").are(5) && has(&segment));
        }
        _ => panic!("no script {script}"),
    }
}

/// What was there before is there.
fn has(segment: &Segment) -> bool {
    segment.find::<Words>("before").is_ok_and(|words| words.are(7))
}

/// Tries it until it succeeds: the first time under the eyes of who started this process.
fn attempt<T, E: std::error::Error>(mut run: impl FnMut() -> Result<T, E>) {
    // What is opened and mapped once in a process is no part of it.
    let descriptors = || fs::read_dir("/proc/self/fd").expect("proc").count();
    let before = descriptors();
    ptrace::traceme().expect("traceme");
    raise(Signal::SIGSTOP).expect("raise");
    let first = run();
    raise(Signal::SIGSTOP).expect("raise");
    // What was made is left after the second mark: to leave is no part of it.
    let Err(error) = first else { return };
    let said = whole(&error);
    assert!(said.len() > 20, "{said}");
    assert_eq!(descriptors(), before, "a descriptor stays behind: {said}");
    if let Err(again) = run() {
        panic!("{said}; and then: {again}");
    }
}

/// An error and all that it comes from.
fn whole(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said = format!("{said}: {error}");
        source = error.source();
    }
    said
}
