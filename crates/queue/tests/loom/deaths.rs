//! One of them dies before each of its steps.

use shmkit_atomic::crash::everywhere;

use super::*;

/// What somebody who may die has said before it died.
#[derive(Clone, Default)]
struct Diary(StdArc<StdMutex<Vec<u64>>>);

impl Diary {
    fn note(&self, value: u64) {
        self.0.lock().unwrap().push(value);
    }

    fn read(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

/// Who puts `values` dies; another puts one more, at the same time or after it, and a third takes until all is closed.
fn putter(name: &str, capacity: u32, values: &'static [u64], batch: bool, beside: bool) {
    everywhere(name, 1, move |steps, lives| {
        let [mortal, b, c] = judges();
        let queue = Queue::new(capacity, Delivery::AtLeastOnce);
        let taking = {
            let queue = queue.clone();
            thread::spawn(move || queue.drain(&c))
        };
        let puts = {
            let queue = queue.clone();
            move || queue.put(&b, 21).unwrap()
        };
        let (mut putting, mut later) = (None, None);
        if beside {
            putting = Some(thread::spawn(puts));
        } else {
            later = Some(puts);
        }
        let put = Diary::default();
        let life = crash::after(steps, || {
            if batch {
                queue.put_all(&mortal, values).unwrap();
            } else {
                for &value in values {
                    queue.put(&mortal, value).unwrap();
                    put.note(value);
                }
            }
        });
        if life.is_err() {
            lives.died();
            mortal.die();
        }
        later.into_iter().for_each(|puts| puts());
        putting.into_iter().for_each(|thread| thread.join().unwrap());
        queue.raw.close();
        let mut got = taking.join().unwrap();
        let before = got.len();
        got.retain(|&value| value != 21);
        assert_eq!(before, got.len() + 1, "what the living put came once");
        assert!(values.starts_with(&got), "{got:?} came");
        assert!(got.len() >= put.read().len(), "what was accepted is lost");
        assert!(life.is_err() || got == values);
        let stats = queue.raw.stats();
        assert_eq!((stats.lost, stats.redelivered), (0, 0));
    });
}

#[test]
fn what_a_dead_producer_was_about_to_put_holds_nobody_up() {
    putter("put, 1", 1, &[1], false, true);
    putter("put, 2", 2, &[1, 2], false, false);
}

#[test]
fn what_a_dead_producer_put_of_a_batch_comes_first() {
    putter("put a batch", 2, &[1, 2, 3], true, false);
}

/// Of two who take, one dies. Items are 1 and 2, then the queue is closed.
fn taker(name: &str, capacity: u32, delivery: Delivery, most: u32, preemptions: usize) {
    everywhere(name, preemptions, move |steps, lives| {
        let [mortal, b, c] = judges();
        let queue = Queue::new(capacity, delivery);
        let taking = {
            let queue = queue.clone();
            thread::spawn(move || queue.drain(&b))
        };
        let putting = {
            let queue = queue.clone();
            thread::spawn(move || {
                queue.put(&c, 1).unwrap();
                queue.put(&c, 2).unwrap();
                queue.raw.close();
            })
        };
        let (seen, finished) = (Diary::default(), Diary::default());
        let life = crash::after(steps, || {
            loop {
                match queue.ring().take(&mortal, most, Deadline::NEVER) {
                    Ok(held) => {
                        let values = queue.read(&held);
                        values.iter().for_each(|&value| seen.note(value));
                        queue.ring().done(held).unwrap();
                        values.iter().for_each(|&value| finished.note(value));
                    }
                    Err(error) => {
                        assert_eq!(error, QueueError::Closed);
                        break;
                    }
                }
            }
        });
        let died = life.is_err();
        if died {
            lives.died();
            mortal.die();
        }
        putting.join().unwrap();
        let got = taking.join().unwrap();
        let (seen, finished) = (seen.read(), finished.read());
        // What comes again comes late.
        assert!(died || got.is_sorted(), "{got:?}");
        for value in [1, 2] {
            let times = got.iter().filter(|&&other| other == value).count();
            let (seen, finished) = (seen.contains(&value), finished.contains(&value));
            let most = usize::from(!finished && (delivery == Delivery::AtLeastOnce || !seen));
            assert!(times <= most, "{value} came {times} times beside the dead");
            let lost = delivery == Delivery::AtMostOnce && died;
            assert!(times == 1 || seen || lost, "{value} is lost");
        }
        let stats = queue.raw.stats();
        assert!(stats.lost + stats.redelivered <= if died { u64::from(most) } else { 0 });
        assert_eq!(stats.discarded, 0);
    });
}

#[test]
fn what_a_dead_consumer_had_comes_again() {
    taker("take, at least once, 1", 1, Delivery::AtLeastOnce, 1, 1);
    taker("take, at least once, 2", 2, Delivery::AtLeastOnce, 1, 1);
}

#[test]
fn what_a_dead_consumer_had_is_lost_and_nothing_else() {
    taker("take, at most once", 1, Delivery::AtMostOnce, 1, 1);
}

#[test]
fn what_a_dead_consumer_had_of_a_batch_comes_again() {
    taker("take a batch", 2, Delivery::AtLeastOnce, 2, 1);
}

/// One has died with an item in its hands; who takes it out of them dies, too, and a third gets it.
fn heir(name: &str, delivery: Delivery, gives_back: bool) {
    everywhere(name, 1, move |steps, lives| {
        let [dead, mortal, c] = judges();
        let queue = Queue::new(2, delivery);
        queue.put(&c, 1).unwrap();
        let _ = queue.ring().take(&dead, 1, Deadline::NEVER).unwrap();
        dead.die();
        queue.put(&c, 2).unwrap();
        queue.raw.close();
        let seen = Diary::default();
        let taking = {
            let queue = queue.clone();
            thread::spawn(move || queue.drain(&c))
        };
        let life = crash::after(steps, || {
            while let Ok(held) = queue.ring().take(&mortal, 1, Deadline::NEVER) {
                if gives_back && seen.read().is_empty() {
                    seen.note(0);
                    queue.ring().give_back(held).unwrap();
                } else {
                    queue.read(&held).into_iter().for_each(|value| seen.note(value));
                    queue.ring().done(held).unwrap();
                }
            }
        });
        if life.is_err() {
            lives.died();
            mortal.die();
        }
        let got = taking.join().unwrap();
        for value in [1, 2] {
            let times = got.iter().filter(|&&other| other == value).count();
            assert!(times <= 1, "{value} came twice to one");
            assert!(times == 1 || seen.read().contains(&value), "{value} is lost");
        }
    });
}

#[test]
fn an_heir_that_dies_leaves_what_it_inherited() {
    heir("heir", Delivery::AtLeastOnce, false);
}

#[test]
fn who_dies_while_it_gives_back_leaves_the_item() {
    heir("give back", Delivery::AtLeastOnce, true);
}

#[test]
fn who_joins_does_not_wait_for_the_dead() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        everywhere("join", 2, move |steps, lives| {
            let [mortal, b, c] = judges();
            let queue = Queue::new(1, delivery);
            queue.put(&c, 1).unwrap();
            let joining = {
                let queue = queue.clone();
                thread::spawn(move || queue.ring().join(&c, Deadline::NEVER).unwrap())
            };
            if crash::after(steps, || queue.get(&mortal).unwrap()).is_err() {
                lives.died();
                mortal.die();
                queue.raw.close();
                let again = queue.drain(&b);
                assert!(again.is_empty() || again == [1]);
            }
            joining.join().unwrap();
        });
    }
}
