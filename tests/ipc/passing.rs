//! Segments that are passed to another process through a Unix socket.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use shmkit::{LockError, Objects, Options, Segment};

use crate::support::Peer;

fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

/// A peer, and a socket between it and the test.
fn connected(script: &str, directory: &Path) -> (Peer, UnixStream) {
    let path = directory.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let peer = Peer::execute(&format!("passing/{script}"), &[path.to_str().unwrap()], |_| ());
    let (socket, _) = listener.accept().unwrap();
    std::fs::remove_file(&path).unwrap();
    (peer, socket)
}

/// A segment without a name is received, used, and left by the receiver's death, which is noticed.
fn is_shared_with(script: &str) {
    let directory = directory();
    let segment = Options::new(4096).anonymous().unwrap();
    let total = segment.mutex("total", 1_u64).unwrap();
    let (mut peer, socket) = connected(script, directory.path());
    segment.send(&socket).unwrap();
    peer.expect("locked, and 1");
    assert!(total.try_lock().is_err());
    peer.kill();
    // The ticket that was sent keeps nobody alive.
    match total.lock() {
        Err(LockError::OwnerDied(guard)) => assert_eq!(*guard, 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_without_a_name_is_passed_to_a_program_that_is_no_child() {
    is_shared_with("lock");
}

#[test]
fn a_segment_is_passed_to_another_user_by_its_ticket() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    is_shared_with("lock-as-nobody");
}

#[test]
fn an_object_of_a_segment_without_a_name_is_passed_to_another_program() {
    let directory = directory();
    let segment = Options::new(4096).anonymous().unwrap();
    segment.mutex("total", 1_u64).unwrap();
    let (mut peer, socket) = connected("object", directory.path());
    segment.located::<shmkit::Mutex<u64>>("total").unwrap().send(&socket).unwrap();
    peer.expect("total is 1");
    peer.join();
}

#[test]
fn a_segment_whose_sender_is_killed_before_it_is_received_is_refused_or_adopted() {
    // With a name: the next visitor may have removed it, and has if it is refused.
    let directory = directory();
    let (mut peer, socket) = connected("send", directory.path());
    peer.expect("sent");
    peer.kill();
    let dead = Options::new(64).directory(directory.path()).create("dead");
    drop(dead.unwrap());
    let error = Segment::receive(&socket).unwrap_err();
    assert_eq!(error.kind(), shmkit::ErrorKind::Unlinked, "{error}");
    // Without one: it lives as long as the message, and is adopted as it was left.
    let segment = Segment::receive(&socket).unwrap();
    assert_eq!(*segment.find::<shmkit::Mutex<u64>>("total").unwrap().lock().unwrap(), 7);
}
