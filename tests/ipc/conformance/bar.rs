//! `Barrier`.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use shmkit::roster::Process;
use shmkit::{Atomic, Barrier, BarrierError, Expected, Objects, Parties, Patience, PeerId};

use super::{both, end};
use crate::support::{Peer, wait_until};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn bar_01_and_02_nobody_passes_before_all_have_come_ten_times_over() {
    both(|scene| {
        // Each peer adds to one count, waits, adds to another, waits, and checks both.
        let peers: Vec<_> = (0..4).map(|_| scene.peer("laps", &["10"])).collect();
        scene.peer("laps", &["10"]).join();
        peers.into_iter().for_each(Peer::join);
        let barrier = scene.barrier(5);
        assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
        assert_eq!(scene.segment.find::<Atomic<u64>>("laps").unwrap().load(), 100);
    });
}

#[test]
fn bar_03_each_number_is_returned_once() {
    both(|scene| {
        let mut peers = scene.obedients(4);
        for _ in 0..20 {
            peers.iter_mut().for_each(|peer| peer.say("meet 5"));
            let mine = scene.barrier(5).wait_timeout(LONG).unwrap();
            let mut all = vec![format!("passed {mine}")];
            all.extend(peers.iter_mut().map(Peer::hear));
            all.sort();
            assert_eq!(all, ["passed 0", "passed 1", "passed 2", "passed 3", "passed 4"]);
        }
        end(peers);
    });
}

#[test]
fn bar_04_the_last_one_acts_once_before_anybody_passes() {
    both(|scene| {
        let mut peers = scene.obedients(4);
        let actions = scene.segment.find::<Atomic<u64>>("actions").unwrap();
        for round in 1..=20 {
            // A peer adds one in its action, and says how many it finds when it passes.
            peers.iter_mut().for_each(|peer| peer.say("act 5"));
            scene
                .barrier(5)
                .wait_with_timeout(LONG, || {
                    actions.fetch_add(1);
                    Ok::<_, ()>(())
                })
                .unwrap();
            assert_eq!(actions.load(), round);
            peers.iter_mut().for_each(|peer| peer.expect(&format!("passed, {round} actions")));
        }
        end(peers);
    });
}

#[test]
fn bar_05_an_action_that_fails_breaks_it_for_the_others() {
    both(|scene| {
        let barrier = scene.barrier(2);
        let mut peer = scene.obedient();
        peer.say("meet 2");
        wait_until(|| barrier.n_waiting() == 1);
        let failed = barrier.wait_with(|| Err("no"));
        assert_eq!(failed, Err(shmkit::ActionError::Action("no")));
        peer.expect("Broken");
        barrier.reset().unwrap();
        let waited = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| barrier.wait_timeout(LONG));
            wait_until(|| barrier.n_waiting() == 1);
            peer.say("fail 2");
            peer.expect("its own error");
            waiter.join().unwrap()
        });
        assert_eq!(waited, Err(BarrierError::Broken));
        end([peer]);
    });
}

#[test]
fn bar_06_an_abort_is_told_to_those_who_wait() {
    both(|scene| {
        let barrier = scene.barrier(5);
        let mut peers = scene.obedients(4);
        peers.iter_mut().for_each(|peer| peer.say("meet 5"));
        barrier.wait_timeout(LONG).unwrap();
        peers.iter_mut().for_each(|peer| assert!(peer.hear().starts_with("passed")));
        // Instead of its second wait.
        peers.iter_mut().for_each(|peer| peer.say("meet 5"));
        wait_until(|| barrier.n_waiting() == 4);
        barrier.abort().unwrap();
        peers.iter_mut().for_each(|peer| peer.expect("Broken"));
        // BAR-13, BAR-15.
        assert_eq!((barrier.is_broken(), barrier.n_waiting()), (true, 0));
        peers[0].say("meet 5");
        peers[0].expect("Broken");
        peers[0].say("reset 5");
        peers[0].expect("done");
        assert!(!barrier.is_broken());
        end(peers);
    });
}

