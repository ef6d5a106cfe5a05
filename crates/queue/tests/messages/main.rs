//! One process at a queue of messages: what its operations say, one thread or several.
#![cfg(not(loom))]

mod corrupt;
mod deaths;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Region, ShapeError};
use shmkit_queue::{Delivery, MessageQueue, MessageSpec, QueueError};
use shmkit_roster::model::ModelJudge;
use shmkit_wait::Ready;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(30);
/// Bytes of the heap: a page of 4 KiB is for tables, and a little more.
const BYTES: u64 = 1 << 17;
/// A wait that is in vain ends.
const LIMIT: Duration = Duration::from_secs(10);

/// A queue in memory of its own, and three participants.
struct Scene {
    words: Vec<AtomicU64>,
    judges: Vec<ModelJudge>,
    capacity: u64,
}

impl Scene {
    fn new(spec: MessageSpec, capacity: u64) -> Self {
        let words = (0..(BYTES * 2) / 8).map(|_| AtomicU64::new(0)).collect();
        let this = Self { words, judges: ModelJudge::new(3), capacity };
        // SAFETY: zeros that nobody else uses.
        unsafe { MessageQueue::init(this.region(), spec, &this.judges[0]) }.unwrap();
        this
    }

    fn of(capacity: u64) -> Self {
        Self::new(MessageSpec::new(capacity, BYTES), capacity)
    }

    fn region(&self) -> Region<'_> {
        // Aligned as a heap is.
        let skip = self.words.as_ptr().cast::<u8>().align_offset(4096);
        let base = NonNull::from(&self.words[skip / 8]).cast();
        // SAFETY: atomics, borrowed for as long.
        unsafe { Region::from_raw_parts(base, self.words.len() * 8 - 4096) }
    }

    /// The queue as participant `who` has it.
    fn queue(&self, who: usize) -> MessageQueue<&ModelJudge> {
        // SAFETY: made by `new`, and judged by judges of one model.
        unsafe { MessageQueue::attach(self.region(), self.capacity, &self.judges[who]) }.unwrap()
    }
}

/// A message of so many bytes, which says how many.
fn message(len: usize) -> Vec<u8> {
    (0..len).map(|i| (len.wrapping_mul(31) + i) as u8).collect()
}

/// Lengths at every edge: none, what lies inside, small blocks, whole pages.
const LENGTHS: [usize; 12] = [0, 1, 8, 103, 104, 105, 106, 500, 4096, 4097, 10_000, 64_000];

/// How many blocks of its heap a queue has, when nobody has reserved one.
fn blocks(queue: &MessageQueue<&ModelJudge>) -> u64 {
    let account = queue.heap().check().unwrap();
    assert_eq!(account.reserved_blocks, 0, "{account}");
    assert!(account.is_complete());
    account.kept_blocks
}

#[test]
fn messages_of_any_length_come_whole_and_in_order() {
    let scene = Scene::of(4);
    let (here, there) = (scene.queue(0), scene.queue(1));
    for round in 0..40 {
        let (first, second) = (LENGTHS[round % 12], LENGTHS[(round * 5 + 1) % 12]);
        here.put(&message(first)).unwrap();
        here.try_put(&message(second)).unwrap();
        assert_eq!(there.len(), Ok(2));
        let lease = there.take().unwrap();
        assert_eq!(&*lease, message(first));
        lease.done().unwrap();
        assert_eq!(there.try_get(), Ok(message(second)));
    }
    assert_eq!(blocks(&here), 0, "all memory is back");
    assert_eq!(here.try_get(), Err(QueueError::Empty));
    assert_eq!(here.get_timeout(SHORT), Err(QueueError::TimedOut));
    assert_eq!(here.try_join(), Ok(()));
}

#[test]
fn a_message_larger_than_the_queue_is_an_error_of_the_call() {
    let scene = Scene::of(4);
    let queue = scene.queue(0);
    let most = queue.max_len();
    assert!((100_000..BYTES).contains(&most), "{most}");
    let longer = message(most as usize + 1);
    let too_long = Err(QueueError::TooLong { length: most + 1, most });
    assert_eq!(queue.put(&longer), too_long);
    assert_eq!(queue.try_put(&longer), too_long);
    assert!(queue.room_for(most as usize + 1).is_ready(true), "there is something to be told");
    // Whatever small ones were there before, it has all pages then.
    for len in LENGTHS {
        queue.put(&message(len)).unwrap();
        queue.get().unwrap();
    }
    queue.put(&message(most as usize)).unwrap();
    assert_eq!(queue.get(), Ok(message(most as usize)));
}

