//! Segments and forked children.

use std::fs;
use std::path::Path;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::{Judge, Verdict};
use shmkit_segment::{ErrorKind, OpenOptions, Segment};
use shmkit_tests::segment::{last, small};
use shmkit_tests::segment_faults::become_nobody;

use crate::segment::directory;
use crate::support::{Peer, wait_until};

#[test]
fn a_child_is_nobody_until_it_joins() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let me = ours.participant().me().unwrap();
    let mut child = Peer::fork("join", |channel| {
        assert_eq!(ours.participant().me(), None);
        let mine = ours.join_after_fork().unwrap();
        assert_ne!(mine, me);
        assert_eq!(ours.participant().me(), Some(mine));
        assert_eq!(ours.join_after_fork().unwrap(), mine);
        assert_eq!(ours.participant().verdict(me), Verdict::Alive);
        last(&ours).store(4, Relaxed);
        channel.say(&mine.get().to_string());
        channel.hear();
    });
    let theirs = child.hear().parse().ok().and_then(shmkit_roster::OwnerId::from_word).unwrap();
    assert_eq!(ours.participant().verdict(theirs), Verdict::Alive);
    assert_eq!(last(&ours).load(Relaxed), 4, "SHM-15");
    child.say("end");
    child.join();
    assert_eq!(ours.participant().verdict(theirs), Verdict::Dead);
    assert_eq!(ours.participant().me(), Some(me));
    assert!(ours.is_linked());
}

#[test]
fn a_child_that_opens_shares_what_it_inherited() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let anonymous = small(directory.path()).anonymous().unwrap();
    Peer::fork("open", |_| {
        let again = OpenOptions::new().directory(directory.path()).open("it").unwrap();
        assert!(std::ptr::eq(again.participant(), ours.participant()));
        assert!(again.participant().me().is_some());
        assert_eq!(again.participant().me(), ours.participant().me());
        let again = Segment::from_fd(anonymous.file().unwrap()).unwrap();
        assert!(std::ptr::eq(again.participant(), anonymous.participant()));
        assert!(anonymous.participant().me().is_some());
    })
    .join();
}

#[test]
fn a_child_that_never_joins_disturbs_nobody() {
    let directory = directory();
    let mut ours = Some(small(directory.path()).create("it").unwrap());
    let me = ours.as_ref().unwrap().participant().me();
    Peer::fork("drop", |_| drop(ours.take())).join();
    let ours = ours.unwrap();
    assert!(ours.is_linked());
    assert_eq!(ours.participant().me(), me);
    assert!(me.is_some_and(|me| ours.participant().verdict(me) == Verdict::Alive));
}

#[test]
fn create_fork_and_leave_before_the_child_joins_is_unlinked() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let mut child = Peer::fork("late", |channel| {
        channel.hear();
        let error = ours.join_after_fork().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unlinked);
        for part in ["segment \"it\"", "name was removed", "before the others leave", "persistent"]
        {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(ours.participant().me(), None);
        assert!(!ours.is_linked());
        let error = OpenOptions::new().directory(directory.path()).open("it").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
    drop(ours);
    assert!(!directory.path().join("shmkit.it").exists());
    child.say("now");
    child.join();
}

#[test]
fn an_opener_that_forks_and_leaves_does_the_same() {
    let directory = directory();
    let peer_path = directory.path().to_str().unwrap();
    let mut creator = Peer::execute("segment/create", &[peer_path, "it"], |_| ());
    creator.expect("joined");
    let ours = OpenOptions::new().directory(directory.path()).open("it").unwrap();
    let mut child = Peer::fork("late", |channel| {
        channel.hear();
        let error = ours.join_after_fork().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unlinked);
        // Even if another segment has the name by now.
        channel.say("unlinked");
        channel.hear();
        assert_eq!(ours.join_after_fork().unwrap_err().kind(), ErrorKind::Unlinked);
    });
    drop(ours);
    creator.say("leave");
    creator.expect("left");
    creator.join();
    child.say("now");
    child.expect("unlinked");
    let _other = small(directory.path()).create("it").unwrap();
    child.say("now");
    child.join();
}

#[test]
fn a_child_of_a_persistent_segments_creator_joins_whenever_it_likes() {
    let directory = directory();
    let ours = small(directory.path()).persistent(true).create("it").unwrap();
    let mut child = Peer::fork("late", |channel| {
        channel.hear();
        ours.join_after_fork().unwrap();
        assert!(ours.is_linked());
    });
    drop(ours);
    child.say("now");
    child.join();
}

#[test]
fn a_child_that_joined_in_time_is_the_last_one_out() {
    let directory = directory();
    let mut ours = Some(small(directory.path()).create("it").unwrap());
    let mut child = Peer::fork("heir", |channel| {
        let mine = ours.take().unwrap();
        mine.join_after_fork().unwrap();
        channel.say("joined");
        channel.hear();
        assert!(mine.is_linked());
        drop(mine);
    });
    child.expect("joined");
    drop(ours);
    assert!(directory.path().join("shmkit.it").exists());
    child.say("leave");
    child.join();
    assert!(!directory.path().join("shmkit.it").exists());
}

#[test]
fn children_forked_amid_opening_and_leaving_can_open_and_leave() {
    let directory = directory();
    let path: &Path = directory.path();
    let churn = || {
        for _ in 0..100 {
            drop(small(path).open_or_create("churn").unwrap());
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(churn), scope.spawn(churn)];
        while threads.iter().any(|thread| !thread.is_finished()) {
            Peer::fork("churn", |_| {
                for _ in 0..3 {
                    drop(small(path).open_or_create("churn").unwrap());
                }
                drop(small(path).anonymous().unwrap());
            })
            .join();
        }
    });
    // A child that was killed by nobody, but left by `_exit` with what it inherited: dead, and perhaps the last.
    shmkit_segment::sweep::full(path).unwrap();
    assert_eq!(fs::read_dir(path).unwrap().count(), 0);
}

#[test]
fn one_call_joins_all() {
    let directory = directory();
    Peer::execute("heirs/one-call", &[directory.path().to_str().unwrap()], |_| ()).join();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn children_join_by_themselves_if_that_is_wanted() {
    let directory = directory();
    Peer::execute("heirs/by-themselves", &[directory.path().to_str().unwrap()], |_| ()).join();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// The parent dropped its privileges before it forks, or the child does before it joins.
#[test]
fn who_may_not_open_the_file_any_more_joins_by_a_ticket_of_before() {
    if !nix::unistd::geteuid().is_root() {
        return; // Nobody can become somebody who may not.
    }
    let directory = directory();
    Peer::fork("daemon", |_| {
        let ours = small(directory.path()).create("it").unwrap();
        let ticket = ours.ticket().unwrap();
        become_nobody();
        let refused = Peer::fork("worker", |_| {
            let error = ours.join_after_fork().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            assert!(error.to_string().contains("join_after_fork_by"), "{error}");
        });
        refused.join();
        let mut ticket = Some(ticket);
        let mut worker = Peer::fork("worker", |channel| {
            let mine = ours.join_after_fork_by(ticket.take().unwrap()).unwrap();
            channel.say(&mine.get().to_string());
            channel.hear();
        });
        let theirs = worker.hear().parse().ok().and_then(shmkit_roster::OwnerId::from_word);
        drop(ticket);
        assert_eq!(ours.participant().verdict(theirs.unwrap()), Verdict::Alive);
        worker.kill();
        wait_until(|| ours.participant().verdict(theirs.unwrap()) == Verdict::Dead);
    })
    .join();
}
