//! One process at a queue with an order of its own: what its operations say, one thread or several.
#![cfg(not(loom))]

use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_queue::{
    ByPriority, LifoQueue, NewestFirst, Order, OrderedQueue, PriorityQueue, QueueError,
};
use shmkit_roster::model::ModelJudge;
use shmkit_wait::Ready;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(30);

/// Where the words are.
const MUTEX: u64 = 0;
const CAPACITY: u64 = 16;
const LEN: u64 = 48;
const LINE: u64 = 128;

/// A queue in memory of its own, and three participants.
struct Scene {
    words: Vec<AtomicU64>,
    judges: Vec<ModelJudge>,
    capacity: u64,
}

impl Scene {
    fn new<O: Order>(capacity: u64) -> Self {
        let words = (0..4096).map(|_| AtomicU64::new(0)).collect();
        let this = Self { words, judges: ModelJudge::new(3), capacity };
        // SAFETY: zeros that nobody else uses.
        unsafe { OrderedQueue::<u64, O, _>::init(this.region(), capacity, &this.judges[0]) }
            .unwrap();
        this
    }

    fn region(&self) -> Region<'_> {
        // Aligned as a queue is.
        let skip = self.words.as_ptr().cast::<u8>().align_offset(128);
        let base = NonNull::from(&self.words[skip / 8]).cast();
        // SAFETY: atomics, borrowed for as long.
        unsafe { Region::from_raw_parts(base, (self.words.len() - 16) * 8) }
    }

    /// The queue as participant `who` has it.
    fn queue<O: Order>(&self, who: usize) -> OrderedQueue<u64, O, &ModelJudge> {
        // SAFETY: made by `new`, and judged by judges of one model.
        unsafe { OrderedQueue::attach(self.region(), self.capacity, &self.judges[who]) }.unwrap()
    }

    fn write(&self, at: u64, word: u32) {
        self.region().write(Offset::<u32>::new(at).unwrap(), word).unwrap();
    }
}

fn stack(capacity: u64) -> Scene {
    Scene::new::<NewestFirst>(capacity)
}

fn jobs(capacity: u64) -> Scene {
    Scene::new::<ByPriority>(capacity)
}

/// Takes all there is.
fn drain<O: Order>(queue: &OrderedQueue<u64, O, &ModelJudge>) -> Vec<O::Item<u64>> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

#[test]
fn que_01_to_03_a_queue_of_six_takes_six() {
    let scene = stack(6);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    assert_eq!((queue.is_empty(), queue.is_full(), queue.capacity()), (true, false, 6));
    queue.put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.put_timeout(3, Duration::ZERO).unwrap();
    queue.put_deadline(4, Instant::now()).unwrap();
    assert_eq!(queue.try_put_batch(&[5, 6, 7]), Ok(2));
    assert_eq!((queue.is_empty(), queue.is_full(), queue.len()), (false, true, 6));
    let refused = queue.try_put(7).unwrap_err();
    assert_eq!((refused.value, refused.error), (7, QueueError::Full));
    let start = Instant::now();
    assert_eq!(queue.put_timeout(7, SHORT).unwrap_err().error, QueueError::TimedOut);
    assert_eq!(queue.put_all_timeout(&[7], SHORT).unwrap_err().put, 0);
    assert!(start.elapsed() >= 2 * SHORT);
    assert_eq!(drain(&queue), [6, 5, 4, 3, 2, 1]);
}

#[test]
fn que_06_and_11_who_takes_from_an_empty_one_is_told() {
    let scene = jobs(2);
    let queue: PriorityQueue<u64, _> = scene.queue(0);
    assert_eq!(queue.try_get(), Err(QueueError::Empty));
    assert_eq!(queue.try_get_batch(&mut [(0, 0); 2]), Err(QueueError::Empty));
    let start = Instant::now();
    assert_eq!(queue.get_timeout(SHORT), Err(QueueError::TimedOut));
    assert_eq!(queue.get_batch_timeout(&mut [(0, 0)], SHORT), Err(QueueError::TimedOut));
    assert!(start.elapsed() >= 2 * SHORT);
}

#[test]
fn que_08_the_length_counts_what_was_put_and_not_taken() {
    let scene = stack(6);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    let mut lengths = Vec::new();
    for value in 0..2 {
        queue.put(value).unwrap();
        lengths.push(queue.len());
    }
    for _ in 0..2 {
        queue.get().unwrap();
        lengths.push(queue.len());
    }
    assert_eq!(lengths, [1, 2, 1, 0]);
}

