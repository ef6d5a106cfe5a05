//! Broadcasts between processes, freshly executed and forked.

use std::time::Duration;

use shmkit::{Broadcast, BroadcastError, Options, Overrun, Segment, Start};
use shmkit_tests::broadcast::{CAPACITY, make};

use crate::support::{By, Peer};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(100);

/// A broadcast, and what is needed to start peers at it.
struct Scene {
    segment: Segment,
    broadcast: Broadcast<u64>,
    by: By,
}

impl Scene {
    #[track_caller]
    fn peer(&self, script: &str, args: &[&str]) -> Peer {
        let mut peer = self.by.peer(&format!("broadcast/{script}"), args, &self.segment);
        peer.expect("ready");
        peer
    }

    /// A peer that does as it is told, and has done this first.
    #[track_caller]
    fn obedient(&self, first: &str, answer: &str) -> Peer {
        let mut peer = self.peer("obey", &[]);
        does(&mut peer, first, answer);
        peer
    }
}

#[track_caller]
fn does(peer: &mut Peer, order: &str, answer: &str) {
    peer.say(order);
    peer.expect(answer);
}

#[track_caller]
fn end(mut peer: Peer) {
    peer.say("end");
    peer.join();
}

/// Plays a scene with freshly executed peers and with forked ones, each in a segment of its own.
fn both(overrun: Overrun, play: impl Fn(&Scene)) {
    for by in By::ALL {
        let segment = Options::new(1 << 18).anonymous().unwrap();
        let broadcast = make(&segment, overrun).unwrap();
        play(&Scene { segment, broadcast, by });
    }
}

#[test]
fn four_processes_each_receive_all_that_one_sends() {
    both(Overrun::Wait, |scene| {
        let peers: Vec<Peer> = (0..4).map(|_| scene.peer("drain", &["0"])).collect();
        let mut publisher = scene.broadcast.publisher().unwrap();
        for value in 0..5000 {
            publisher.send_timeout(value, LONG).unwrap();
        }
        drop(publisher);
        for mut peer in peers {
            peer.expect("5000");
            peer.join();
        }
        assert_eq!(scene.broadcast.subscribers(), 0);
    });
}

#[test]
fn a_publisher_waits_for_the_living_and_not_for_the_dead() {
    both(Overrun::Wait, |scene| {
        let mut publisher = scene.broadcast.publisher().unwrap();
        let mut living = scene.broadcast.subscribe(Start::Newest).unwrap();
        let mut peer = scene.obedient("subscribe", "subscribed");
        for value in 0..CAPACITY {
            publisher.send(value).unwrap();
        }
        does(&mut peer, "recv", "Ok(0)");
        for value in 0..CAPACITY {
            assert_eq!(living.recv(), Ok(value));
        }
        // Stopped, it is alive.
        peer.stop();
        publisher.send_timeout(CAPACITY, LONG).unwrap();
        let late = publisher.send_timeout(9, SHORT).unwrap_err();
        assert_eq!(late.error, BroadcastError::TimedOut);
        peer.kill();
        for value in CAPACITY + 1..3 * CAPACITY {
            publisher.send_timeout(value, LONG).unwrap();
            assert_eq!(living.recv(), Ok(value - 1));
        }
        assert_eq!(scene.broadcast.subscribers(), 1);
    });
}

#[test]
fn a_killed_publishers_items_come_whole_then_its_death_then_a_successors() {
    both(Overrun::Wait, |scene| {
        let mut ours = scene.broadcast.subscribe(Start::Newest).unwrap();
        let mut theirs = scene.obedient("subscribe", "subscribed");
        let mut publisher = scene.obedient("publisher", "publisher");
        does(&mut publisher, "send 1", "Ok(())");
        does(&mut publisher, "send 2", "Ok(())");
        does(&mut publisher, "draft 3", "drafted");
        does(&mut theirs, "recv", "Ok(1)");
        does(&mut theirs, "recv", "Ok(2)");
        theirs.say("recv");
        theirs.wait_until_in_futex();
        publisher.kill();
        assert!(theirs.hear().contains("PublisherDied"));
        theirs.say("await");
        assert_eq!((ours.recv(), ours.recv()), (Ok(1), Ok(2)));
        for _ in 0..2 {
            assert!(matches!(ours.recv_timeout(LONG), Err(BroadcastError::PublisherDied { .. })));
        }
        let mut successor = scene.broadcast.publisher().unwrap();
        theirs.expect("true");
        successor.send(7).unwrap();
        assert_eq!(ours.recv(), Ok(7));
        does(&mut theirs, "recv", "Ok(7)");
        end(theirs);
    });
}

