//! Queues between processes, freshly executed and forked.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use shmkit::{Delivery, Options, Queue, QueueError, QueueSpec, Segment};
use shmkit_tests::queue::{CAPACITY, make, make_by};

use crate::support::{By, Peer, wait_until};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// A queue, and what is needed to start peers at it.
struct Scene {
    segment: Segment,
    queue: Queue<u64>,
    by: By,
}

impl Scene {
    #[track_caller]
    fn peer(&self, script: &str, args: &[&str]) -> Peer {
        self.by.peer(&format!("queue/{script}"), args, &self.segment)
    }

    /// A peer that does as it is told.
    #[track_caller]
    fn obedient(&self) -> Peer {
        let mut peer = self.peer("obey", &[]);
        peer.expect("ready");
        peer
    }
}

/// Plays a scene with freshly executed peers and with forked ones, each in a segment of its own.
fn both_of(delivery: Delivery, play: impl Fn(&Scene)) {
    for by in By::ALL {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        let queue = make(&segment, delivery).unwrap();
        play(&Scene { segment, queue, by });
    }
}

fn both(play: impl Fn(&Scene)) {
    both_of(Delivery::AtLeastOnce, play);
}

#[test]
fn que_07_a_childs_items_come_after_its_parents() {
    both(|scene| {
        for value in 0..5 {
            scene.queue.put(value).unwrap();
        }
        let peer = scene.peer("put", &["5", "20"]);
        for value in 0..20 {
            assert_eq!(scene.queue.get_timeout(LONG), Ok(value));
        }
        peer.join();
        assert_eq!(scene.queue.try_get(), Err(QueueError::Empty));
    });
}

#[test]
fn que_25_and_squ_05_items_of_three_producers_come_whole_and_in_order() {
    both(|scene| {
        let peers: Vec<_> = (0..3)
            .map(|i| {
                scene
                    .peer("put", &[&(i * 100_000).to_string(), &(i * 100_000 + 10_000).to_string()])
            })
            .collect();
        let mut next = [0, 100_000, 200_000];
        for _ in 0..30_000 {
            let value = scene.queue.get_timeout(LONG).unwrap();
            let expected = &mut next[(value / 100_000) as usize];
            assert_eq!(value, *expected);
            *expected += 1;
        }
        peers.into_iter().for_each(Peer::join);
        assert_eq!(scene.queue.len(), Ok(0));
    });
}

#[test]
fn que_20_and_22_who_puts_into_a_full_one_waits_and_an_exit_leaves_what_was_put() {
    both(|scene| {
        let peer = scene.peer("put", &["0", &(CAPACITY + 1).to_string()]);
        peer.wait_until_in_futex();
        assert_eq!(scene.queue.is_full(), Ok(true));
        assert_eq!(scene.queue.get(), Ok(0));
        peer.join();
        // It has ended, and there is nothing to be flushed.
        for value in 1..=CAPACITY {
            assert_eq!(scene.queue.try_get(), Ok(value));
        }
    });
}

#[test]
fn que_23_a_killed_readers_item_comes_again() {
    both(|scene| {
        scene.queue.put(1).unwrap();
        let mut reader = scene.obedient();
        reader.say("take");
        reader.expect("Some(1)");
        // Killed asleep in a get, another one has nothing.
        let mut sleeper = scene.obedient();
        sleeper.say("get");
        sleeper.wait_until_in_futex();
        sleeper.kill();
        reader.kill();
        let start = Instant::now();
        assert_eq!(scene.queue.get_timeout(LONG), Ok(1));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        scene.queue.put(2).unwrap();
        assert_eq!(scene.queue.get_timeout(LONG), Ok(2));
        assert_eq!(scene.queue.stats().redelivered, 1);
    });
}