#[test]
fn the_least_priority_comes_first_and_of_equal_ones_what_was_put_first() {
    let scene = jobs(1000);
    let queue: PriorityQueue<u64, _> = scene.queue(0);
    // A generator that repeats itself: numbers that look like chance.
    let mut seed = 7_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let mut expected = Vec::new();
    let mut taken = Vec::new();
    for number in 0..1500 {
        let item = ((random() % 20) as i64 - 10, number);
        queue.put(item).unwrap();
        expected.push(item);
        if random() % 2 == 0 {
            // What is least now: of the pairs, which are all different.
            let least = *expected.iter().min().unwrap();
            expected.retain(|&other| other != least);
            taken.push((queue.get().unwrap(), least));
        }
    }
    assert!(taken.iter().all(|(found, least)| found == least));
    expected.sort_unstable();
    assert_eq!(drain(&queue), expected);
    queue.put_all(&[(i64::MAX, 1), (i64::MIN, 2)]).unwrap();
    assert_eq!(drain(&queue), [(i64::MIN, 2), (i64::MAX, 1)]);
}

#[test]
fn what_was_put_last_comes_first_whatever_was_taken_between() {
    let scene = stack(4);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    queue.put_all(&[1, 2, 3]).unwrap();
    assert_eq!(queue.get(), Ok(3));
    queue.put_all(&[4, 5]).unwrap();
    let mut batch = [0; 3];
    assert_eq!((queue.get_batch(&mut batch), batch), (Ok(3), [5, 4, 2]));
    queue.put(6).unwrap();
    assert_eq!(drain(&queue), [6, 1]);
}

#[test]
fn que_16_and_squ_03_a_closed_queue_takes_nothing_and_gives_what_it_has() {
    let scene = stack(4);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    queue.put(1).unwrap();
    queue.close().unwrap();
    queue.close().unwrap();
    assert_eq!(queue.put(2).unwrap_err().error, QueueError::Closed);
    assert_eq!(queue.try_put_batch(&[2]), Err(QueueError::Closed));
    assert_eq!((queue.get(), queue.get()), (Ok(1), Err(QueueError::Closed)));
    assert_eq!((queue.try_get(), queue.is_closed()), (Err(QueueError::Closed), true));
}

#[test]
fn a_close_wakes_all_who_sleep() {
    let scene = stack(1);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    thread::scope(|scope| {
        let takers: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.get_timeout(LONG))).collect();
        thread::sleep(SHORT);
        queue.close().unwrap();
        for taker in takers {
            assert_eq!(taker.join().unwrap(), Err(QueueError::Closed));
        }
    });
}

#[test]
fn que_25_two_put_and_two_take_everything_once() {
    const EACH: u64 = 20_000;
    let scene = jobs(16);
    thread::scope(|scope| {
        let takers: Vec<_> = (0..2)
            .map(|who| {
                let queue: PriorityQueue<u64, _> = scene.queue(who);
                scope.spawn(move || {
                    let mut all = Vec::new();
                    while let Ok((_, value)) = queue.get_timeout(LONG) {
                        all.push(value);
                    }
                    all
                })
            })
            .collect();
        let putters: Vec<_> = (0..2)
            .map(|who| {
                let queue: PriorityQueue<u64, _> = scene.queue(who as usize);
                scope.spawn(move || {
                    for value in who * EACH..(who + 1) * EACH {
                        queue.put_timeout(((value % 3) as i64, value), LONG).unwrap();
                    }
                })
            })
            .collect();
        putters.into_iter().for_each(|putter| putter.join().unwrap());
        scene.queue::<ByPriority>(0).close().unwrap();
        let mut all: Vec<u64> =
            takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, Vec::from_iter(0..2 * EACH));
    });
}

#[test]
fn que_26_a_time_that_has_passed_is_enough_for_what_is_there() {
    let scene = stack(1);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    queue.put_deadline(1, Instant::now() - SHORT).unwrap();
    assert_eq!(queue.get_timeout(Duration::ZERO), Ok(1));
}