#[test]
fn bar_09_who_is_late_finds_it_broken_by_the_others() {
    both(|scene| {
        let barrier = scene.barrier(5);
        let mut peers = scene.obedients(4);
        peers.iter_mut().for_each(|peer| peer.say("meet-for 5 100"));
        let mut answers: Vec<_> = peers.iter_mut().map(Peer::hear).collect();
        answers.sort();
        // The deadline of one of them broke it; a second one may have passed at the same moment.
        assert!(answers.contains(&"TimedOut".to_owned()), "{answers:?}");
        assert!(answers.iter().all(|a| a == "TimedOut" || a == "Broken"), "{answers:?}");
        assert_eq!(barrier.wait_timeout(Duration::from_millis(500)), Err(BarrierError::Broken));
        end(peers);
    });
}

/// CPython's `test_default_timeout`: the time-out given at the making is everybody's.
#[test]
fn bar_09_who_does_not_say_for_how_long_waits_as_long_as_the_barrier_was_made_for() {
    both(|scene| {
        let limit = Duration::from_millis(100);
        let barrier: Barrier =
            scene.segment.object("default", Parties::new(5).timeout(limit)).unwrap();
        let mut peers = scene.obedients(4);
        let start = Instant::now();
        peers.iter_mut().for_each(|peer| peer.say("meet-default"));
        let mut answers: Vec<_> = peers.iter_mut().map(Peer::hear).collect();
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
        answers.sort();
        assert!(answers.contains(&"TimedOut".to_owned()), "{answers:?}");
        assert!(answers.iter().all(|a| a == "TimedOut" || a == "Broken"), "{answers:?}");
        assert_eq!(barrier.wait(), Err(BarrierError::Broken));
        end(peers);
    });
}

#[test]
fn bar_12_a_thousand_passes() {
    both(|scene| {
        let start = Instant::now();
        let peers: Vec<_> = (0..4).map(|_| scene.peer("thousand", &[])).collect();
        scene.peer("thousand", &[]).join();
        peers.into_iter().for_each(Peer::join);
        let numbers = scene.segment.array::<u64>("numbers", 5001).unwrap().to_vec().unwrap();
        assert_eq!(numbers[0], 5000);
        let expected: Vec<u64> = (0..1000).flat_map(|pass| [pass; 5]).collect();
        assert_eq!(numbers[1..], expected, "each number five times, in order");
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    });
}

#[test]
fn bar_16_a_killed_party_breaks_it_for_who_comes_later() {
    both(|scene| {
        let barrier = scene.barrier(2);
        let mut peer = scene.obedient();
        peer.say("meet 2");
        wait_until(|| barrier.n_waiting() == 1);
        let pid = peer.pid().as_raw() as u32;
        peer.kill();
        let start = Instant::now();
        let Err(BarrierError::PartyDied(dead)) = barrier.wait_timeout(Duration::from_secs(10))
        else {
            panic!("not told")
        };
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(scene.segment.participant().person(dead).unwrap().pid, pid);
        assert_eq!(barrier.wait(), Err(BarrierError::PartyDied(dead)), "until it is reset");
        assert!(barrier.is_broken());
        barrier.abort().unwrap();
        barrier.reset().unwrap();
        let mut peer = scene.obedient();
        peer.say("meet 2");
        barrier.wait_timeout(LONG).unwrap();
        assert!(peer.hear().starts_with("passed"));
        end([peer]);
    });
}

#[test]
fn bar_16_a_killed_party_breaks_it_for_who_sleeps() {
    both(|scene| {
        let barrier = scene.barrier(5);
        let mut peers = scene.obedients(3);
        for peer in &mut peers {
            peer.say("meet 5");
            peer.wait_until_in_futex();
        }
        wait_until(|| barrier.n_waiting() == 3);
        peers.remove(0).kill();
        for peer in &mut peers {
            let answer = peer.hear();
            assert!(answer.starts_with("PartyDied"), "{answer}");
        }
        end(peers);
    });
}