#[test]
fn que_23_at_most_once_a_killed_readers_item_is_lost_and_counted() {
    both_of(Delivery::AtMostOnce, |scene| {
        for value in 1..=CAPACITY {
            scene.queue.put(value).unwrap();
        }
        let mut reader = scene.obedient();
        reader.say("take");
        reader.expect("Some(1)");
        // It has the place whose turn is next.
        let mut putter = scene.obedient();
        putter.say("put 7");
        putter.wait_until_in_futex();
        reader.kill();
        putter.expect("Ok(())");
        assert_eq!(
            (2..=7).map(|_| scene.queue.get().unwrap()).collect::<Vec<_>>(),
            [2, 3, 4, 5, 6, 7]
        );
        assert_eq!(scene.queue.stats().lost, 1);
        putter.say("end");
        putter.join();
    });
}

#[test]
fn a_sleeping_taker_gets_what_a_killed_one_had() {
    both(|scene| {
        scene.queue.put(1).unwrap();
        let [mut first, mut second] = [scene.obedient(), scene.obedient()];
        first.say("take");
        first.expect("Some(1)");
        second.say("get");
        second.wait_until_in_futex();
        first.kill();
        second.expect("Ok(1)");
        second.say("end");
        second.join();
    });
}

#[test]
fn whoever_knows_of_a_death_has_the_dead_ones_item_given_back_at_once() {
    both(|scene| {
        scene.queue.put(1).unwrap();
        let mut reader = scene.obedient();
        reader.say("take");
        reader.expect("Some(1)");
        assert_eq!(scene.queue.look_for_dead(), Ok(true));
        assert_eq!(scene.queue.stats().redelivered, 0, "it lives");
        reader.kill();
        assert_eq!(scene.queue.look_for_dead(), Ok(true));
        assert_eq!(scene.queue.stats().redelivered, 1);
        assert_eq!(scene.queue.try_get(), Ok(1));
    });
}

#[test]
fn que_09_who_joins_waits_for_the_living_and_not_for_the_dead() {
    both(|scene| {
        for value in 1..=3 {
            scene.queue.put(value).unwrap();
        }
        let [mut joiner, mut first, mut second] =
            [scene.obedient(), scene.obedient(), scene.obedient()];
        first.say("take");
        first.expect("Some(1)");
        second.say("take");
        second.expect("Some(2)");
        joiner.say("join");
        joiner.wait_until_in_futex();
        assert_eq!(scene.queue.get(), Ok(3));
        second.say("done");
        second.expect("Ok(())");
        joiner.wait_until_in_futex();
        first.kill();
        second.say("get");
        second.expect("Ok(1)");
        joiner.expect("Ok(())");
        for mut peer in [joiner, second] {
            peer.say("end");
            peer.join();
        }
    });
}

/// Returns how many threads these have that are not the main ones, and how many of them sleep in a futex.
fn threads(peers: &[Peer]) -> (usize, usize) {
    let of = |peer: &Peer| {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", peer.pid())).unwrap();
        let calls = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("syscall")));
        // One that ends meanwhile has none.
        let calls: Vec<String> = calls.filter_map(Result::ok).collect();
        let futex = format!("{} ", libc::SYS_futex);
        let asleep = calls.iter().filter(|call| call.starts_with(&futex)).count();
        // The main one sleeps in one as well, until the others have ended.
        (calls.len() - 1, asleep.saturating_sub(1))
    };
    peers.iter().map(of).fold((0, 0), |(all, asleep), (a, s)| (all + a, asleep + s))
}

