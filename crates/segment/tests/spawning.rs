//! Leaving while other threads start programs, which have the process's locks until they are executed: a process of its own,
//! for that concerns whatever else it would try.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use shmkit_segment::Options;

/// What is started in the microseconds of a join has its locks until it executes something.
#[test]
fn the_last_one_out_removes_the_name_beside_programs_that_are_started() {
    let directory = tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap();
    let options = Options::new(512).participants(4).objects(4).directory(directory.path());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                assert!(Command::new("true").status().unwrap().success());
            }
        });
        let began = Instant::now();
        let mut left = 0;
        while began.elapsed() < Duration::from_secs(2) {
            // Nobody else knows the name.
            match options.create("spawn") {
                Ok(segment) => drop(segment),
                Err(_) => left += 1,
            }
            left += u32::from(directory.path().join("shmkit.spawn").exists());
        }
        stop.store(true, Relaxed);
        assert_eq!(left, 0);
    });
}
