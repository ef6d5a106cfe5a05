//! Exits that drop no segment.

use std::fs;
use std::os::fd::AsFd;
use std::path::Path;

use shmkit_roster::removal;
use shmkit_segment::{Leave, OpenOptions};

use crate::segment::directory;
use crate::support::Peer;

/// A peer with a segment that it does not drop, and the segment's file.
fn leaky(directory: &Path, where_it_is: &str) -> (Peer, fs::File) {
    let path = directory.to_str().unwrap();
    let mut peer = Peer::execute("segment/leaked", &[path, "it", where_it_is], |_| ());
    peer.expect("joined");
    let path = directory.join("shmkit.it");
    (peer, fs::File::options().read(true).write(true).open(path).unwrap())
}

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

#[test]
fn who_exits_alone_leaves_before_it_ends() {
    let directory = directory();
    for (how, where_it_is) in [("return", "leaked"), ("exit", "leaked"), ("exit", "static")] {
        let (mut peer, file) = leaky(directory.path(), where_it_is);
        peer.say("fork");
        peer.expect("true");
        peer.say(how);
        peer.expect("exiting");
        assert_eq!(names(directory.path()), 0);
        assert!(!removal::in_use(file.as_fd()).unwrap(), "it has given up its place");
        peer.say("end");
        peer.join();
    }
}

/// Its threads run on, and may use what the process holds: to give that up would make a second owner.
#[test]
fn who_exits_beside_its_threads_keeps_its_place_until_they_have_ended() {
    let directory = directory();
    let (mut peer, file) = leaky(directory.path(), "leaked");
    peer.say("exit beside a thread");
    peer.expect("exiting");
    assert_eq!(names(directory.path()), 0);
    assert!(removal::in_use(file.as_fd()).unwrap(), "it has its place");
    peer.say("end");
    peer.join();
    assert!(!removal::in_use(file.as_fd()).unwrap());
}

#[test]
fn who_exits_while_others_live_there_removes_nothing() {
    let directory = directory();
    for how in ["exit", "exit beside a thread"] {
        let (mut peer, _file) = leaky(directory.path(), "leaked");
        let ours = OpenOptions::new().directory(directory.path()).open("it").unwrap();
        peer.say(how);
        peer.expect("exiting");
        assert!(ours.is_linked());
        peer.say("end");
        peer.join();
        assert_eq!(ours.leave().unwrap(), Leave::Removed);
    }
}

#[test]
fn who_aborts_leaves_the_name_to_the_next_visitor() {
    let directory = directory();
    let (mut peer, file) = leaky(directory.path(), "leaked");
    peer.say("abort");
    crate::support::wait_until(|| !removal::in_use(file.as_fd()).unwrap());
    assert_eq!(names(directory.path()), 1);
    let next = OpenOptions::new().directory(directory.path()).open("it").unwrap();
    assert_eq!(next.leave().unwrap(), Leave::Removed);
}
