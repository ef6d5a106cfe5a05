//! `SharedMemoryManager`, and the lock of `SyncManager`.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shmkit::tracker::Sweep;
use shmkit::{
    ErrorKind, Failure, Lock, New, NewPlain, Objects, Options, Process, Scope, Segment, ShmVec,
    UnlockError, task,
};

use crate::support::wait_until;

/// Opens a segment by its name, and looks at the first item of its list.
#[task]
fn first(name: &str) -> Result<u64, Failure> {
    let segment = Segment::open(name)?;
    let list = segment.find::<ShmVec<u64>>("list")?;
    Ok(list.get(0)?.unwrap_or_default())
}

fn exists(name: &str) -> bool {
    Segment::open(name).map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
}

#[test]
fn smm_01_and_smm_02_lists_and_segments_go_with_their_manager_and_stay_with_who_has_them() {
    // What is not started cannot be named: there is nothing to be used before.
    let scope = Scope::new();
    let mut names = Vec::new();
    for n in 0..5 {
        let segment = scope.segment(256 << 10).unwrap();
        let list = segment.vec::<u64>("list", 128 << 10).unwrap();
        list.push(n).unwrap();
        names.push(segment.name().unwrap().to_owned());
    }
    for _ in 0..6 {
        let options = Options::new(4096).persistent(true);
        names.push(scope.segment_with(&options).unwrap().name().unwrap().to_owned());
    }
    assert_eq!(scope.names(), names);
    let attached = [Segment::open(&names[3]).unwrap(), Segment::open(&names[7]).unwrap()];
    assert_eq!(Process::spawn(first, (names[2].clone(),)).unwrap().join().unwrap().unwrap(), 2);
    scope.close().unwrap();
    assert!(names.iter().all(|name| !exists(name)));
    let list = attached[0].find::<ShmVec<u64>>("list").unwrap();
    list.push(7).unwrap();
    assert_eq!(list.get(0).unwrap(), Some(3), "who has it keeps it");
}

#[test]
fn smm_03_segments_are_gone_after_the_scope() {
    let name = {
        let scope = Scope::new();
        let segment = scope.segment(4096).unwrap();
        segment.value("v", 7_u64).unwrap();
        assert!(exists(segment.name().unwrap()));
        segment.name().unwrap().to_owned()
    };
    assert!(!exists(&name));
}

#[task]
fn hold_a_scope(told: ShmVec<u8>) -> Result<(), Failure> {
    let scope = Scope::new();
    let segment = scope.segment(4096)?;
    told.extend_from_slice(segment.name().unwrap_or_default().as_bytes())?;
    loop {
        std::thread::park();
    }
}

#[test]
fn a_scope_whose_process_is_killed_is_swept() {
    let told = ShmVec::<u8>::new(131_072_u64).unwrap();
    let process = Process::spawn(hold_a_scope, (told.clone(),)).unwrap();
    wait_until(|| !told.to_vec().unwrap().is_empty());
    let name = String::from_utf8(told.to_vec().unwrap()).unwrap();
    let path = Segment::open(&name).map(|_| format!("/dev/shm/shmkit.{name}")).unwrap();
    assert!(fs::exists(&path).unwrap());
    kill(Pid::from_raw(process.pid() as i32), Signal::SIGKILL).unwrap();
    wait_until(|| !process.is_alive());
    wait_until(|| {
        let _ = Sweep::new().run();
        !fs::exists(&path).unwrap()
    });
}

/// Takes a lock, and ends.
#[task]
fn take_and_end(lock: Lock) -> Result<(), Failure> {
    lock.acquire()?;
    Ok(())
}

#[test]
fn mgr_17_a_lock_that_an_ended_child_had_taken_is_released_once() {
    let lock = Lock::new().unwrap();
    Process::spawn(take_and_end, (lock.clone(),)).unwrap().join().unwrap().unwrap();
    lock.release().unwrap();
    assert_eq!(lock.release(), Err(UnlockError::NotLocked));
}
