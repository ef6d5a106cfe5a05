//! The life of segments between processes.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::{Judge, NoForks, OwnerId, Verdict};
use shmkit_segment::{
    ErrorKind, OpenOptions, Options, RemoveOutcome, Segment, ShareSegment, sweep,
};
use shmkit_tests::segment::{last, small};

use crate::support::{Peer, wait_until};

/// A directory of this test's own: other tests' creators sweep what they find beside theirs.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("shmkit-test-").tempdir_in("/dev/shm").unwrap()
}

fn open(directory: &Path) -> Result<Segment, shmkit_segment::SegmentError> {
    OpenOptions::new().directory(directory).open("it")
}

fn names(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// A peer that comes to the segment `it` in a directory.
fn peer(script: &str, directory: &Path) -> Peer {
    Peer::execute(&format!("segment/{script}"), &[directory.to_str().unwrap(), "it"], |_| ())
}

fn joined(script: &str, directory: &Path) -> Peer {
    let mut peer = peer(script, directory);
    peer.expect("joined");
    peer
}

pub(crate) fn leave(mut peer: Peer) {
    peer.say("leave");
    peer.expect("left");
    peer.join();
}

#[test]
fn shm_02_and_15_what_one_process_writes_the_other_reads() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let mut theirs = joined("open", directory.path());
    last(&ours).store(42, Relaxed);
    theirs.say("get");
    theirs.expect("42");
    theirs.say("put 77");
    theirs.expect("put");
    assert_eq!(last(&ours).load(Relaxed), 77);
    leave(theirs);
}

#[test]
fn shm_17_and_18_a_visitor_that_leaves_or_dies_removes_nothing() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    leave(joined("open", directory.path()));
    assert!(ours.is_linked());
    joined("open", directory.path()).kill();
    assert!(ours.is_linked());
    leave(joined("open", directory.path()));
    drop(ours);
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn the_last_process_out_removes_the_name_whoever_made_it() {
    let directory = directory();
    let creator = joined("create", directory.path());
    let ours = open(directory.path()).unwrap();
    leave(creator);
    assert!(ours.is_linked());
    let other = joined("open", directory.path());
    drop(ours);
    assert_eq!(names(directory.path()), 1);
    leave(other);
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn a_killed_creator_leaves_a_whole_segment_that_is_adopted() {
    let directory = directory();
    let mut creator = joined("create", directory.path());
    creator.say("put 5");
    creator.expect("put");
    creator.kill();
    assert_eq!(names(directory.path()), 1);
    let adopted = small(directory.path()).open_or_create("it").unwrap();
    assert_eq!(last(&adopted).load(Relaxed), 5);
    let members = adopted.participant().roster().participants(adopted.file().unwrap());
    let verdicts: Vec<_> = members.iter().map(|member| member.verdict).collect();
    assert_eq!(verdicts, [Verdict::Dead, Verdict::Alive]);
    drop(adopted);
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn a_killed_creator_is_replaced_by_the_next_one() {
    let directory = directory();
    let mut creator = joined("create", directory.path());
    creator.say("put 5");
    creator.expect("put");
    let exists = small(directory.path()).create("it").unwrap_err();
    assert_eq!(exists.kind(), ErrorKind::AlreadyExists);
    creator.kill();
    let ours = small(directory.path()).create("it").unwrap();
    assert_eq!(last(&ours).load(Relaxed), 0);
}

#[test]
fn where_everybody_was_killed_the_next_visitor_removes() {
    let directory = directory();
    let path = directory.path();
    let open = OpenOptions::new().directory(path);
    let both = [joined("create", path), joined("open", path)];
    assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::InUse);
    let [one, two] = both;
    one.kill();
    assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::InUse);
    two.kill();
    assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::Removed);
    assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::Gone);

    joined("create", path).kill();
    let swept = sweep::full(path).unwrap();
    assert!(matches!(swept[..], [sweep::Swept { outcome: Ok(RemoveOutcome::Removed), .. }]));
    assert_eq!(names(path), 0);
}

#[test]
fn another_user_that_may_can_join_and_be_the_last_one_out() {
    let directory = directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let ours = small(directory.path()).mode(0o666).create("it").unwrap();
    let mut theirs = joined("open-as-nobody", directory.path());
    theirs.say("put 2");
    theirs.expect("put");
    assert_eq!(last(&ours).load(Relaxed), 2);
    drop(ours);
    assert_eq!(names(directory.path()), 1);
    leave(theirs);
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn a_member_of_the_group_can_join_if_the_mode_says_so() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let ours = small(directory.path()).mode(0o660).create("it").unwrap();
    std::os::unix::fs::chown(ours.path().unwrap(), None, Some(65534)).unwrap();
    let mut theirs = joined("open-as-nobody", directory.path());
    theirs.say("put 3");
    theirs.expect("put");
    assert_eq!(last(&ours).load(Relaxed), 3);
    leave(theirs);
}