#[test]
fn what_a_dead_owner_of_the_lock_left_is_put_in_line_again() {
    let scene = jobs(6);
    let queue: PriorityQueue<u64, _> = scene.queue(0);
    queue.put_all(&[(3, 3), (1, 1), (2, 2)]).unwrap();
    // Somebody has died over it, and the line and the length are anything.
    for place in 0..6 {
        scene.write(LINE + 4 * place, 77);
    }
    scene.write(LEN, 1000);
    scene.write(MUTEX, 3);
    scene.judges[2].die();
    assert_eq!(queue.get_timeout(LONG), Ok((1, 1)));
    queue.put((0, 0)).unwrap();
    assert_eq!(queue.len(), 3);
    assert_eq!(drain(&queue), [(0, 0), (2, 2), (3, 3)]);
}

#[test]
fn who_does_not_wait_does_not_wait_for_a_stopped_one_for_ever() {
    let scene = stack(6);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    scene.write(MUTEX, 3); // Alive, and in the middle of an operation.
    assert_eq!(queue.try_get(), Err(QueueError::Empty));
    assert_eq!(queue.put_timeout(1, SHORT).unwrap_err().error, QueueError::TimedOut);
}

#[test]
fn what_no_peer_writes_is_told() {
    let corrupt = |found: Result<(), QueueError>, expected| matches!(found, Err(QueueError::Corrupt { field, .. }) if field == expected);
    let of = |at, word| {
        let scene = stack(4);
        scene.queue::<NewestFirst>(0).put_all(&[1, 2]).unwrap();
        scene.write(at, word);
        scene
    };
    for (at, word, field) in [(LEN, 5, "length"), (LEN, u32::MAX, "length")] {
        let scene = of(at, word);
        let queue: LifoQueue<u64, _> = scene.queue(0);
        assert!(corrupt(queue.get().map(drop), field), "{word:#x}");
        assert!(corrupt(queue.put(3).map_err(|e| e.error), field), "{word:#x}");
        assert!(queue.len() <= 4);
    }
    // A slot that is not there, an empty one among the full ones, a full one among the empty ones.
    for (place, word) in [(0, 4), (0, 3), (2, 0)] {
        let scene = of(LINE + 4 * place, word);
        let queue: LifoQueue<u64, _> = scene.queue(0);
        let found = match place {
            0 => queue.get().map(drop),
            _ => queue.put(3).map_err(|e| e.error),
        };
        assert!(corrupt(found, "line"), "{place}: {word}");
    }
    let scene = of(MUTEX, 1000);
    assert!(corrupt(scene.queue::<NewestFirst>(0).get().map(drop), "lock"));
}

#[test]
fn what_cannot_be_made_or_found_is_refused() {
    type Stack = LifoQueue<u64, &'static ModelJudge>;
    for capacity in [0, 1 << 24, u64::MAX] {
        let shape = <Stack as Object<_>>::shape(&capacity, 4);
        assert!(matches!(shape, Err(ShapeError::Length { .. })), "{capacity}");
    }
    let scene = stack(4);
    scene.write(CAPACITY, 5);
    // SAFETY: as in `Scene::queue`.
    let found = unsafe { LifoQueue::<u64, _>::attach(scene.region(), 4, &scene.judges[0]) };
    assert!(matches!(found, Err(ShapeError::Corrupt { field: "capacity", found: 5 })));
    assert_ne!(
        <Stack as Object<_>>::KIND,
        <PriorityQueue<u64, &'static ModelJudge> as Object<_>>::KIND
    );
}

#[test]
fn a_forked_child_has_no_part_in_it() {
    let scene = stack(4);
    let child = scene.judges[1].forked();
    // SAFETY: as in `Scene::queue`.
    let queue = unsafe { LifoQueue::<u64, _>::attach(scene.region(), 4, &child) }.unwrap();
    assert_eq!(queue.put(1).unwrap_err().error, QueueError::NotJoined);
    assert_eq!(
        (queue.get(), queue.close()),
        (Err(QueueError::NotJoined), Err(QueueError::NotJoined))
    );
}

#[test]
fn it_is_ready_when_something_can_be_taken_and_its_room_when_something_can_be_put() {
    let scene = stack(1);
    let queue: LifoQueue<u64, _> = scene.queue(0);
    assert!(!queue.is_ready(true) && queue.room().is_ready(true));
    queue.put(1).unwrap();
    assert!(queue.is_ready(true) && !queue.room().is_ready(true));
    queue.close().unwrap();
    assert!(queue.room().is_ready(false), "it is something to be told");
}
