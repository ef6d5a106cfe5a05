//! Queues of messages between processes, freshly executed and forked.

use std::time::Duration;

use shmkit::{MessageQueue, Options, QueueError, Segment};
use shmkit_tests::messages::{CAPACITY, LARGE, make, message};

use crate::support::{By, Peer};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A queue, and what is needed to start peers at it.
struct Scene {
    segment: Segment,
    queue: MessageQueue,
    by: By,
}

impl Scene {
    #[track_caller]
    fn peer(&self, script: &str, args: &[&str]) -> Peer {
        self.by.peer(&format!("messages/{script}"), args, &self.segment)
    }

    /// A peer that does as it is told.
    #[track_caller]
    fn obedient(&self) -> Peer {
        let mut peer = self.peer("obey", &[]);
        peer.expect("ready");
        peer
    }

    /// No message has a block any more.
    #[track_caller]
    fn expect_no_blocks(&self) {
        let account = self.queue.heap().check().unwrap();
        assert_eq!((account.kept_blocks, account.reserved_blocks), (0, 0), "{account}");
    }
}

/// Plays a scene with freshly executed peers and with forked ones, each in a segment of its own.
fn both(play: impl Fn(&Scene)) {
    for by in By::ALL {
        let segment = Options::new(1 << 20).anonymous().unwrap();
        let queue = make(&segment).unwrap();
        play(&Scene { segment, queue, by });
    }
}

#[test]
fn messages_of_two_producers_come_whole_and_in_order() {
    both(|scene| {
        let peers = [["0", "1000"], ["1000", "2000"]].map(|range| scene.peer("put", &range));
        let mut next = [0, 1000];
        for _ in 0..2000 {
            let found = scene.queue.get_timeout(LONG).unwrap();
            let who = next.iter().position(|&number| found == message(number));
            next[who.expect("it is whose turn it is")] += 1;
        }
        assert_eq!(next, [1000, 2000]);
        peers.into_iter().for_each(Peer::join);
        scene.expect_no_blocks();
    });
}

#[test]
fn a_killed_readers_message_comes_again_and_no_memory_is_lost() {
    both(|scene| {
        scene.queue.put(&[9; LARGE]).unwrap();
        let mut reader = scene.obedient();
        reader.say("take");
        reader.expect(&format!("Some({LARGE})"));
        // Who waits for the memory is killed, too.
        let mut waits = scene.obedient();
        waits.say("put");
        waits.wait_until_in_futex();
        assert_eq!(scene.queue.try_put(&[1; LARGE]), Err(QueueError::Full));
        waits.kill();
        reader.kill();
        let lease = scene.queue.take_timeout(LONG).unwrap();
        assert_eq!(*lease, [9; LARGE]);
        lease.done().unwrap();
        assert_eq!(scene.queue.stats().redelivered, 1);
        scene.queue.put_timeout(&[1; LARGE], LONG).unwrap();
        assert_eq!(scene.queue.get().map(|message| message.len()), Ok(LARGE));
        scene.expect_no_blocks();
    });
}

#[test]
fn que_24_a_writer_that_is_killed_at_any_time_leaves_whole_messages() {
    both(|scene| {
        let mut next = 0;
        for round in 0..12 {
            let (first, last) = (round * 100, round * 100 + 100);
            let peer = scene.peer("put", &[&first.to_string(), &last.to_string()]);
            // After so many, wherever it is by then.
            for number in first..first + 3 + round * 5 {
                assert_eq!(scene.queue.get_timeout(LONG), Ok(message(number)));
                next = number + 1;
            }
            peer.kill();
            loop {
                match scene.queue.get_timeout(Duration::from_millis(100)) {
                    Ok(found) => assert_eq!(found, message(next)),
                    Err(QueueError::TimedOut) => break,
                    Err(error) => panic!("{error}"),
                }
                next += 1;
            }
            assert!(next <= last, "{next} of {last}");
        }
        assert!(scene.queue.stats().discarded <= 12);
        // Whoever puts into a slot frees what a dead one has left there.
        for _ in 0..CAPACITY {
            scene.queue.put(b"small").unwrap();
            assert_eq!(scene.queue.get(), Ok(b"small".to_vec()));
        }
        scene.expect_no_blocks();
    });
}

#[test]
fn who_waits_for_memory_is_woken_when_a_message_is_done() {
    both(|scene| {
        scene.queue.put(&[9; LARGE]).unwrap();
        let mut waits = scene.obedient();
        waits.say("put");
        waits.wait_until_in_futex();
        assert_eq!(scene.queue.get().map(|message| message.len()), Ok(LARGE));
        waits.expect("Ok(())");
        waits.say("take");
        waits.expect(&format!("Some({LARGE})"));
        waits.say("done");
        waits.expect("Ok(())");
        waits.say("end");
        waits.join();
        scene.expect_no_blocks();
    });
}

#[test]
fn a_queue_in_a_segment_that_grows_takes_memory_as_it_needs_it() {
    let segment = Options::new(1 << 18).max(64 << 20).anonymous().unwrap();
    let spec = shmkit::MessageSpec::new(4, 32 << 20).initial(1 << 16);
    let queue = shmkit::Objects::message_queue(&segment, "messages", spec).unwrap();
    assert!(queue.heap().check().unwrap().uncommitted > 31 << 20);
    let most = queue.max_len();
    assert!(most > 31 << 20, "{most}");
    let large = vec![3; most as usize / 2];
    queue.put(&large).unwrap();
    assert_eq!(*queue.take().unwrap(), large);
    assert!(queue.heap().check().unwrap().uncommitted < 17 << 20);
}
