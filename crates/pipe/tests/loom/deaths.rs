//! One of the ends dies.

use super::*;

/// A sender commits two items and dies: at the end, or before it wakes the receiver for the `rings`-th time.
fn dead_sender(rings: u32) {
    loom::model(move || {
        let [a, b] = judges();
        let id = shmkit_roster::Judge::me(&a).unwrap();
        let ring = Ring::new(2);
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                let _ = crash::after(rings, || {
                    for value in 1..=2 {
                        ring.send(&mut end, &a, value).unwrap();
                    }
                });
                a.die();
            })
        };
        let mut end = ring.receiver(&b).unwrap();
        let mut got = 0;
        loop {
            match ring.recv(&mut end, &b) {
                Ok(value) => {
                    got += 1;
                    assert_eq!(value, got);
                }
                // It may have died before the receiver ever slept, and then without a wake to die before.
                Err(error) => {
                    assert_eq!(error, PipeError::PeerDied { peer: id, left: 0 });
                    break;
                }
            }
        }
        sending.join().unwrap();
        let committed = ring.words.len() + got;
        assert_eq!(committed, got, "something was left behind");
        assert!(rings < 2 || got == 2, "{got} of 2 items");
    });
}

#[test]
fn what_a_dead_sender_committed_is_received_first() {
    dead_sender(u32::MAX - 1);
}

#[test]
fn a_sender_that_dies_before_it_wakes_leaves_nobody_asleep() {
    dead_sender(0);
    dead_sender(1);
}

#[test]
fn a_sender_that_waits_hears_that_the_receiver_died() {
    loom::model(|| {
        let [a, b] = judges();
        let id = shmkit_roster::Judge::me(&b).unwrap();
        let ring = Ring::new(1);
        let receiving = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.receiver(&b).unwrap();
                let _ = crash::after(0, || ring.recv(&mut end, &b));
                b.die();
            })
        };
        let mut end = ring.sender(&a).unwrap();
        let mut sent = 0;
        let error = loop {
            match ring.send(&mut end, &a, 1) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
            assert!(sent <= 2, "nobody receives any more");
        };
        // Nobody had come to receive, and now nobody will: only who came can be missed.
        // What is in the ring it has not received.
        assert_eq!(error, PipeError::PeerDied { peer: id, left: 1 });
        receiving.join().unwrap();
    });
}

#[test]
fn a_successor_goes_on_where_the_dead_stopped() {
    model_of_two(|| {
        let [a, b, c] = judges();
        let id = shmkit_roster::Judge::me(&a).unwrap();
        let ring = Ring::new(2);
        let mut first = ring.sender(&a).unwrap();
        ring.send(&mut first, &a, 1).unwrap();
        let dying = thread::spawn(move || a.die());
        let succeeding = {
            let ring = ring.clone();
            thread::spawn(move || match ring.sender(&c) {
                Ok(mut end) => {
                    ring.send(&mut end, &c, 2).unwrap();
                    end.close(&c);
                    true
                }
                Err(error) => {
                    assert_eq!(error, ClaimError::Taken { holder: id });
                    false
                }
            })
        };
        let mut end = ring.receiver(&b).unwrap();
        assert_eq!(ring.recv(&mut end, &b), Ok(1));
        let mut next = ring.recv(&mut end, &b);
        let succeeded = succeeding.join().unwrap();
        if next == Err(PipeError::PeerDied { peer: id, left: 0 }) && succeeded {
            next = ring.recv(&mut end, &b);
        }
        let end = if succeeded { Ok(2) } else { Err(PipeError::PeerDied { peer: id, left: 0 }) };
        assert_eq!(next, end);
        dying.join().unwrap();
    });
}

/// Judges a silent sender by hand. In the `right` order the last item is never lost.
fn judge_a_dead_sender(right: bool) {
    loom::model(move || {
        let [a, b] = judges();
        let ring = Ring::new(2);
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                ring.send(&mut end, &a, 1).unwrap();
                a.die();
            })
        };
        let mut end = ring.receiver(&b).unwrap();
        loop {
            let (peer, ready) = if right {
                let peer = end.peer(&b, true).unwrap();
                (peer, end.look().unwrap())
            } else {
                let ready = end.look().unwrap();
                (end.peer(&b, true).unwrap(), ready)
            };
            if ready > 0 {
                assert_eq!(ring.take(&mut end), 1);
                break;
            }
            assert!(!matches!(peer, Peer::Dead(_)), "{LOST}");
            thread::yield_now();
        }
        sending.join().unwrap();
    });
}

const LOST: &str = "an item was lost";

#[test]
fn dead_then_drained_loses_nothing() {
    judge_a_dead_sender(true);
}

#[test]
fn drained_then_dead_loses_the_last_item() {
    expect_failure("deaths::drained_then_dead_loses_the_last_item", LOST, || {
        judge_a_dead_sender(false)
    });
}

/// A sender that was expected comes, sends, closes its end and leaves, while the receiver asks who it is: it has come.
#[test]
fn who_was_expected_and_has_come_is_no_missing_one() {
    model_of_two(|| {
        let [a, b] = judges();
        let ring = Ring::new(2);
        let mut end = ring.receiver(&b).unwrap();
        end.expect(shmkit_roster::Judge::me(&a).unwrap());
        let sending = {
            let ring = ring.clone();
            thread::spawn(move || {
                let mut end = ring.sender(&a).unwrap();
                ring.send(&mut end, &a, 1).unwrap();
                end.close(&a);
                a.die(); // Whoever has left is as the dead to who asks.
            })
        };
        assert_eq!(ring.recv(&mut end, &b), Ok(1));
        assert_eq!(ring.recv(&mut end, &b), Err(PipeError::Closed));
        sending.join().unwrap();
    });
}
