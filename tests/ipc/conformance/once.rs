//! What is done once: no row of the catalogue, Python has nothing like it.

use std::time::Duration;

use shmkit::{Objects, OnceError};

use super::{both, end};
use crate::support::wait_until;

#[test]
fn one_of_many_makes_the_value() {
    both(|scene| {
        let mut peers = scene.obedients(4);
        for (i, peer) in peers.iter_mut().enumerate() {
            peer.say(&format!("make {i}"));
        }
        let answers: Vec<_> = peers.iter_mut().map(|peer| peer.hear()).collect();
        let cell = scene.cell();
        let value = cell.get().unwrap();
        assert_eq!(value[0], value[1]);
        assert!(answers.iter().all(|a| *a == format!("{value:?}")), "{answers:?}");
        assert_eq!(scene.cell().failures(), 0);
        end(peers);
    });
}

#[test]
fn a_killed_maker_leaves_it_to_who_waits_and_tells_who_only_looks() {
    both(|scene| {
        let mut maker = scene.obedient();
        maker.say("make-slowly 1");
        maker.expect("making");
        assert_eq!(scene.cell().get(), None);
        assert_eq!(scene.cell().try_get_or_init(|| [9, 9]), Err(OnceError::WouldBlock));
        let mut peers = scene.obedients(2);
        peers[0].say("make 7");
        peers[0].wait_until_in_futex();
        peers[1].say("see");
        peers[1].wait_until_in_futex();
        maker.kill();
        peers[0].expect("[7, 7]");
        // It may have looked while it was made anew.
        let answer = peers[1].hear();
        assert!(answer == "[7, 7]" || answer.starts_with("OwnerDied"), "{answer}");
        assert_eq!(scene.cell().get(), Some(&[7, 7]));
        assert_eq!(scene.cell().failures(), 1);
        end(peers);
    });
}

#[test]
fn a_maker_that_fails_wakes_the_next() {
    both(|scene| {
        let mut maker = scene.obedient();
        maker.say("fail-slowly");
        maker.expect("making");
        let mut peer = scene.obedient();
        peer.say("make 5");
        peer.wait_until_in_futex();
        maker.say("go on");
        maker.expect("failed");
        peer.expect("[5, 5]");
        maker.say("see");
        maker.expect("[5, 5]");
        end([maker, peer]);
    });
}

#[test]
fn a_stopped_maker_keeps_its_turn() {
    both(|scene| {
        let mut maker = scene.obedient();
        maker.say("make-slowly 1");
        maker.expect("making");
        maker.stop();
        let cell = scene.cell();
        let wait = Duration::from_millis(150);
        assert_eq!(cell.get_or_init_timeout(wait, || [9, 9]), Err(OnceError::TimedOut));
        assert_eq!(cell.wait_timeout(wait), Err(OnceError::TimedOut));
        maker.resume();
        maker.say("go on");
        maker.expect("[1, 1]");
        assert_eq!(cell.get(), Some(&[1, 1]));
        end([maker]);
    });
}

/// Six processes come again and again to a new cell; one of them is killed each time.
#[test]
fn whoever_is_killed_the_value_is_whole() {
    both(|scene| {
        for round in 0..20 {
            let name = format!("cell {round}");
            let mut peers = scene.obedients(3);
            for peer in &mut peers {
                peer.say(&format!("make-in {name}"));
            }
            peers.remove(round % 3).kill();
            let cell = scene.segment.once_cell::<[u64; 2]>(&name).unwrap();
            let value = *cell.get_or_init(|| [99, 99]).unwrap();
            assert_eq!(value[0], value[1]);
            for peer in &mut peers {
                assert_eq!(peer.hear(), format!("{value:?}"));
            }
            wait_until(|| cell.owner().is_none());
            end(peers);
        }
    });
}
