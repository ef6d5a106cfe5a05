//! `Semaphore` and `BoundedSemaphore`, without owners.

use std::time::Duration;

use shmkit::CountingError;

use super::{both, end};
use crate::support::{Peer, wait_until};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn sem_05_and_06_another_waits_as_long_as_asked() {
    both(|scene| {
        let mut peer = scene.obedient();
        peer.say("try-acquire items");
        peer.expect("WouldBlock");
        // The peer checks that it was not shorter.
        for millis in [1, 10, 120] {
            peer.say(&format!("acquire-for items {millis}"));
            peer.expect("TimedOut");
        }
        end([peer]);
    });
}

#[test]
fn sem_08_two_processes_take_turns() {
    both(|scene| {
        let (items, turns) = (scene.counting("items"), scene.counting("turns"));
        let peer = scene.peer("ping-pong", &["3000"]);
        for _ in 0..3000 {
            items.release(1).unwrap();
            turns.acquire_timeout(LONG).unwrap();
            assert_eq!((items.value(), turns.value()), (0, 0), "strictly alternating");
        }
        peer.join();
    });
}

#[test]
fn a_release_wakes_as_many_sleepers_as_it_raises() {
    both(|scene| {
        let items = scene.counting("items");
        let mut peers = scene.obedients(3);
        for _ in 0..10 {
            for peer in &mut peers {
                peer.say("acquire items");
                peer.wait_until_in_futex();
            }
            items.release(2).unwrap();
            items.release(1).unwrap();
            peers.iter_mut().for_each(|peer| peer.expect("acquired"));
            assert_eq!(items.value(), 0);
        }
        end(peers);
    });
}

#[test]
fn bsm_03_releases_that_race_never_pass_the_bound() {
    both(|scene| {
        let bounded = scene.counting("bounded");
        let mut peers: Vec<_> = (0..4).map(|_| scene.peer("race", &["20000"])).collect();
        let mut highest = 0;
        let mut done = 0;
        while done < peers.len() {
            highest = highest.max(bounded.value());
            assert!(highest <= bounded.bound(), "{highest}");
            done = peers.iter_mut().filter(|peer| peer.state() == 'Z').count();
        }
        peers.into_iter().for_each(Peer::join);
        assert_eq!((bounded.value(), bounded.bound()), (3, 3));
        assert!(matches!(bounded.release(1), Err(CountingError::PastBound { .. })));
    });
}

#[test]
fn a_killed_taker_takes_at_most_what_it_took() {
    both(|scene| {
        let items = scene.counting("items");
        items.release(1).unwrap();
        let mut holder = scene.obedient();
        holder.say("acquire items");
        holder.expect("acquired");
        holder.kill();
        // As documented: nobody knows that it was the dead one's.
        assert_eq!(items.acquire_timeout(Duration::from_millis(60)), Err(CountingError::TimedOut));
        // Anybody may make good for it.
        items.release(1).unwrap();
        items.acquire_timeout(LONG).unwrap();

        // A killed sleeper takes nothing.
        let mut peers = scene.obedients(2);
        for peer in &mut peers {
            peer.say("acquire items");
            peer.wait_until_in_futex();
        }
        peers.remove(0).kill();
        items.release(1).unwrap();
        peers[0].expect("acquired");
        wait_until(|| items.value() == 0);
        end(peers);
    });
}
