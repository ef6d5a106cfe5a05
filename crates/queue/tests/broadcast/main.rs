//! One process at a broadcast: what its operations say, one thread or several.
#![cfg(not(loom))]

mod corrupt;

use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_layout::{Object, Region, ShapeError};
use shmkit_queue::{
    Broadcast, BroadcastError, BroadcastSpec, Overrun, Publisher, PutError, Start, Subscriber,
};
use shmkit_roster::model::ModelJudge;
use shmkit_wait::Ready;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
/// A time to run out.
const SHORT: Duration = Duration::from_millis(30);

/// A broadcast in memory of its own, and four participants.
struct Scene {
    words: Vec<AtomicU64>,
    judges: Vec<ModelJudge>,
    spec: BroadcastSpec,
}

impl Scene {
    fn new(spec: impl Into<BroadcastSpec>) -> Self {
        let words = (0..8192).map(|_| AtomicU64::new(0)).collect();
        let this = Self { words, judges: ModelJudge::new(4), spec: spec.into() };
        // SAFETY: zeros that nobody else uses.
        unsafe { Broadcast::<u64, _>::init(this.region(), this.spec, &this.judges[0]) }.unwrap();
        this
    }

    fn skipping(capacity: u64) -> Self {
        Self::new(BroadcastSpec::new(capacity).overrun(Overrun::Skip))
    }

    fn region(&self) -> Region<'_> {
        // Aligned as a broadcast is.
        let skip = self.words.as_ptr().cast::<u8>().align_offset(128);
        let base = NonNull::from(&self.words[skip / 8]).cast();
        // SAFETY: atomics, borrowed for as long.
        unsafe { Region::from_raw_parts(base, (self.words.len() - 16) * 8) }
    }

    /// The broadcast as participant `who` has it.
    fn of(&self, who: usize) -> Broadcast<u64, &ModelJudge> {
        let shape = <Broadcast<u64, &ModelJudge> as Object<_>>::shape(&self.spec, 4).unwrap();
        // SAFETY: made by `new`, and judged by judges of one model.
        unsafe { Broadcast::attach(self.region(), shape.len, &self.judges[who]) }.unwrap()
    }

    fn publisher(&self) -> Publisher<u64, &ModelJudge> {
        self.of(0).publisher().unwrap()
    }

    fn subscriber(&self, who: usize) -> Subscriber<u64, &ModelJudge> {
        self.of(who).subscribe(Start::Newest).unwrap()
    }
}

fn error<T>(put: Result<(), PutError<T, BroadcastError>>) -> BroadcastError {
    put.unwrap_err().error
}

#[test]
fn each_subscriber_receives_everything_in_order() {
    let scene = Scene::new(4);
    let mut publisher = scene.publisher();
    let (mut one, mut two) = (scene.subscriber(1), scene.subscriber(2));
    for value in 1..=3 {
        publisher.send(value).unwrap();
    }
    assert_eq!((one.recv(), one.recv(), one.len()), (Ok(1), Ok(2), 1));
    publisher.send(4).unwrap();
    assert_eq!(error(publisher.try_send(5)), BroadcastError::Full);
    let mut batch = [0; 8];
    assert_eq!((two.recv_batch(&mut batch), &batch[..4]), (Ok(4), &[1, 2, 3, 4][..]));
    assert_eq!((one.recv_timeout(LONG), one.recv_deadline(Instant::now() + LONG)), (Ok(3), Ok(4)));
    assert_eq!((one.try_recv(), one.is_empty()), (Err(BroadcastError::Empty), true));
    assert_eq!((publisher.published(), two.position()), (4, 4));
}

#[test]
fn nobody_waits_where_nobody_subscribes() {
    let scene = Scene::new(2);
    let mut publisher = scene.publisher();
    publisher.send_all(&[0; 100]).unwrap();
    assert_eq!(publisher.try_send_batch(&[0; 100]), Ok(100));
    let subscriber = scene.subscriber(1);
    assert_eq!(publisher.try_send_batch(&[0; 100]), Ok(2));
    subscriber.unsubscribe();
    assert_eq!(publisher.try_send_batch(&[0; 100]), Ok(100));
}

