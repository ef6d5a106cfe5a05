//! What a forked child inherits of a participant: nothing.

use std::os::fd::OwnedFd;
use std::ptr;
use std::thread;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, fork, pipe2};
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::{Judge, OwnerId, Participant, Verdict};
use shmkit_tests::roster::{Table, is_in_use, obey};

use crate::roster::{forked, hear_id, wait_until_dead};
use crate::support::Peer;

/// Returns where the mapping lies that carries our locks: the only one of the file that nobody may read.
fn anchor() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut anchors = maps.lines().filter(|l| l.contains(" ---p ") && l.contains("shmkit-test"));
    let (address, _) = anchors.next().expect("an anchor").split_once('-').unwrap();
    assert_eq!(anchors.next(), None);
    usize::from_str_radix(address, 16).unwrap()
}

#[test]
fn a_child_that_drops_what_it_inherited_does_nothing() {
    // In a process with one thread and one participant, so that the anchor is the only one.
    let parent = Peer::fork("parent", |_| {
        let table = Table::new(4);
        let (mut watcher, _) = forked(&table);
        let me = table.join();
        let id = me.id().unwrap();
        let address = anchor();
        let child = Peer::fork("child", |_| {
            assert_eq!((me.me(), me.is_lost()), (None, false));
            // What lies at the anchor's address in the child is the child's own.
            let (one, prot) = (1.try_into().unwrap(), ProtFlags::PROT_READ);
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
            // SAFETY: a new mapping, and none is replaced.
            let page = unsafe { mmap_anonymous(address.try_into().ok(), one, prot, flags) };
            let page = page.expect("the anchor is not inherited").cast::<u8>();
            // SAFETY: the child's copy; the original is never dropped here, since the child ends in `_exit`.
            drop(unsafe { ptr::read(&me) });
            // SAFETY: mapped above. If the drop had unmapped it, the child would be killed now.
            assert_eq!(unsafe { page.read_volatile() }, 0);
        });
        child.join();
        assert_eq!(me.id(), Some(id));
        watcher.say(&format!("verdict {}", id.get()));
        watcher.expect("Alive");
        drop(me);
        watcher.say(&format!("verdict {}", id.get()));
        watcher.expect("Dead");
    });
    parent.join();
}

#[test]
fn a_child_is_another_participant() {
    let table = Table::new(4);
    let (watcher, watcher_id) = forked(&table);
    let mut parent = Peer::fork("parent", |channel| {
        let me = table.join();
        channel.say(&me.id().unwrap().get().to_string());
        // SAFETY: the child does the scene and ends.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { .. } => loop {
                nix::unistd::pause();
            },
            ForkResult::Child => {
                assert_eq!(me.verdict(watcher_id), Verdict::Unknown, "nobody asks");
                me.rejoin().unwrap();
                obey(&table, me, channel);
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(0) }
            }
        }
    });
    let (a, b) = (hear_id(&mut parent), hear_id(&mut parent));
    assert_ne!(a, b);
    let me = table.join();
    assert_eq!([a, b].map(|id| me.verdict(id)), [Verdict::Alive; 2]);
    assert_ne!(me.person(a).unwrap().pid, me.person(b).unwrap().pid);
    // The child lives on: the death signal of a peer is not inherited.
    parent.signal(Signal::SIGKILL);
    wait_until_dead(&me, a);
    assert_eq!(me.verdict(b), Verdict::Alive);
    parent.say(&format!("verdict {}", a.get()));
    parent.expect("Dead");
    parent.say(&format!("verdict {}", watcher_id.get()));
    parent.expect("Alive");
    parent.say("end");
    wait_until_dead(&me, b);
    drop(watcher);
}

/// No handler of ours runs in it.
#[test]
fn a_raw_cloned_child_is_nobody_too() {
    let table = Table::new(4);
    let parent = Peer::fork("parent", |_| {
        let me = table.join();
        // SAFETY: as fork; the child does the scene and ends.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } as i32;
        if pid == 0 {
            let ok = me.me().is_none() && me.rejoin().is_ok() && me.me().is_some();
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(!ok)) };
        }
        let mut status = 0;
        // SAFETY: our child, and a place for its status.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(status, 0);
    });
    parent.join();
}

/// Children that are forked in the middle of joins, and live on, keep none of those places.
#[test]
fn a_fork_storm_beside_joins_leaks_no_liveness() {
    const CHILDREN: usize = 100;
    let table = Table::new(64);
    let mut storm = Peer::fork("storm", |channel| {
        // The children sleep until the other end of the pipe is closed.
        let (sleep, wake) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let forking = AtomicU32::new(2);
        let mut ids = Vec::new();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..CHILDREN {
                        start_sleeper(&sleep, &wake);
                    }
                    forking.fetch_sub(1, Relaxed);
                });
            }
            while forking.load(Relaxed) > 0 {
                ids.push(table.join().id().unwrap().get().to_string());
            }
        });
        channel.say(&ids.join(" "));
        channel.hear();
        drop((sleep, wake));
        for _ in 0..2 * CHILDREN {
            nix::sys::wait::wait().unwrap();
        }
    });
    let heard = storm.hear();
    assert!(!is_in_use(&table));
    let me = table.join();
    let ids = heard.split(' ').map(|id| OwnerId::from_word(id.parse().unwrap()).unwrap());
    let leaked: Vec<_> = ids.filter(|&id| me.verdict(id) != Verdict::Dead).collect();
    assert_eq!(leaked, []);
    storm.say("end");
    storm.join();
}

fn start_sleeper(sleep: &OwnedFd, wake: &OwnedFd) {
    use std::os::fd::AsRawFd;
    // SAFETY: the child makes system calls only, and ends.
    if let ForkResult::Child = unsafe { fork() }.unwrap() {
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        // SAFETY: the child's own copy.
        unsafe { libc::close(wake.as_raw_fd()) };
        let _ = nix::unistd::read(sleep, &mut [0]);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) };
    }
}

/// The id page is read at every operation; a participant is used by many threads.
#[test]
fn a_participant_is_shared_by_threads() {
    fn check<T: Send + Sync>(_: &T) {}
    let table = Table::new(4);
    let me: Participant<'_> = table.join();
    check(&me);
    let id = me.id();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(me.rejoin().ok(), id);
                assert_eq!(me.verdict(id.unwrap()), Verdict::Alive);
            });
        }
    });
}