#[test]
fn que_20_and_squ_04_who_puts_waits_for_memory_as_for_a_slot() {
    let scene = Scene::of(4);
    let (here, there) = (scene.queue(0), scene.queue(1));
    here.put(&message(64_000)).unwrap();
    assert_eq!(here.try_put(&message(64_001)), Err(QueueError::Full));
    let start = Instant::now();
    assert_eq!(here.put_timeout(&message(64_001), SHORT), Err(QueueError::TimedOut));
    assert!(start.elapsed() >= SHORT);
    assert!(!here.room_for(64_001).is_ready(true) && here.room_for(100).is_ready(true));
    assert_eq!(here.is_full(), Ok(false), "there is room for small ones");
    here.put(&message(100)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| here.put_timeout(&message(64_001), LONG).unwrap());
        assert_eq!(there.get_timeout(LONG), Ok(message(64_000)));
        assert_eq!(there.get_timeout(LONG), Ok(message(100)));
        assert_eq!(there.get_timeout(LONG), Ok(message(64_001)));
    });
    assert!(here.room_for(64_001).is_ready(true));
    for _ in 0..4 {
        here.put(&message(200)).unwrap();
    }
    assert_eq!(here.try_put(&message(200)), Err(QueueError::Full), "of slots");
    assert_eq!(here.put_timeout(&message(200), SHORT), Err(QueueError::TimedOut));
    assert_eq!(blocks(&here), 4, "nothing of what was not put is left");
    assert!(!here.room_for(1).is_ready(true));
}

#[test]
fn who_is_done_rings_for_who_waits_for_memory() {
    let scene = Scene::of(4);
    let (here, there) = (scene.queue(0), scene.queue(1));
    let bell = || scene.region().read::<u32>(shmkit_layout::Offset::new(8).unwrap()).unwrap();
    here.put(&message(64_000)).unwrap();
    let room = here.room_for(64_001);
    let _ = room.source(); // As who is about to sleep does.
    let armed = bell();
    assert!(!room.is_ready(false));
    assert_eq!(bell(), armed, "nobody has rung yet");
    there.get().unwrap();
    assert_ne!(bell(), armed);
}

#[test]
fn what_is_longer_than_the_buffer_stays() {
    let scene = Scene::of(4);
    let queue = scene.queue(0);
    for len in [50, 5000] {
        queue.put(&message(len)).unwrap();
        queue.put(b"next").unwrap();
        let mut buffer = vec![0; len];
        let too_short = Err(QueueError::TooShort { length: len as u64 });
        assert_eq!(queue.get_into(&mut buffer[..len - 1]), too_short);
        assert_eq!(queue.try_get_into(&mut []), too_short);
        assert_eq!(queue.get_into_timeout(&mut buffer, LONG), Ok(len));
        assert_eq!(buffer, message(len));
        assert_eq!(queue.get_into_deadline(&mut buffer, Instant::now()), Ok(4));
        assert_eq!(&buffer[..4], b"next");
    }
    assert_eq!((blocks(&queue), queue.stats().redelivered), (0, 4));
}

#[test]
fn a_message_that_is_given_back_comes_before_all_others() {
    let scene = Scene::of(4);
    let queue = scene.queue(0);
    for len in [1000, 2000] {
        queue.put(&message(len)).unwrap();
    }
    drop(queue.take().unwrap());
    queue.take().unwrap().give_back().unwrap();
    assert_eq!(queue.try_join(), Err(QueueError::TimedOut));
    assert_eq!(queue.get(), Ok(message(1000)));
    let last = queue.take_timeout(LONG).unwrap();
    assert_eq!(format!("{last:?}").len(), format!("MessageLease({:?})", message(2000)).len());
    last.done().unwrap();
    assert_eq!((queue.join(), blocks(&queue)), (Ok(()), 0));
}

#[test]
fn squ_01_03_a_closed_queue_takes_nothing_and_drains() {
    let scene = Scene::of(4);
    let (here, there) = (scene.queue(0), scene.queue(1));
    here.put(&message(64_000)).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| here.put_timeout(&message(64_001), LONG));
        while !there.heap().check().unwrap().is_complete() || there.len() != Ok(1) {
            thread::yield_now();
        }
        there.close().unwrap();
        there.close().unwrap();
        assert_eq!(waits.join().unwrap(), Err(QueueError::Closed));
    });
    for len in [1, 1000] {
        assert_eq!(here.put(&message(len)), Err(QueueError::Closed));
        assert_eq!(here.try_put(&message(len)), Err(QueueError::Closed));
    }
    assert!(here.is_closed() && here.is_empty() == Ok(false));
    assert_eq!(there.get(), Ok(message(64_000)));
    assert_eq!(there.get(), Err(QueueError::Closed));
    assert_eq!(blocks(&here), 0);
}

