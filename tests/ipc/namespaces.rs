//! Locks between processes whose PIDs say nothing: equal ones, reused ones, and one that stands still.

use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use shmkit::{LockError, LockFailure, Mutex, Objects, Options, Segment};
use shmkit_tests::play_forked;
use shmkit_tests::sync::Pair;

use crate::support::{Peer, new_pid_namespace, wait_until_in_futex};

fn segment() -> Segment {
    let segment = Options::new(1 << 14).anonymous().unwrap();
    segment.mutex("pair", [0_u64; 2]).unwrap();
    segment.semaphore("doors", 2).unwrap();
    segment
}

/// A process that is number 1 of a PID namespace of its own, and does as it is told.
struct First {
    peer: Peer,
    /// Its number here.
    pid: Pid,
}

impl First {
    #[track_caller]
    fn start(segment: &Segment) -> Self {
        let mut peer = Peer::fork("outside", |channel| {
            new_pid_namespace();
            // SAFETY: the child does the scene and ends.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
                assert_eq!(std::process::id(), 1);
                assert_eq!(channel.hear(), "go");
                play_forked("sync/obey", &[], segment, channel);
                std::process::exit(0);
            }
            channel.say(&pid.to_string());
            let status = waitpid(Pid::from_raw(pid), None).unwrap();
            assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
        });
        let pid = Pid::from_raw(peer.hear().parse().unwrap());
        peer.say("go");
        peer.expect("ready");
        Self { peer, pid }
    }

    #[track_caller]
    fn told(&mut self, line: &str, answer: &str) {
        self.peer.say(line);
        self.peer.expect(answer);
    }

    #[track_caller]
    fn kill(self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
        // The one outside says that its child did not end well.
        drop(self.peer);
    }
}

/// glibc's mutexes know owners by thread ids, of which both have number 1: the waiter takes itself for the owner.
#[test]
fn a_waiter_with_its_owners_pid_never_becomes_a_second_owner() {
    let segment = segment();
    let [mut owner, mut waiter, mut other] = [(); 3].map(|()| First::start(&segment));
    owner.told("lock", "clean");
    waiter.told("try-lock", "WouldBlock");
    waiter.peer.say("lock");
    wait_until_in_futex(waiter.pid);
    waiter.kill();
    other.told("lock-for 60", "timed out");
    let mutex: Mutex<Pair> = segment.find("pair").unwrap();
    assert!(matches!(mutex.try_lock(), Err(LockError::Failed(LockFailure::WouldBlock))));
    owner.told("unlock", "unlocked");
    other.told("lock", "clean");
    // And now the owner.
    owner.peer.say("lock");
    wait_until_in_futex(owner.pid);
    other.told("half", "done");
    other.kill();
    owner.peer.expect("owner died: 1");
    owner.told("whole", "done");
    owner.told("consistent", "done");
    owner.told("unlock", "unlocked");
}

/// A child that is number 2 of this PID namespace, whoever was it before.
fn fork_as_two(scene: impl FnOnce()) -> Pid {
    // The kernel gives out the next number.
    std::fs::write("/proc/sys/kernel/ns_last_pid", "1").unwrap();
    // SAFETY: the child does the scene and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
        assert_eq!(std::process::id(), 2);
        scene();
        std::process::exit(0);
    }
    Pid::from_raw(pid)
}

#[test]
fn a_process_with_the_pid_of_the_dead_is_another() {
    let segment = segment();
    let outside = Peer::fork("outside", |_| {
        new_pid_namespace();
        // SAFETY: the child does the scene and ends.
        let pid = unsafe { libc::fork() };
        if pid != 0 {
            let status = waitpid(Pid::from_raw(pid), None).unwrap();
            assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
            return;
        }
        prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
        let (hear, say) = nix::unistd::pipe().unwrap();
        let owner = fork_as_two(|| {
            segment.join_after_fork().unwrap();
            let mutex: Mutex<Pair> = segment.find("pair").unwrap();
            let mut pair = mutex.lock().unwrap();
            pair[0] += 1;
            nix::unistd::write(&say, b"x").unwrap();
            loop {
                nix::unistd::pause();
            }
        });
        nix::unistd::read(&hear, &mut [0]).unwrap();
        kill(owner, Signal::SIGKILL).unwrap();
        waitpid(owner, None).unwrap();
        let heir = fork_as_two(|| {
            segment.join_after_fork().unwrap();
            let mutex: Mutex<Pair> = segment.find("pair").unwrap();
            let Err(LockError::OwnerDied(pair)) = mutex.lock_timeout(Duration::from_secs(5)) else {
                panic!("the dead was taken for the living of the same number")
            };
            let dead = pair.dead_owner().unwrap();
            assert_ne!(Some(dead), segment.participant().id());
            assert_eq!(segment.participant().person(dead).unwrap().pid, std::process::id());
            assert_eq!(*pair, [1, 0]);
            pair.make_consistent();
        });
        let status = waitpid(heir, None).unwrap();
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
        std::process::exit(0);
    });
    outside.join();
}

#[test]
fn an_owner_that_stands_still_for_five_seconds_is_alive() {
    let segment = segment();
    let mut owner = Peer::fork("obey", |channel| {
        play_forked("sync/obey", &[], &segment, channel);
    });
    owner.expect("ready");
    owner.say("lock");
    owner.expect("clean");
    owner.say("half");
    owner.expect("done");
    owner.stop();
    let mutex: Mutex<Pair> = segment.find("pair").unwrap();
    let waited = mutex.lock_timeout(Duration::from_secs(5));
    assert!(matches!(waited, Err(LockError::Failed(LockFailure::TimedOut))), "{waited:?}");
    owner.resume();
    owner.say("whole");
    owner.expect("done");
    owner.say("unlock");
    owner.expect("unlocked");
    assert_eq!(*mutex.lock().unwrap(), [1, 1]);
    assert_eq!(mutex.deaths(), 0, "nobody was taken for dead");
}