#[test]
fn shm_16_what_a_terminated_creator_left_goes_with_the_next_visitor() {
    let directory = directory();
    let creator = joined("create", directory.path());
    assert_eq!(names(directory.path()), 1);
    creator.signal(nix::sys::signal::Signal::SIGTERM);
    wait_until(|| creator.state() == 'Z');
    drop(creator);
    let swept = sweep::full(directory.path()).unwrap();
    assert!(matches!(swept[..], [sweep::Swept { outcome: Ok(RemoveOutcome::Removed), .. }]));
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn a_persistent_segment_survives_its_processes() {
    let directory = directory();
    let mut maker = joined("persist", directory.path());
    maker.say("put 9");
    maker.expect("put");
    maker.kill();
    leave(joined("open", directory.path()));
    let again = open(directory.path()).unwrap();
    assert_eq!(last(&again).load(Relaxed), 9);
    OpenOptions::new().directory(directory.path()).unlink("it").unwrap();
}

#[test]
fn a_stopped_process_is_alive() {
    let directory = directory();
    let stopped = joined("create", directory.path());
    stopped.stop();
    let open = OpenOptions::new().directory(directory.path());
    assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::InUse);
    stopped.resume();
    leave(stopped);
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn a_segment_made_again_under_the_name_is_left_alone_by_the_old_ones_users() {
    let directory = directory();
    let mut old = joined("create", directory.path());
    OpenOptions::new().directory(directory.path()).unlink("it").unwrap();
    let new = small(directory.path()).create("it").unwrap();
    old.say("linked");
    old.expect("false");
    leave(old);
    assert!(new.is_linked());
    let old_again = joined("open", directory.path());
    drop(new);
    leave(old_again);
    assert_eq!(names(directory.path()), 0);
}

#[test]
fn of_many_that_open_or_create_at_once_all_get_the_same() {
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    for _ in 0..5 {
        let args = ["open-or-create", path, "it"];
        let mut peers: Vec<_> =
            (0..6).map(|_| Peer::execute("segment/start", &args, |_| ())).collect();
        peers.iter_mut().for_each(|peer| peer.expect("ready"));
        peers.iter_mut().for_each(|peer| peer.say("go"));
        peers.iter_mut().for_each(|peer| peer.expect("joined"));
        peers.iter_mut().for_each(|peer| peer.say("cookie"));
        let mut cookies: Vec<_> = peers.iter_mut().map(Peer::hear).collect();
        cookies.dedup();
        assert_eq!(cookies.len(), 1);
        // All at once again: the last one out must not be missed.
        peers.iter_mut().for_each(|peer| peer.say("leave"));
        peers.iter_mut().for_each(|peer| peer.expect("left"));
        peers.into_iter().for_each(Peer::join);
        assert_eq!(names(directory.path()), 0);
    }
}

#[test]
fn of_many_that_create_at_once_one_does() {
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    let args = ["create", path, "it"];
    let mut peers: Vec<_> = (0..6).map(|_| Peer::execute("segment/start", &args, |_| ())).collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));
    peers.iter_mut().for_each(|peer| peer.say("go"));
    let mut answers: Vec<_> = peers.iter_mut().map(Peer::hear).collect();
    answers.sort_unstable();
    assert_eq!(answers[..5], ["AlreadyExists"; 5]);
    assert_eq!(answers[5], "joined");
}

/// A peer that inherits a segment.
fn heir(segment: &Segment) -> Peer {
    let mut peer = Peer::heir("segment/inherited", &["work"], "work", segment);
    peer.expect("joined");
    peer
}

#[test]
fn an_anonymous_segment_is_inherited() {
    let ours = small(Path::new("/dev/shm")).anonymous().unwrap();
    let mut theirs = heir(&ours);
    theirs.say("put 3");
    theirs.expect("put");
    assert_eq!(last(&ours).load(Relaxed), 3);
    theirs.say("again work");
    theirs.expect("true");
    theirs.say("name");
    theirs.expect("none");
    let id = ours.participant().roster().participants(ours.file().unwrap())[1].id;
    assert_eq!(ours.participant().verdict(id), Verdict::Alive);
    theirs.kill();
    assert_eq!(ours.participant().verdict(id), Verdict::Dead);
}