#[test]
fn who_was_stopped_where_items_are_overwritten_is_told_how_many_it_missed() {
    both(Overrun::Skip, |scene| {
        let mut publisher = scene.broadcast.publisher().unwrap();
        let mut peer = scene.obedient("subscribe", "subscribed");
        peer.stop();
        for value in 0..100 {
            publisher.send(value).unwrap();
        }
        peer.resume();
        // 96 is the oldest; it goes on a quarter of the ring after that.
        does(&mut peer, "recv", "Err(Lagged { missed: 97 })");
        for value in 97..100 {
            does(&mut peer, "recv", &format!("Ok({value})"));
        }
        does(&mut peer, "try-recv", "Err(Empty)");
        end(peer);
    });
}

#[test]
fn who_comes_late_begins_with_the_newest_or_the_oldest() {
    both(Overrun::Wait, |scene| {
        let mut publisher = scene.broadcast.publisher().unwrap();
        publisher.send_all(&[1, 2, 3]).unwrap();
        let mut oldest = scene.obedient("subscribe oldest", "subscribed");
        let mut newest = scene.obedient("subscribe newest", "subscribed");
        does(&mut newest, "try-recv", "Err(Empty)");
        publisher.send(4).unwrap();
        does(&mut newest, "recv", "Ok(4)");
        for value in 1..=4 {
            does(&mut oldest, "recv", &format!("Ok({value})"));
        }
        [oldest, newest].into_iter().for_each(end);
    });
}

#[test]
fn the_end_wakes_all_who_sleep() {
    both(Overrun::Wait, |scene| {
        let publisher = scene.broadcast.publisher().unwrap();
        let mut peers: Vec<Peer> =
            (0..3).map(|_| scene.obedient("subscribe", "subscribed")).collect();
        for peer in &mut peers {
            peer.say("recv");
            peer.wait_until_in_futex();
        }
        drop(publisher);
        for mut peer in peers {
            peer.expect("Err(Closed)");
            end(peer);
        }
    });
}

#[test]
fn a_sleeping_publisher_goes_on_when_the_slowest_has_received_or_left() {
    both(Overrun::Wait, |scene| {
        let mut slow = scene.broadcast.subscribe(Start::Newest).unwrap();
        let mut peer = scene.obedient("publisher", "publisher");
        for value in 0..CAPACITY {
            does(&mut peer, &format!("send {value}"), "Ok(())");
        }
        peer.say("send 8");
        peer.wait_until_in_futex();
        let mut batch = [0; CAPACITY as usize];
        assert_eq!(slow.recv_batch(&mut batch), Ok(CAPACITY as usize));
        peer.expect("Ok(())");
        for value in 9..8 + CAPACITY {
            does(&mut peer, &format!("send {value}"), "Ok(())");
        }
        peer.say("send 20");
        peer.wait_until_in_futex();
        slow.unsubscribe();
        peer.expect("Ok(())");
        end(peer);
    });
}

#[test]
fn both_sides_are_waited_for_among_others() {
    both(Overrun::Wait, |scene| {
        let mut subscriber = scene.broadcast.subscribe(Start::Newest).unwrap();
        let event = shmkit::Objects::event(&scene.segment, "never").unwrap();
        let mut peer = scene.obedient("publisher", "publisher");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| shmkit::wait::wait(&[&event, &subscriber], LONG));
            does(&mut peer, "send 1", "Ok(())");
            assert_eq!(waits.join().unwrap().unwrap(), [1]);
        });
        assert_eq!(subscriber.recv(), Ok(1));
        peer.kill();
        assert_eq!(shmkit::wait::wait(&[&subscriber], LONG).unwrap(), [0]);
        assert!(matches!(subscriber.recv(), Err(BroadcastError::PublisherDied { .. })));

        let mut publisher = scene.broadcast.publisher().unwrap();
        let mut peer = scene.obedient("subscribe", "subscribed");
        publisher.send_all(&[0; CAPACITY as usize]).unwrap();
        drop(subscriber);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| shmkit::wait::wait(&[&publisher], LONG));
            for _ in 0..CAPACITY {
                does(&mut peer, "recv", "Ok(0)");
            }
            assert_eq!(waits.join().unwrap().unwrap(), [0]);
        });
        end(peer);
    });
}