#[test]
fn a_registered_party_is_missed_before_it_comes() {
    both(|scene| {
        let barrier = scene.barrier(2);
        let mut registered = scene.obedient();
        registered.say("register 2");
        registered.expect("done");
        let mut sleeper = scene.obedient();
        sleeper.say("meet 2");
        sleeper.wait_until_in_futex();
        wait_until(|| barrier.n_waiting() == 1);
        registered.kill();
        let answer = sleeper.hear();
        assert!(answer.starts_with("PartyDied"), "{answer}");
        barrier.reset().unwrap();
        // Registered parties pass as others do.
        sleeper.say("register 2");
        sleeper.expect("done");
        for _ in 0..20 {
            sleeper.say("meet-registered");
            barrier.wait_timeout(LONG).unwrap();
            assert!(sleeper.hear().starts_with("passed"));
        }
        end([sleeper]);
        // It has gone in peace.
        let mut peer = scene.obedient();
        peer.say("meet 2");
        barrier.wait_timeout(LONG).unwrap();
        assert!(peer.hear().starts_with("passed"));
        end([peer]);
    });
}

#[test]
fn a_stopped_party_is_never_taken_for_dead() {
    both(|scene| {
        let barrier = scene.barrier(5);
        let mut peers = scene.obedients(2);
        for peer in &mut peers {
            peer.say("meet 5");
            peer.wait_until_in_futex();
        }
        wait_until(|| barrier.n_waiting() == 2);
        peers[0].stop();
        // Several slices of the one that sleeps.
        std::thread::sleep(Duration::from_millis(150));
        assert!(!barrier.is_broken());
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| scope.spawn(|| barrier.wait_timeout(LONG).unwrap()));
            // Threads of one process are parties of their own.
            barrier.wait_timeout(LONG).unwrap();
            for thread in threads {
                thread.join().unwrap();
            }
        });
        peers[0].resume();
        peers.iter_mut().for_each(|peer| assert!(peer.hear().starts_with("passed")));
        end(peers);
    });
}

/// Of three that are expected, two wait already and the third is about to.
#[test]
fn who_is_expected_and_never_comes_is_told_of_as_a_death() {
    both(|scene| {
        let barrier = scene.barrier(4);
        let mut peers = scene.obedients(2);
        peers.iter_mut().for_each(|peer| peer.say("meet 4"));
        wait_until(|| barrier.n_waiting() == 2);
        // A process that takes no part in the segment, and never will.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let joined = Expected::from(scene.segment.participant().id().unwrap());
        let expected = [joined, Process::of_child(&mut child).unwrap().into()];
        let waited = thread::scope(|scope| {
            let waiting = scope
                .spawn(|| barrier.wait_deadline(Patience::from(LONG).while_all_alive(&expected)));
            wait_until(|| barrier.n_waiting() == 3);
            drop(child.stdin.take());
            waiting.join().unwrap()
        });
        assert_eq!(waited, Err(BarrierError::PeerDied(PeerId::Process(child.id()))));
        assert!(child.wait().unwrap().success(), "it ended in good order");
        peers.iter_mut().for_each(|peer| peer.expect("Broken"));
        barrier.reset().unwrap();
        end(peers);
    });
}

#[test]
fn who_is_expected_and_has_come_may_end() {
    both(|scene| {
        let barrier = scene.barrier(2);
        let mut peer = scene.obedient();
        let expected = [Process::of_pid(peer.pid().as_raw().unsigned_abs()).unwrap().into()];
        peer.say("meet 2");
        wait_until(|| barrier.n_waiting() == 1);
        let patience = Patience::from(LONG).while_all_alive(&expected);
        assert_eq!(barrier.wait_deadline(patience), Ok(1));
        assert!(peer.hear().starts_with("passed"));
        peer.kill();
        let waited = barrier.wait_deadline(patience);
        let Err(BarrierError::PeerDied(PeerId::Process(_))) = waited else { panic!("{waited:?}") };
        barrier.reset().unwrap();
    });
}