#[test]
fn of_a_thousand_who_sleep_an_item_is_for_one() {
    const EACH: usize = 250;
    const ALL: usize = 4 * EACH;
    let segment = Options::new(1 << 16).anonymous().unwrap();
    let queue = make(&segment, Delivery::AtLeastOnce).unwrap();
    let mut peers: Vec<Peer> = By::ALL
        .into_iter()
        .cycle()
        .take(ALL / EACH)
        .map(|by| by.peer("queue/sleep", &[&EACH.to_string()], &segment))
        .collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));
    // Nearly all of them at one moment: one or two may just be awake, at the end of a slice.
    wait_until(|| threads(&peers).1 + 5 > ALL);
    queue.put(1).unwrap();
    wait_until(|| queue.len() == Ok(0) && threads(&peers).0 < ALL);
    assert_eq!(threads(&peers).0, ALL - 1, "one has it, the others go on sleeping");
    for value in 2..=ALL as u64 {
        queue.put_timeout(value, LONG).unwrap();
    }
    let sums = peers.into_iter().map(|mut peer| {
        let sum: u64 = peer.hear().parse().unwrap();
        peer.join();
        sum
    });
    assert_eq!(sums.sum::<u64>(), (1..=ALL as u64).sum::<u64>());
    assert_eq!(queue.try_join(), Ok(()));
}

#[test]
fn a_close_wakes_all_who_sleep() {
    both(|scene| {
        let mut peers: Vec<_> = (0..3).map(|_| scene.obedient()).collect();
        for peer in &mut peers {
            peer.say("get");
            peer.wait_until_in_futex();
        }
        scene.queue.close().unwrap();
        for mut peer in peers {
            peer.expect("Err(Closed)");
            peer.say("put 1");
            peer.expect("Err(Closed)");
            peer.say("end");
            peer.join();
        }
    });
}

#[test]
fn a_stopped_taker_is_alive_and_keeps_its_item() {
    both(|scene| {
        scene.queue.put(1).unwrap();
        let mut peer = scene.obedient();
        peer.say("take");
        peer.expect("Some(1)");
        peer.stop();
        assert_eq!(scene.queue.get_timeout(Duration::from_millis(100)), Err(QueueError::TimedOut));
        peer.resume();
        peer.say("give-back");
        peer.expect("Ok(())");
        assert_eq!(scene.queue.get(), Ok(1));
        peer.say("end");
        peer.join();
    });
}

#[test]
fn five_killed_one_after_the_other_lose_nothing_of_what_they_worked_on() {
    both(|scene| {
        const MOST: u64 = 200;
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for value in 0..MOST {
                    scene.queue.put_timeout(value, LONG).unwrap();
                }
                scene.queue.join_timeout(LONG).unwrap();
                scene.queue.close().unwrap();
            });
            for _ in 0..5 {
                let mut worker = scene.peer("work", &[]);
                worker.expect("ready");
                for _ in 0..10 {
                    seen.push(worker.hear());
                    worker.say("heard");
                }
                // It is at work on the next one, or on its way there.
                worker.kill();
            }
            while let Ok(value) = scene.queue.get() {
                seen.push(value.to_string());
            }
        });
        let seen: BTreeSet<u64> = seen.iter().map(|value| value.parse().unwrap()).collect();
        assert_eq!(seen, BTreeSet::from_iter(0..MOST));
        assert_eq!(scene.queue.stats().lost, 0);
    });
}

#[test]
fn an_item_that_kills_whoever_takes_it_is_a_dead_letter_and_all_others_are_done() {
    for by in By::ALL {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        let queue = make_by(&segment, QueueSpec::new(CAPACITY).give_up_after(3)).unwrap();
        let scene = Scene { segment, queue, by };
        scene.queue.put(13).unwrap();
        for _ in 0..3 {
            let mut victim = scene.obedient();
            victim.say("take");
            victim.expect("Some(13)");
            victim.kill();
        }
        // Who waits meanwhile gets what is good, and not that.
        let mut worker = scene.obedient();
        worker.say("get");
        worker.wait_until_in_futex();
        scene.queue.put(1).unwrap();
        worker.expect("Ok(1)");
        scene.queue.join_timeout(LONG).unwrap();
        let letters = scene.queue.dead_letters().unwrap();
        assert_eq!(
            (letters.get_timeout(LONG), letters.try_get()),
            (Ok(13), Err(QueueError::Empty))
        );
        let stats = scene.queue.stats();
        assert_eq!((stats.given_up, stats.redelivered, stats.lost), (1, 2, 0));
        worker.say("end");
        worker.join();
    }
}
