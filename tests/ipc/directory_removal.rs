//! Removing objects, between processes and through deaths.

use std::cell::Cell;

use shmkit_segment::ObjectErrorKind as Is;
use shmkit_segment::{ErrorKind, Options, Segment};
use shmkit_tests::directory::{Spec, Words, use_it};

use crate::support::{Peer, unique, wait_until};

/// A segment with an object called `used` that nobody uses, and room for one of its size.
fn segment(what: &str) -> (String, Segment) {
    let name = unique(what);
    let segment = Options::new(8192).objects(4).create(&name).unwrap();
    let _: Words = segment.make("used", Spec::new(600, 5)).unwrap();
    (name, segment)
}

/// A process that uses the object: forked, or executed.
pub(crate) fn user(name: &str, segment: &Segment, forked: bool) -> Peer {
    let mut peer = if forked {
        Peer::fork("directory/use", |channel| {
            segment.join_after_fork().unwrap();
            use_it(segment, channel);
        })
    } else {
        Peer::execute("directory/use", &[name], |_| ())
    };
    peer.expect("uses");
    peer
}

fn users(segment: &Segment) -> usize {
    segment.objects().unwrap()[0].users.len()
}

#[test]
fn what_another_process_uses_is_removed_when_it_has_dropped_it() {
    for forked in [false, true] {
        let (name, segment) = segment("removal-refused");
        let mut peer = user(&name, &segment, forked);
        let error = segment.remove_object("used").unwrap_err();
        assert_eq!(error.kind(), Is::InUse);
        assert!(error.to_string().contains("(process "), "{error}");
        assert_eq!(users(&segment), 1);
        peer.say("drop");
        peer.expect("dropped");
        assert_eq!(users(&segment), 0);
        segment.remove_object("used").unwrap();
        assert!(segment.objects().unwrap().is_empty());
        // Its bytes are another's, which are zero: `init` looks.
        let _: Words = segment.make("next", Spec::new(600, 6)).unwrap();
        peer.say("end");
        peer.join();
    }
}

#[test]
fn what_a_killed_process_used_is_removed() {
    for forked in [false, true] {
        let (name, segment) = segment("removal-killed");
        let peer = user(&name, &segment, forked);
        assert_eq!(segment.remove_object("used").unwrap_err().kind(), Is::InUse);
        peer.kill();
        assert_eq!(users(&segment), 0);
        segment.remove_object("used").unwrap();
        let _: Words = segment.make("next", Spec::new(600, 6)).unwrap();
    }
}

#[test]
fn what_is_unlinked_lives_as_long_as_its_last_user() {
    for forked in [false, true] {
        for killed in [false, true] {
            let (name, segment) = segment("removal-unlinked");
            let mut peer = user(&name, &segment, forked);
            segment.unlink_object("used").unwrap();
            assert_eq!(segment.find::<Words>("used").unwrap_err().kind(), Is::NotFound);
            // The name is free at once, the bytes are not.
            let error = segment.make::<Words>("used", Spec::new(600, 6)).unwrap_err();
            assert_eq!(error.kind(), Is::NoRoom);
            let small: Words = segment.make("used", Spec::new(1, 6)).unwrap();
            assert!(segment.objects().unwrap()[0].is_unlinked);
            if killed {
                peer.kill();
            } else {
                // It looks at its words first.
                peer.say("drop");
                peer.expect("dropped");
                assert_eq!(segment.objects().unwrap().len(), 1, "freed by its last user");
                peer.say("end");
                peer.join();
            }
            let _: Words = segment.make("next", Spec::new(600, 7)).unwrap();
            assert!(small.are(6));
        }
    }
}

#[test]
fn handles_of_one_process_are_counted_and_those_that_a_child_inherits_are_its_own() {
    let (_, segment) = segment("removal-handles");
    let first: Words = segment.find("used").unwrap();
    let second = Cell::new(Some(segment.find::<Words>("used").unwrap()));
    drop(first);
    assert_eq!(segment.remove_object("used").unwrap_err().kind(), Is::InUse, "there is another");
    let mut child = Peer::fork("child", |channel| {
        segment.join_after_fork().unwrap();
        channel.say("joined");
        channel.hear();
        let second = second.take().unwrap();
        assert!(second.are(5));
        drop(second);
        channel.say("dropped");
        channel.hear();
    });
    child.expect("joined");
    drop(second.take());
    let error = segment.remove_object("used").unwrap_err();
    assert_eq!(error.kind(), Is::InUse, "the child has its own");
    assert_eq!(users(&segment), 1);
    child.say("drop");
    child.expect("dropped");
    segment.remove_object("used").unwrap();
    child.say("end");
    child.join();
}

#[test]
fn a_child_that_inherits_what_was_removed_is_told_when_it_joins() {
    let (_, segment) = segment("removal-inherited");
    let words = Cell::new(Some(segment.find::<Words>("used").unwrap()));
    let mut child = Peer::fork("child", |channel| {
        channel.hear();
        let error = segment.join_after_fork().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ObjectRemoved, "{error}");
        assert_eq!(segment.find::<Words>("next").unwrap_err().kind(), Is::NotJoined);
        drop(words.take());
        segment.join_after_fork().unwrap();
        assert!(segment.find::<Words>("next").unwrap().are(6));
    });
    drop(words.take());
    segment.remove_object("used").unwrap();
    let _: Words = segment.make("next", Spec::new(600, 6)).unwrap();
    child.say("go");
    child.join();
    assert!(segment.find::<Words>("next").unwrap().are(6));
}

#[test]
fn those_who_come_and_go_and_are_killed_leave_all_bytes_free() {
    let name = unique("removal-churn");
    let segment = Options::new(1 << 16).objects(2).create(&name).unwrap();
    let stays: Words = segment.make("stays", Spec::new(100, 9)).unwrap();
    for round in 0..20_usize {
        let mut peers: Vec<_> =
            (0..2).map(|_| Peer::execute("directory/churn", &[&name], |_| ())).collect();
        peers.iter_mut().for_each(|peer| peer.expect("ready"));
        let made = || segment.objects().unwrap().iter().map(|entry| entry.generation).max();
        let before = made();
        wait_until(|| made() > before.map(|number| number + 10 + round as u64));
        peers.into_iter().for_each(Peer::kill);
        assert!(segment.find::<Words>("stays").unwrap().are(9));
        for entry in segment.objects().unwrap() {
            if !entry.is_unlinked && entry.name != "stays" {
                segment.remove_object(&entry.name).unwrap();
            }
        }
    }
    // More than is left beside what the last ones have unlinked, and were killed with.
    let _: Words = segment.make("all", Spec::new((1 << 16) / 8 / 2, 3)).unwrap();
    assert!(stays.are(9));
    let named = segment.objects().unwrap().into_iter().filter(|entry| !entry.is_unlinked);
    assert_eq!(named.count(), 2);
}
