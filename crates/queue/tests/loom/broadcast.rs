//! Every interleaving of who publishes and who subscribes, and of one of them that dies before each of its steps.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash::everywhere;
use shmkit_queue::{
    BroadcastError, Overrun, RawBroadcast, RawPublisher, RawSubscriber, Start, SubscriberCell,
};

use super::*;

/// A broadcast with its items: where the publisher waits, loom watches them for races.
struct Broadcast {
    raw: RawBroadcast,
    cells: Vec<SubscriberCell>,
    items: Vec<UnsafeCell<u64>>,
    /// Of two words each, where items are overwritten.
    pairs: Vec<[AtomicU64; 2]>,
}

// SAFETY: items are touched by who has the right to; loom checks that.
unsafe impl Sync for Broadcast {}
// SAFETY: as above.
unsafe impl Send for Broadcast {}

impl Broadcast {
    fn new(capacity: u64, cells: u32, overrun: Overrun) -> Arc<Self> {
        let raw = RawBroadcast::new();
        raw.make(capacity, cells, overrun);
        Arc::new(Self {
            raw,
            cells: (0..cells).map(|_| SubscriberCell::new()).collect(),
            items: (0..capacity).map(|_| UnsafeCell::new(0)).collect(),
            pairs: (0..capacity).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect(),
        })
    }