#[test]
fn the_last_heir_of_a_named_segment_removes_the_name() {
    let directory = directory();
    // The creator's descriptor is older than the name, an opener's is not.
    for by_opener in [false, true] {
        let creator = by_opener.then(|| joined("create", directory.path()));
        let ours = small(directory.path()).open_or_create("it").unwrap();
        if let Some(creator) = creator {
            leave(creator);
        }
        let mut theirs = heir(&ours);
        theirs.say("name");
        theirs.expect("it");
        drop(ours);
        theirs.say("linked");
        theirs.expect("true");
        leave(theirs);
        assert_eq!(names(directory.path()), 0);
    }
}

#[test]
fn lck_16_an_heir_can_hand_it_on() {
    let ours = small(Path::new("/dev/shm")).anonymous().unwrap();
    let mut child = heir(&ours);
    child.say("pass 8");
    child.expect("passed");
    child.expect("0");
    assert_eq!(last(&ours).load(Relaxed), 8);
    leave(child);
}

#[test]
fn only_the_child_that_it_was_shared_with_inherits() {
    let ours = small(Path::new("/dev/shm")).anonymous().unwrap();
    let mut heir = heir(&ours);
    let mut other = Peer::execute("segment/inherited", &["work"], |_| ());
    other.expect("NotInherited");
    other.join();
    // What the heir's environment says, without its descriptor: too high a number, and one of another file.
    let environment = fs::read(format!("/proc/{}/environ", heir.pid())).unwrap();
    let variable = environment
        .split(|&b| b == 0)
        .find_map(|entry| std::str::from_utf8(entry).ok()?.strip_prefix("SHMKIT_SEGMENT_work="))
        .unwrap();
    let identity = variable.splitn(3, ':').nth(2).unwrap();
    let null = fs::File::open("/dev/null").unwrap();
    for token in [format!("999:-:{identity}"), format!("{}:-:{identity}", null.as_raw_fd())] {
        let mut other = Peer::execute("segment/inherited", &["work"], |command| {
            command.env("SHMKIT_SEGMENT_work", token);
            let null = null.as_fd().try_clone_to_owned().unwrap();
            let pass = move || {
                nix::fcntl::fcntl(&null, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))
                    .map(drop)
                    .map_err(Into::into)
            };
            // SAFETY: one system call.
            unsafe { command.pre_exec(pass) };
        });
        other.expect("NotInherited");
        other.join();
    }
    heir.say("linked");
    heir.expect("false");
    leave(heir);
}

#[test]
fn a_command_that_is_started_late_has_the_anonymous_and_not_the_unlinked() {
    let directory = directory();
    let named = small(directory.path()).create("it").unwrap();
    let anonymous = small(directory.path()).anonymous().unwrap();
    let heir = |segment: Segment| {
        Peer::execute_by("segment/inherited", &["work"], |command| {
            let mut sharing = command.share_segment("work", &segment).unwrap();
            drop(segment);
            sharing.spawn()
        })
    };
    let mut peer = heir(named);
    peer.expect("Unlinked");
    peer.join();
    let mut peer = heir(anonymous);
    peer.expect("joined");
    leave(peer);
}

#[test]
fn who_may_not_open_the_file_joins_by_ticket() {
    let ours = Options::new(512).participants(4).anonymous().unwrap();
    let file = ours.file().unwrap().try_clone_to_owned().unwrap();
    // A child of another test that is forked now would keep the ticket, and its owner's place with it.
    let no_forks = NoForks::hold().unwrap();
    let ticket = ours.ticket().unwrap();
    let numbers = [file.as_raw_fd().to_string(), ticket.as_raw_fd().to_string()];
    let mut peer = Peer::execute("segment/ticket", &[&numbers[0], &numbers[1]], |command| {
        let pass = move || {
            for fd in [&file, &ticket] {
                nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
            }
            Ok(())
        };
        // SAFETY: two system calls.
        unsafe { command.pre_exec(pass) };
    });
    drop(no_forks);
    if nix::unistd::geteuid().is_root() {
        let refusal = peer.hear();
        for part in ["user 65534", "ticket"] {
            assert!(refusal.contains(part), "{refusal}");
        }
    } else {
        return; // Nobody can become somebody who may not.
    }
    let id = OwnerId::from_word(peer.hear().parse().unwrap()).unwrap();
    peer.expect("joined");
    assert_eq!(ours.participant().verdict(id), Verdict::Alive);
    peer.say("put 6");
    peer.expect("put");
    assert_eq!(last(&ours).load(Relaxed), 6);
    peer.kill();
    wait_until(|| ours.participant().verdict(id) == Verdict::Dead);
}