/// Two put so many messages each, which are so long, while two others take them.
fn pass(capacity: u64, each: usize, length: impl Fn(usize, usize) -> usize + Sync) {
    let scene = Scene::of(capacity);
    let queues = [scene.queue(0), scene.queue(1)];
    let got = AtomicU64::new(0);
    thread::scope(|scope| {
        let (queues, got, length) = (&queues, &got, &length);
        let putting: Vec<_> = (0..2)
            .map(|who| {
                scope.spawn(move || {
                    for i in 0..each {
                        queues[who].put_timeout(&message(length(i, who)), LIMIT).unwrap();
                    }
                })
            })
            .collect();
        for queue in queues {
            scope.spawn(move || {
                while let Ok(lease) = queue.take_timeout(LIMIT) {
                    assert_eq!(*lease, *message(lease.len()));
                    lease.done().unwrap();
                    got.fetch_add(1, Relaxed);
                }
            });
        }
        putting.into_iter().for_each(|thread| thread.join().unwrap());
        queues[0].close().unwrap();
    });
    assert_eq!(got.into_inner(), 2 * each as u64);
    assert_eq!(blocks(&queues[0]), 0);
}

#[test]
fn threads_put_and_take_at_once_and_nothing_is_lost() {
    pass(5, 2000, |i, who| LENGTHS[(i * 7 + who) % 11]);
}

#[test]
fn a_slot_that_is_free_has_no_block_that_somebody_is_about_to_free() {
    // The next one waits for the only slot.
    pass(1, 10_000, |_, _| 200);
}

#[test]
fn a_queue_says_how_it_was_made() {
    let scene = Scene::new(MessageSpec::new(3, BYTES).delivery(Delivery::AtMostOnce), 3);
    let queue = scene.queue(0);
    assert_eq!((queue.capacity(), queue.delivery()), (3, Delivery::AtMostOnce));
    assert_eq!(
        (queue.is_empty(), queue.is_full(), queue.clone().len()),
        (Ok(true), Ok(false), Ok(0))
    );
    let shown = format!("{queue:?}");
    assert!(shown.starts_with("MessageQueue { capacity: 3"), "{shown}");
    for (capacity, bytes) in [(0, BYTES), (1 << 24, BYTES), (1, 1 << 15), (1, 1 << 44)] {
        let spec = MessageSpec::new(capacity, bytes);
        let shape = <MessageQueue<&ModelJudge> as Object<_>>::shape(&spec, 3);
        assert!(matches!(shape, Err(ShapeError::Length { .. })), "{shape:?}");
    }
    let part = MessageSpec::new(1, 1 << 30).initial(1 << 16);
    let shape = <MessageQueue<&ModelJudge> as Object<_>>::shape(&part, 3).unwrap();
    let there = <MessageQueue<&ModelJudge> as Object<_>>::committed(&part, &shape);
    assert!(there < shape.bytes / 32, "{there} of {}", shape.bytes);
}

#[cfg(feature = "serde")]
#[test]
fn que_12_13_a_value_that_cannot_be_encoded_is_an_error_of_the_call() {
    use shmkit_queue::ValueError;

    struct Refuses;

    impl serde::Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not this one"))
        }
    }

    let scene = Scene::of(1);
    let queue = scene.queue(0);
    let refused = queue.put_value(&Refuses);
    assert!(matches!(refused, Err(ValueError::Encode { .. })), "{refused:?}");
    queue.put_value(&true).unwrap();
    assert_eq!((queue.len(), queue.get_value()), (Ok(1), Ok(true)));
}

#[cfg(feature = "serde")]
#[test]
fn values_of_any_type_are_messages() {
    use shmkit_queue::ValueError;

    let scene = Scene::of(2);
    let queue = scene.queue(0);
    queue.put_value(&("burger", vec![1.5; 100])).unwrap();
    queue.try_put_value("cola").unwrap();
    let full = Err(ValueError::Transport(QueueError::Full));
    assert_eq!(queue.try_put_value(&1_u8), full);
    assert_eq!(
        queue.put_value_timeout(&1_u8, SHORT),
        Err(ValueError::Transport(QueueError::TimedOut))
    );
    let wrong = queue.try_get_value::<u8>();
    assert!(matches!(wrong, Err(ValueError::Decode { type_name: "u8", .. })), "{wrong:?}");
    let lease = queue.take().unwrap();
    assert!(lease.value::<u64>().is_err(), "it stays");
    assert_eq!(lease.value::<String>().unwrap(), "cola");
    lease.done().unwrap();
    let empty = Err(ValueError::Transport(QueueError::Empty));
    assert_eq!(queue.try_get_value::<String>(), empty);
    queue.put_value_deadline(&7_u64, Instant::now()).unwrap();
    assert_eq!(queue.get_value_timeout::<u64>(LONG), Ok(7));
}