    fn publisher(&self, judge: &ModelJudge) -> RawPublisher<'_> {
        RawPublisher::claim(&self.raw, &self.cells, self.items.len() as u64, judge).unwrap()
    }

    fn subscribe(&self, judge: &ModelJudge, start: Start) -> RawSubscriber<'_> {
        let capacity = self.items.len() as u64;
        RawSubscriber::subscribe(&self.raw, &self.cells, capacity, judge, start).unwrap()
    }

    fn index(&self, position: u64) -> usize {
        position as usize % self.items.len()
    }

    /// Sends an item that is its position: one of those that are waited for.
    fn send(&self, publisher: &mut RawPublisher<'_>, judge: &ModelJudge) {
        publisher.room(judge, 1, Deadline::NEVER).unwrap();
        let at = publisher.position();
        crash::step();
        // SAFETY: there is room for it; loom checks that nobody else touches it.
        self.items[self.index(at)].with_mut(|item| unsafe { *item = at });
        publisher.publish(1);
    }

    fn recv(
        &self,
        subscriber: &mut RawSubscriber<'_>,
        judge: &ModelJudge,
    ) -> Result<u64, BroadcastError> {
        subscriber.ready(judge, Deadline::NEVER)?;
        let at = subscriber.position();
        // SAFETY: it is ready; loom checks that nobody writes to it.
        let value = self.items[self.index(at)].with(|item| unsafe { *item });
        assert_eq!(value, at);
        subscriber.release(1);
        Ok(value)
    }

    /// Receives until the end, and returns from where to where.
    fn drain(&self, subscriber: &mut RawSubscriber<'_>, judge: &ModelJudge) -> (u64, u64) {
        let first = subscriber.position();
        loop {
            match self.recv(subscriber, judge) {
                Ok(_) => {}
                Err(BroadcastError::Closed | BroadcastError::PublisherDied { .. }) => {
                    return (first, subscriber.position());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The same, where items are overwritten.
    fn send_over(&self, publisher: &mut RawPublisher<'_>, judge: &ModelJudge) {
        publisher.room(judge, 1, Deadline::NEVER).unwrap();
        let at = publisher.position();
        for word in &self.pairs[self.index(at)] {
            crash::step();
            word.store(at, Relaxed);
        }
        publisher.publish(1);
    }

    fn recv_over(
        &self,
        subscriber: &mut RawSubscriber<'_>,
        judge: &ModelJudge,
    ) -> Result<(), BroadcastError> {
        subscriber.ready(judge, Deadline::NEVER)?;
        let at = subscriber.position();
        let pair = &self.pairs[self.index(at)];
        let pair = [pair[1].load(Relaxed), pair[0].load(Relaxed)];
        subscriber.confirm()?;
        assert_eq!(pair, [at; 2], "torn, or of another lap");
        subscriber.release(1);
        Ok(())
    }
}

#[test]
fn who_was_there_first_receives_everything() {
    for (capacity, count) in [(1, 2), (2, 3)] {
        model(2, move || {
            let [a, b] = judges();
            let broadcast = Broadcast::new(capacity, 1, Overrun::Wait);
            let mut subscriber = broadcast.subscribe(&b, Start::Newest);
            let sending = {
                let broadcast = broadcast.clone();
                thread::spawn(move || {
                    let mut publisher = broadcast.publisher(&a);
                    (0..count).for_each(|_| broadcast.send(&mut publisher, &a));
                    publisher.close(&a);
                })
            };
            // It may come before the publisher.
            assert_eq!(broadcast.drain(&mut subscriber, &b), (0, count));
            sending.join().unwrap();
        });
    }
}

/// Who comes while items are published receives all from some position on, and none of them is overwritten before.
fn late(start: Start, capacity: u64, count: u64) {
    model(3, move || {
        let [a, b] = judges();
        let broadcast = Broadcast::new(capacity, 1, Overrun::Wait);
        let coming = {
            let broadcast = broadcast.clone();
            thread::spawn(move || {
                let mut subscriber = broadcast.subscribe(&b, start);
                broadcast.drain(&mut subscriber, &b).1
            })
        };
        // Here, so that it is interrupted where it is about to write, and does not begin by being that.
        let mut publisher = broadcast.publisher(&a);
        (0..count).for_each(|_| broadcast.send(&mut publisher, &a));
        publisher.close(&a);
        assert_eq!(coming.join().unwrap(), count);
    });
}

#[test]
fn who_comes_late_is_waited_for_from_then_on() {
    late(Start::Newest, 1, 2);
    late(Start::Oldest, 1, 2);
    late(Start::Oldest, 2, 3);
}

#[test]
fn what_is_overwritten_is_told_and_never_torn() {
    model(2, || {
        let [a, b] = judges();
        let broadcast = Broadcast::new(1, 1, Overrun::Skip);
        let mut subscriber = broadcast.subscribe(&b, Start::Newest);
        let sending = {
            let broadcast = broadcast.clone();
            thread::spawn(move || {
                let mut publisher = broadcast.publisher(&a);
                (0..3).for_each(|_| broadcast.send_over(&mut publisher, &a));
                publisher.close(&a);
            })
        };
        let mut missed = 0;
        let received = loop {
            match broadcast.recv_over(&mut subscriber, &b) {
                Ok(()) => {}
                Err(BroadcastError::Lagged { missed: more }) => missed += more,
                Err(BroadcastError::Closed) => break subscriber.position(),
                Err(error) => panic!("{error}"),
            }
        };
        assert!(missed < 3 && received == 3, "{missed} missed of {received}");
        sending.join().unwrap();
    });
}

/// A publisher dies; a successor sends as many as are missing, and who subscribes receives all from when it came.
fn publisher_dies(name: &str, overrun: Overrun) {
    everywhere(name, 1, move |steps, lives| {
        let [mortal, b, c] = judges();
        let broadcast = Broadcast::new(2, 1, overrun);
        let receiving = {
            let broadcast = broadcast.clone();
            thread::spawn(move || {
                let mut subscriber = broadcast.subscribe(&c, Start::Oldest);
                while subscriber.position() < 3 {
                    let received = match overrun {
                        Overrun::Wait => broadcast.recv(&mut subscriber, &c).map(drop),
                        _ => broadcast.recv_over(&mut subscriber, &c),
                    };
                    match received {
                        Ok(()) | Err(BroadcastError::Lagged { .. }) => {}
                        Err(BroadcastError::PublisherDied { .. }) => {
                            subscriber.wait_for_publisher(&c, Deadline::NEVER).unwrap();
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        };
        let send = match overrun {
            Overrun::Wait => Broadcast::send,
            _ => Broadcast::send_over,
        };
        let life = crash::after(steps, || {
            let mut publisher = broadcast.publisher(&mortal);
            (0..3).for_each(|_| send(&broadcast, &mut publisher, &mortal));
            publisher.close(&mortal);
        });
        if life.is_err() {
            lives.died();
            mortal.die();
        }
        let mut publisher = broadcast.publisher(&b);
        while publisher.position() < 3 {
            send(&broadcast, &mut publisher, &b);
        }
        receiving.join().unwrap();
    });
}

#[test]
fn a_dead_publishers_successor_goes_on_where_it_stopped() {
    publisher_dies("publish", Overrun::Wait);
    publisher_dies("publish over", Overrun::Skip);
}

#[test]
fn a_dead_subscriber_holds_nobody_up() {
    for start in [Start::Newest, Start::Oldest] {
        everywhere("subscribe, receive, leave", 1, move |steps, lives| {
            let [a, mortal] = judges();
            let broadcast = Broadcast::new(2, 1, Overrun::Wait);
            let sending = {
                let (broadcast, a) = (broadcast.clone(), a.clone());
                thread::spawn(move || {
                    let mut publisher = broadcast.publisher(&a);
                    (0..4).for_each(|_| broadcast.send(&mut publisher, &a));
                    publisher.close(&a);
                })
            };
            let life = crash::after(steps, || {
                let mut subscriber = broadcast.subscribe(&mortal, start);
                for _ in 0..2 {
                    if broadcast.recv(&mut subscriber, &mortal).is_err() {
                        break;
                    }
                }
                subscriber.leave(&mortal);
            });
            if life.is_err() {
                lives.died();
                mortal.die();
            }
            sending.join().unwrap();
            // Its cell is another's.
            broadcast.subscribe(&a, Start::Newest);
        });
    }
}