#[test]
fn every_time_runs_out() {
    let scene = Scene::new(1);
    let mut publisher = scene.publisher();
    let mut subscriber = scene.subscriber(1);
    let start = Instant::now();
    assert_eq!(subscriber.recv_timeout(SHORT), Err(BroadcastError::TimedOut));
    assert_eq!(subscriber.recv_batch_timeout(&mut [0], SHORT), Err(BroadcastError::TimedOut));
    assert_eq!(subscriber.peek_timeout(SHORT).unwrap_err(), BroadcastError::TimedOut);
    publisher.send(1).unwrap();
    assert_eq!(error(publisher.send_timeout(2, SHORT)), BroadcastError::TimedOut);
    assert_eq!(publisher.send_all_timeout(&[2], SHORT).unwrap_err().put, 0);
    assert_eq!(publisher.reserve_timeout(SHORT).unwrap_err(), BroadcastError::TimedOut);
    assert!(start.elapsed() >= 6 * SHORT);
    assert_eq!(publisher.try_reserve().unwrap_err(), BroadcastError::Full);
    assert_eq!(subscriber.recv(), Ok(1));
}

#[test]
fn items_are_written_and_read_in_place() {
    let scene = Scene::new(2);
    let mut publisher = scene.publisher();
    let mut subscriber = scene.subscriber(1);
    let mut draft = publisher.reserve().unwrap();
    *draft = 7;
    drop(draft);
    assert_eq!(subscriber.try_peek().unwrap_err(), BroadcastError::Empty);
    let mut draft = publisher.reserve().unwrap();
    *draft = 8;
    draft.publish().unwrap();
    assert_eq!(*subscriber.peek().unwrap(), 8);
    let peeked = subscriber.peek_deadline(Instant::now()).unwrap();
    assert_eq!(*peeked, 8, "it was not released");
    peeked.release().unwrap();
    assert!(subscriber.is_empty());
}

#[test]
fn who_overwrites_waits_for_nobody_and_the_slow_are_told_what_they_missed() {
    let scene = Scene::skipping(8);
    let mut publisher = scene.publisher();
    let mut subscriber = scene.subscriber(1);
    publisher.send_all(&Vec::from_iter(0..8)).unwrap();
    assert_eq!(subscriber.recv(), Ok(0));
    publisher.send_all(&Vec::from_iter(8..20)).unwrap();
    // 12 is the oldest one there; who has been overtaken goes on a quarter of the ring further.
    assert_eq!(subscriber.recv(), Err(BroadcastError::Lagged { missed: 13 }));
    assert_eq!(subscriber.recv(), Ok(14));
    let mut batch = [0; 8];
    assert_eq!(
        (subscriber.try_recv_batch(&mut batch), &batch[..5]),
        (Ok(5), &[15, 16, 17, 18, 19][..])
    );
    assert_eq!(subscriber.try_recv(), Err(BroadcastError::Empty));
    assert_eq!(publisher.reserve().unwrap_err(), BroadcastError::NotInPlace);
    assert_eq!(subscriber.peek().unwrap_err(), BroadcastError::NotInPlace);
}

#[test]
fn who_comes_late_begins_with_the_newest_or_the_oldest() {
    for scene in [Scene::new(8), Scene::skipping(8)] {
        let mut publisher = scene.publisher();
        let first = scene.of(1).subscribe(Start::Oldest).unwrap().position();
        publisher.send_all(&[0, 1, 2]).unwrap();
        let mut newest = scene.of(1).subscribe(Start::Newest).unwrap();
        let mut oldest = scene.of(1).subscribe(Start::Oldest).unwrap();
        assert_eq!((first, newest.try_recv()), (0, Err(BroadcastError::Empty)));
        assert_eq!(oldest.recv(), Ok(0));
        publisher.try_send_batch(&Vec::from_iter(3..8)).unwrap();
        drop((oldest, newest));
        publisher.send_all(&Vec::from_iter(8..20)).unwrap();
        let mut oldest = scene.of(2).subscribe(Start::Oldest).unwrap();
        assert!((12..14).contains(&oldest.position()), "{oldest:?}");
        assert_eq!(oldest.recv(), Ok(oldest.position() - 1));
    }
}

