//! One process at a queue: what its operations say, one thread or several.
#![cfg(not(loom))]

mod corrupt;
mod leases;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Region, ShapeError, ShmSafe};
use shmkit_queue::{Delivery, PutError, Queue, QueueError, QueueSpec};
use shmkit_roster::model::ModelJudge;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(30);

/// A queue in memory of its own, and two participants.
struct Scene {
    words: Vec<AtomicU64>,
    judges: Vec<ModelJudge>,
    spec: QueueSpec,
}

impl Scene {
    fn new(spec: impl Into<QueueSpec>) -> Self {
        let words = (0..4096).map(|_| AtomicU64::new(0)).collect();
        let this = Self { words, judges: ModelJudge::new(3), spec: spec.into() };
        // SAFETY: zeros that nobody else uses.
        unsafe { Queue::<u64, _>::init(this.region(), this.spec, &this.judges[0]) }.unwrap();
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
    fn queue(&self, who: usize) -> Queue<u64, &ModelJudge> {
        let shape = <Queue<u64, &ModelJudge> as Object<_>>::shape(&self.spec, 3).unwrap();
        // SAFETY: made by `new`, and judged by judges of one model.
        unsafe { Queue::attach(self.region(), shape.len, &self.judges[who]) }.unwrap()
    }
}

fn error<T>(put: Result<(), PutError<T>>) -> QueueError {
    put.unwrap_err().error
}

#[test]
fn que_01_to_03_a_queue_of_six_takes_six() {
    let scene = Scene::new(6);
    let queue = scene.queue(0);
    assert_eq!((queue.is_empty(), queue.is_full(), queue.capacity()), (Ok(true), Ok(false), 6));
    queue.put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.put_timeout(3, Duration::ZERO).unwrap();
    queue.put_deadline(4, Instant::now()).unwrap();
    assert_eq!(queue.try_put_batch(&[5, 6, 7]), Ok(2));
    assert_eq!((queue.is_empty(), queue.is_full(), queue.len()), (Ok(false), Ok(true), Ok(6)));
    let refused = queue.try_put(7).unwrap_err();
    assert_eq!((refused.value, refused.error), (7, QueueError::Full));
    assert_eq!(queue.try_put_batch(&[7]), Err(QueueError::Full));
    let start = Instant::now();
    assert_eq!(error(queue.put_timeout(7, SHORT)), QueueError::TimedOut);
    assert!(start.elapsed() >= SHORT);
    let (put, why) = queue.put_all_timeout(&[7], SHORT).map_err(|e| (e.put, e.error)).unwrap_err();
    assert_eq!((put, why), (0, QueueError::TimedOut));
    assert_eq!((0..6).map(|_| queue.get().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn que_06_and_11_who_takes_from_an_empty_one_is_told() {
    let scene = Scene::new(6);
    let queue = scene.queue(0);
    assert_eq!(queue.try_get(), Err(QueueError::Empty));
    assert_eq!(queue.try_take().map(drop), Err(QueueError::Empty));
    assert_eq!(queue.try_get_batch(&mut [0; 2]), Err(QueueError::Empty));
    let start = Instant::now();
    assert_eq!(queue.get_timeout(SHORT), Err(QueueError::TimedOut));
    assert!(start.elapsed() >= SHORT);
    assert_eq!(queue.get_batch(&mut []), Ok(0), "nothing is wanted");
}

#[test]
fn que_08_and_21_what_is_put_is_there_at_once() {
    let scene = Scene::new(6);
    let queue = scene.queue(0);
    let lens = [
        queue.put(1).map(|()| queue.len().unwrap()).unwrap(),
        queue.put(2).map(|()| queue.len().unwrap()).unwrap(),
        queue.get().map(|_| queue.len().unwrap()).unwrap(),
        queue.get().map(|_| queue.len().unwrap()).unwrap(),
    ];
    assert_eq!(lens, [1, 2, 1, 0]);
}

#[test]
fn que_14_to_16_a_closed_queue_takes_nothing_and_drains() {
    let scene = Scene::new(6);
    let queue = scene.queue(0);
    queue.put_all(&[1, 2]).unwrap();
    queue.close().unwrap();
    queue.close().unwrap(); // SQU-03: twice is fine.
    assert!(queue.is_closed() && scene.queue(1).is_closed());
    for refused in [queue.put(3), queue.try_put(3), queue.put_timeout(3, LONG)] {
        assert_eq!(error(refused), QueueError::Closed);
    }
    assert_eq!(queue.try_put_batch(&[3]), Err(QueueError::Closed));
    assert_eq!((queue.get(), scene.queue(1).try_get()), (Ok(1), Ok(2)));
    assert_eq!((queue.get(), queue.try_get()), (Err(QueueError::Closed), Err(QueueError::Closed)));
    assert_eq!(queue.is_empty(), Ok(true));
    assert_eq!(queue.join(), Ok(()));
}

#[test]
fn a_ring_of_any_size_goes_round() {
    for capacity in [1, 2, 3, 5, 6, 7] {
        let scene = Scene::new(capacity);
        let queue = scene.queue(0);
        for value in 0..100 {
            queue.put(value).unwrap();
            assert_eq!(queue.len(), Ok(1));
            assert_eq!(queue.get(), Ok(value));
        }
        let mut values = vec![0; capacity as usize + 1];
        for first in 0..20 {
            let put: Vec<_> = (first..first + capacity + 1).collect();
            assert_eq!(queue.try_put_batch(&put), Ok(capacity as usize));
            assert_eq!(queue.is_full(), Ok(true));
            let mut got = Vec::new();
            while let Ok(count) = queue.try_get_batch(&mut values) {
                got.extend_from_slice(&values[..count]);
            }
            assert_eq!(got, put[..capacity as usize]);
        }
    }
}

#[test]
fn que_25_four_threads_put_30_000_and_none_is_lost() {
    const EACH: u64 = 30_000;
    let scene = Scene::new(16);
    let sums: Vec<_> = thread::scope(|scope| {
        let producers = [0, 1].map(|producer| {
            let queue = scene.queue(producer);
            scope.spawn(move || {
                for value in 0..EACH {
                    queue.put(producer as u64 * EACH + value).unwrap();
                }
            })
        });
        let consumers = [0, 1].map(|consumer| {
            let queue = scene.queue(consumer);
            scope.spawn(move || {
                let (mut last, mut count, mut sum) = ([None, None], 0, 0);
                while let Ok(value) = queue.get() {
                    let (producer, number) = ((value / EACH) as usize, value % EACH);
                    assert!(last[producer].is_none_or(|last| last < number), "out of order");
                    last[producer] = Some(number);
                    (count, sum) = (count + 1, sum + value);
                }
                (count, sum)
            })
        });
        producers.into_iter().for_each(|thread| thread.join().unwrap());
        scene.queue(2).close().unwrap();
        consumers.map(|thread| thread.join().unwrap()).into()
    });
    let (count, sum) = sums.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    assert_eq!((count, sum), (2 * EACH, (0..2 * EACH).sum()));
}

#[test]
fn what_may_not_be_made_is_refused() {
    let refused = |capacity: u64| {
        <Queue<u64, &ModelJudge> as Object<_>>::shape(&capacity.into(), 3).unwrap_err()
    };
    let length = |found| ShapeError::Length { found, min: 1, max: (1 << 24) - 1 };
    assert_eq!(refused(0), length(0));
    assert_eq!(refused(1 << 24), length(1 << 24));
    assert_eq!(refused(u64::MAX), length(u64::MAX));
}

#[test]
fn items_of_every_size_are_whole() {
    fn check<T: ShmSafe + PartialEq + std::fmt::Debug>(values: [T; 3]) {
        let words: Vec<_> = (0..40_000).map(|_| AtomicU64::new(0)).collect();
        let skip = words.as_ptr().cast::<u8>().align_offset(128);
        let base = NonNull::from(&words[skip / 8]).cast();
        // SAFETY: atomics, borrowed for as long.
        let region = unsafe { Region::from_raw_parts(base, (words.len() - 16) * 8) };
        let judges = ModelJudge::new(1);
        // SAFETY: zeros that nobody else uses.
        let queue = unsafe { Queue::<T, _>::init(region, 2.into(), &judges[0]) }.unwrap();
        for _ in 0..3 {
            queue.put(values[0]).unwrap();
            queue.put(values[1]).unwrap();
            assert_eq!(queue.get(), Ok(values[0]));
            queue.put(values[2]).unwrap();
            assert_eq!((queue.get(), queue.get()), (Ok(values[1]), Ok(values[2])));
        }
    }
    check([1_u8, 2, 255]);
    check([[1_u8; 3], [2; 3], [255; 3]]);
    check([1_u128, 2, u128::MAX]);
    check([[1_u64; 7], [2; 7], [3; 7]]);
    check([[1_u64; 126], [2; 126], [3; 126]]);
    check([[1_u64; 127], [2; 127], [3; 127]]);
    check([[1_u8; 70_000], [2; 70_000], [3; 70_000]]);
    check([(), (), ()].map(|()| [0_u64; 0]));
}

#[test]
fn a_forked_child_is_told_to_join() {
    let scene = Scene::new(2);
    let queue = scene.queue(0);
    queue.put(1).unwrap();
    let child = scene.judges[0].forked();
    // SAFETY: as in `Scene::queue`.
    let copy = unsafe { Queue::<u64, _>::attach(scene.region(), 2, &child) }.unwrap();
    assert_eq!(error(copy.put(2)), QueueError::NotJoined);
    assert_eq!(
        (copy.get(), copy.join(), copy.close()),
        (Err(QueueError::NotJoined), Err(QueueError::NotJoined), Err(QueueError::NotJoined))
    );
}

#[test]
fn errors_are_what_the_standard_library_calls_them() {
    use std::io::{Error, ErrorKind};
    let kinds = [
        (QueueError::Full, ErrorKind::WouldBlock),
        (QueueError::Empty, ErrorKind::WouldBlock),
        (QueueError::TimedOut, ErrorKind::TimedOut),
        (QueueError::Closed, ErrorKind::BrokenPipe),
        (QueueError::Interrupted, ErrorKind::ConnectionAborted),
        (QueueError::Corrupt { field: "head", found: 7 }, ErrorKind::InvalidData),
    ];
    for (error, kind) in kinds {
        assert_eq!(Error::from(error).kind(), kind);
        assert_eq!(Error::from(PutError { value: 7_u64, error }).kind(), kind);
        assert_eq!(error.is_timeout(), kind == ErrorKind::TimedOut);
    }
    assert_eq!(Delivery::default(), Delivery::AtLeastOnce);
}
