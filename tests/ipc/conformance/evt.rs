//! `Event`.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use shmkit::EventError;

use super::{both, end};
use crate::support::wait_until;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn evt_04_a_set_by_another_ends_the_wait() {
    both(|scene| {
        let event = scene.event();
        let mut peer = scene.obedient();
        for _ in 0..20 {
            event.clear().unwrap();
            assert_eq!(event.wait_timeout(Duration::from_millis(2)), Err(EventError::TimedOut));
            peer.say("set");
            event.wait_timeout(LONG).unwrap();
            peer.expect("done");
        }
        event.clear().unwrap();
        peer.say("await");
        peer.wait_until_in_futex();
        event.set().unwrap();
        peer.expect("set");
        end([peer]);
    });
}

#[test]
fn evt_07_one_set_wakes_six_waiters() {
    both(|scene| {
        let mut peers = scene.obedients(6);
        for peer in &mut peers {
            peer.say("await");
            peer.wait_until_in_futex();
        }
        scene.event().set().unwrap();
        peers.iter_mut().for_each(|peer| peer.expect("set"));
        end(peers);
    });
}

#[test]
fn evt_08_a_pulse_is_not_missed_by_who_waits() {
    both(|scene| {
        let event = scene.event();
        let mut peers = scene.obedients(3);
        for _ in 0..20 {
            for peer in &mut peers {
                peer.say("await");
                peer.wait_until_in_futex();
            }
            event.set().unwrap();
            event.clear().unwrap();
            peers.iter_mut().for_each(|peer| peer.expect("set"));
        }
        assert!(!event.is_set());
        end(peers);
    });
}

#[test]
fn evt_08_a_pulse_at_the_very_deadline_is_not_missed() {
    both(|scene| {
        let event = scene.event();
        let mut peer = scene.obedient();
        peer.say("await-for 500");
        peer.wait_until_in_futex();
        peer.stop();
        event.set().unwrap();
        event.clear().unwrap();
        std::thread::sleep(Duration::from_millis(520));
        peer.resume();
        peer.expect("set");
        end([peer]);
    });
}

#[test]
fn evt_09_a_killed_waiter_takes_nothing_with_it() {
    both(|scene| {
        let event = scene.event();
        let mut peers = scene.obedients(2);
        for peer in &mut peers {
            peer.say("await");
            peer.wait_until_in_futex();
        }
        peers.remove(0).kill();
        let start = Instant::now();
        event.set().unwrap();
        assert!(event.is_set());
        peers[0].expect("set");
        event.clear().unwrap();
        assert!(!event.is_set());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        end(peers);
    });
}

#[test]
fn evt_10_a_signal_handler_sets_what_it_interrupted() {
    both(|scene| {
        let event = scene.event();
        let mut peer = scene.obedient();
        peer.say("set-by-signal");
        peer.expect("done");
        for _ in 0..20 {
            event.clear().unwrap();
            peer.say("await");
            peer.wait_until_in_futex();
            peer.signal(Signal::SIGUSR1);
            peer.expect("set");
            assert!(event.is_set());
        }
        // And in the middle of `set`, `clear` and `is_set`.
        peer.say("toggle 200000");
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(150) {
            peer.signal(Signal::SIGUSR1);
        }
        peer.expect("done");
        end([peer]);
    });
}

/// In a sandbox without `FUTEX_WAKE_OP` a set wakes all the same, and `errno` stays what it was.
#[test]
fn evt_10_a_set_leaves_errno_alone() {
    both(|scene| {
        let mut waiter = scene.obedient();
        waiter.say("await");
        waiter.wait_until_in_futex();
        wait_until(|| scene.event().raw().has_waiters());
        let mut peer = scene.obedient();
        peer.say("set-in-sandbox");
        peer.expect("errno 77");
        waiter.expect("set");
        end([waiter, peer]);
    });
}