#[test]
fn the_end_of_a_publisher_is_told_after_its_items_and_a_successor_goes_on() {
    let scene = Scene::new(4);
    let mut subscriber = scene.subscriber(1);
    let mut publisher = scene.publisher();
    let holder = scene.of(0).publishing().unwrap();
    let taken = Err(BroadcastError::Taken { holder });
    assert_eq!(scene.of(2).publisher().map(drop), taken);
    publisher.send(1).unwrap();
    publisher.close();
    assert_eq!(subscriber.recv(), Ok(1));
    assert_eq!(
        (subscriber.recv(), subscriber.try_recv()),
        (Err(BroadcastError::Closed), Err(BroadcastError::Closed))
    );
    assert_eq!(subscriber.try_wait_for_publisher(), Err(BroadcastError::TimedOut));

    let mut publisher = scene.publisher();
    publisher.send(2).unwrap();
    assert_eq!(subscriber.wait_for_publisher(), Ok(holder));
    std::mem::forget(publisher);
    scene.judges[0].die();
    assert_eq!(subscriber.recv(), Ok(2));
    let died = Err(BroadcastError::PublisherDied { peer: holder });
    assert_eq!((subscriber.recv(), subscriber.try_recv()), (died, died));
    assert_eq!(subscriber.wait_for_publisher_timeout(SHORT), Err(BroadcastError::TimedOut));

    let mut publisher = scene.of(2).publisher().unwrap();
    assert_eq!(publisher.published(), 2);
    publisher.send(3).unwrap();
    assert_eq!(subscriber.recv(), Ok(3));
}

#[test]
fn of_three_who_sleep_each_is_told_of_the_publishers_death() {
    let scene = Scene::new(4);
    let mut publisher = scene.publisher();
    publisher.send(1).unwrap();
    thread::scope(|scope| {
        let all: Vec<_> = (1..4)
            .map(|who| {
                let mut subscriber = scene.subscriber(who);
                scope.spawn(move || subscriber.recv_timeout(LONG))
            })
            .collect();
        // Long enough for them to sleep for the longest slice.
        thread::sleep(5 * SHORT);
        std::mem::forget(publisher);
        scene.judges[0].die();
        let start = Instant::now();
        for one in all {
            let end = one.join().unwrap();
            assert!(matches!(end, Err(BroadcastError::PublisherDied { .. })), "{end:?}");
        }
        assert!(start.elapsed() < LONG / 2);
    });
}

#[test]
fn a_dead_subscriber_holds_nobody_up_and_its_place_is_anothers() {
    let scene = Scene::new(BroadcastSpec::new(2).subscribers(2));
    let mut publisher = scene.publisher();
    let (mut living, dead) = (scene.subscriber(1), scene.subscriber(2));
    let most = BroadcastError::TooManySubscribers { most: 2 };
    assert_eq!(scene.of(3).subscribe(Start::Newest).map(drop), Err(most));
    publisher.send_all(&[1, 2]).unwrap();
    assert_eq!((living.recv(), living.recv()), (Ok(1), Ok(2)));
    std::mem::forget(dead);
    scene.judges[2].die();
    assert_eq!(publisher.send_timeout(3, LONG), Ok(()));
    assert_eq!(scene.of(0).subscribers(), 1);
    // One that nobody has passed over yet.
    let dead = scene.of(3).subscribe(Start::Newest).unwrap();
    std::mem::forget(dead);
    scene.judges[3].die();
    assert_eq!(
        scene.of(1).subscribe(Start::Newest).unwrap().try_recv(),
        Err(BroadcastError::Empty)
    );
}

#[test]
fn a_forked_child_has_neither_side() {
    let scene = Scene::new(2);
    let child = scene.judges[1].forked();
    // SAFETY: as in `Scene::of`.
    let broadcast = unsafe { Broadcast::<u64, _>::attach(scene.region(), 2, &child) }.unwrap();
    assert_eq!(broadcast.publisher().map(drop), Err(BroadcastError::NotJoined));
    assert_eq!(broadcast.subscribe(Start::Newest).map(drop), Err(BroadcastError::NotJoined));
}

