//! Handing segments to programs and to forked children, whatever became of the descriptors meanwhile.

use std::cell::Cell;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt as _;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::stat::fstat;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_segment::{ErrorKind, Options, Segment, ShareSegment};
use shmkit_tests::segment::small;

use crate::segment::{directory, leave};
use crate::support::{Peer, wait_until};

thread_local! {
    /// How often this thread has forked since it looked.
    static FORKS: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn count_fork() {
    FORKS.set(FORKS.get() + 1);
}

unsafe extern "C" {
    // Not in the `libc` crate for Linux.
    fn pthread_atfork(
        prepare: extern "C" fn(),
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}

/// A fork copies the page tables: 25 ms for each GiB of the parent.
#[test]
fn a_program_that_inherits_segments_is_started_without_a_fork() {
    // SAFETY: the handler only counts.
    assert_eq!(unsafe { pthread_atfork(count_fork, None, None) }, 0);
    let [one, two] = [(); 2].map(|()| Options::new(512).anonymous().unwrap());
    FORKS.set(0);
    let mut peers: Vec<Peer> = Vec::new();
    let mut first = Peer::execute_by("segment/inherited", &["work"], |command| {
        let mut sharing =
            command.share_segment("work", &one).unwrap().share_segment("more", &two).unwrap();
        // Once more: what an earlier child inherited does not matter.
        peers.push(Peer::execute_by("segment/inherited", &["more"], |command| {
            command.share_segment("more", &two).unwrap().spawn()
        }));
        sharing.spawn()
    });
    assert_eq!(FORKS.get(), 0);
    first.expect("joined");
    // It has the second place of the one, and so the third of the other.
    peers[0].expect("joined");
    first.say("again more");
    first.expect("false");
    peers.drain(..).for_each(leave);
    leave(first);
    // The control: what needs a fork is counted.
    let mut forked = Peer::execute_by("segment/inherited", &["work"], |command| {
        // SAFETY: it does nothing.
        unsafe { command.pre_exec(|| Ok(())) };
        command.share_segment("work", &one).unwrap().spawn()
    });
    forked.expect("joined");
    assert_eq!(FORKS.get(), 1);
    leave(forked);
}

/// The numbers of this process's descriptors of a file that a program would inherit.
fn inheritable(segment: &Segment) -> Vec<i32> {
    let wanted = fstat(segment.file().unwrap()).unwrap();
    let numbers = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let number: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // SAFETY: asked what it is; if another test closes it, the kernel says so.
        let file = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        let found = fstat(file).ok()?;
        let flags = FdFlag::from_bits_retain(fcntl(file, FcntlArg::F_GETFD).ok()?);
        let same = (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino);
        (same && !flags.contains(FdFlag::FD_CLOEXEC)).then_some(number)
    });
    numbers.collect()
}

#[test]
fn descriptors_are_inheritable_only_while_the_program_is_started() {
    let segment = Options::new(512).anonymous().unwrap();
    let mut command = std::process::Command::new("/bin/true");
    let mut sharing = command.share_segment("work", &segment).unwrap();
    assert_eq!(inheritable(&segment), [] as [i32; 0]);
    let there = sharing.start(|_| Ok(inheritable(&segment))).unwrap();
    assert_eq!(there.len(), 2, "the data's and the ticket: {there:?}");
    assert_eq!(inheritable(&segment), [] as [i32; 0]);
    sharing.start(|_| Err::<(), _>(std::io::ErrorKind::Other.into())).unwrap_err();
    assert_eq!(inheritable(&segment), [] as [i32; 0]);
    let panics =
        std::panic::AssertUnwindSafe(|| sharing.start(|_| -> std::io::Result<()> { panic!() }));
    std::panic::catch_unwind(panics).unwrap_err();
    assert_eq!(inheritable(&segment), [] as [i32; 0]);
    assert!(sharing.status().unwrap().success());
}

/// What a daemon does: it closes all descriptors, and opens its own; here, one under the segment's number.
fn lose_descriptor(segment: &Segment) -> fs::File {
    let number = segment.file().unwrap().as_raw_fd();
    let log = tempfile::tempfile().unwrap();
    // SAFETY: the number is the segment's; that it does not know is the test.
    assert_eq!(unsafe { libc::dup2(log.as_raw_fd(), number) }, number);
    log
}

#[test]
fn a_foreign_descriptor_is_never_handed_on() {
    let directory = directory();
    Peer::fork("daemon", |_| {
        let named = small(directory.path()).create("it").unwrap();
        let anonymous = small(directory.path()).anonymous().unwrap();
        let log = lose_descriptor(&anonymous);
        for error in [
            anonymous.file().map(drop).unwrap_err(),
            anonymous.ticket().map(drop).unwrap_err(),
            std::process::Command::new("x")
                .share_segment("work", &anonymous)
                .map(drop)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NoDescriptor, "{error}");
            assert!(error.to_string().contains("leave the descriptors of segments alone"));
        }
        let other = lose_descriptor(&named);
        // By its name it is found again, and the child has the segment.
        let mut peer = Peer::heir("segment/inherited", &["work"], "work", &named);
        peer.expect("joined");
        peer.say("cookie");
        peer.expect(&named.header().cookie.to_string());
        leave(peer);
        let [ours, theirs] = [named.file().unwrap(), log.as_fd()].map(|file| fstat(file).unwrap());
        assert_ne!((ours.st_dev, ours.st_ino), (theirs.st_dev, theirs.st_ino));
        drop((named, anonymous, log, other));
    })
    .join();
}

#[test]
fn a_child_of_who_lost_its_descriptors_joins_by_the_path() {
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    let mut creator = Peer::execute("segment/create", &[path, "it"], |_| ());
    creator.expect("joined");
    Peer::fork("daemon", |_| {
        // By descriptor, so that the path was found, not given.
        let opened = small(directory.path()).open_or_create("it").unwrap();
        let file = opened.file().unwrap().try_clone_to_owned().unwrap();
        drop(opened);
        let ours = Segment::from_owned_fd(file).unwrap();
        let log = lose_descriptor(&ours);
        Peer::fork("child", |_| {
            ours.join_after_fork().unwrap();
            let me = ours.participant().me().unwrap();
            assert_eq!(ours.participant().verdict(me), Verdict::Alive);
        })
        .join();
        drop(log);
    })
    .join();
    leave(creator);
}

#[test]
fn a_number_that_is_the_segments_own_by_now_stays_open() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let path = directory.path().to_str().unwrap();
    let mut peer = Peer::execute_by("segment/own-number", &["work", path, "it"], |command| {
        command.share_segment("work", &ours).unwrap().spawn()
    });
    peer.expect("the same number, open");
    peer.join();
}

#[test]
fn a_child_of_another_user_inherits() {
    if !nix::unistd::geteuid().is_root() {
        return; // Nobody can become somebody who may not open the file.
    }
    let directory = directory();
    for ours in [small(directory.path()).anonymous(), small(directory.path()).create("it")] {
        let ours = ours.unwrap();
        let mut peer = Peer::heir("segment/inherited-as-nobody", &["work"], "work", &ours);
        peer.expect("joined");
        peer.say("put 9");
        peer.expect("put");
        let members = ours.participant().roster().participants(ours.file().unwrap());
        let id: OwnerId = members[1].id;
        assert_eq!(ours.participant().verdict(id), Verdict::Alive);
        peer.kill();
        wait_until(|| ours.participant().verdict(id) == Verdict::Dead);
    }
}