#[test]
fn both_sides_are_ready_when_they_would_not_wait() {
    let scene = Scene::new(1);
    let mut publisher = scene.publisher();
    let mut subscriber = scene.subscriber(1);
    assert!(publisher.is_ready(true) && !subscriber.is_ready(true));
    publisher.send(1).unwrap();
    assert!(!publisher.is_ready(true) && subscriber.is_ready(false));
    subscriber.recv().unwrap();
    assert!(publisher.is_ready(false));
    drop(publisher);
    assert!(subscriber.is_ready(false), "the end is something to be told");
}

#[test]
fn three_threads_receive_what_one_sends_and_sleep_when_there_is_nothing() {
    const MOST: u64 = 20_000;
    let scene = Scene::new(16);
    let mut publisher = scene.publisher();
    thread::scope(|scope| {
        for who in 1..4 {
            let mut subscriber = scene.subscriber(who);
            scope.spawn(move || {
                for value in 0..MOST {
                    assert_eq!(subscriber.recv_timeout(LONG), Ok(value));
                }
                assert_eq!(subscriber.recv_timeout(LONG), Err(BroadcastError::Closed));
            });
        }
        for value in 0..MOST {
            if value % 5000 == 0 {
                thread::sleep(SHORT / 10);
            }
            publisher.send_timeout(value, LONG).unwrap();
        }
        drop(publisher);
    });
}

#[test]
fn no_torn_value_is_received_where_items_are_overwritten() {
    type Wide = [u64; 32];
    let words: Vec<AtomicU64> = (0..8192).map(|_| AtomicU64::new(0)).collect();
    let skip = words.as_ptr().cast::<u8>().align_offset(128);
    // SAFETY: atomics, borrowed for as long.
    let region = unsafe {
        Region::from_raw_parts(NonNull::from(&words[skip / 8]).cast(), (words.len() - 16) * 8)
    };
    let judges = ModelJudge::new(2);
    let spec = BroadcastSpec::new(4).overrun(Overrun::Skip);
    // SAFETY: zeros that nobody else uses.
    let broadcast = unsafe { Broadcast::<Wide, _>::init(region, spec, &judges[0]) }.unwrap();
    let mut publisher = broadcast.publisher().unwrap();
    let mut subscriber = broadcast.subscribe(Start::Newest).unwrap();
    thread::scope(|scope| {
        let receiver = scope.spawn(move || {
            let (mut next, mut missed, mut received) = (0, 0, 0);
            loop {
                match subscriber.recv_timeout(LONG) {
                    Ok(value) => {
                        assert_eq!(value, [next; 32]);
                        (next, received) = (next + 1, received + 1);
                    }
                    Err(BroadcastError::Lagged { missed: count }) => {
                        (next, missed) = (next + count, missed + count);
                    }
                    Err(BroadcastError::Closed) => return (missed, received),
                    Err(other) => panic!("{other}"),
                }
            }
        });
        let mut sent = 0;
        // As long as it takes until the other one has run beside this one.
        let end = Instant::now() + 20 * SHORT;
        while Instant::now() < end {
            for _ in 0..100 {
                publisher.send([sent; 32]).unwrap();
                sent += 1;
            }
        }
        drop(publisher);
        let (missed, received) = receiver.join().unwrap();
        assert_eq!(missed + received, sent);
    });
}

#[test]
fn what_cannot_be_made_is_refused() {
    type Small = Broadcast<u64, &'static ModelJudge>;
    let shape = |spec| <Small as Object<_>>::shape(&spec, 4);
    for spec in
        [BroadcastSpec::new(0), BroadcastSpec::new(u64::MAX), BroadcastSpec::new(1).subscribers(0)]
    {
        assert!(matches!(shape(spec), Err(ShapeError::Length { .. })), "{spec:?}");
    }
    let made = shape(BroadcastSpec::new(5)).unwrap();
    assert_eq!((made.len, made.bytes), (8, 256 + 4 * 128 + 64));
}
