//! Well-known rings between two threads.

use std::hint::black_box;
use std::ops::Range;

use anyhow::ensure;
use ringbuf::HeapRb;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use rtrb::RingBuffer;
use shmkit_benches::{Candidate, time_threads};

use super::ours::spin;
use super::{CAPACITY, LONG, is, item, lap, numbers};

pub(super) fn rtrb_singles<const WORDS: usize>() -> Candidate<'static> {
    Candidate::new("rtrb", |n| {
        let (mut producer, mut consumer) = RingBuffer::new(CAPACITY);
        time_threads(
            |start| {
                let mut push = |number| spin(|| producer.push(item::<WORDS>(number)).ok());
                lap().for_each(&mut push);
                start.together();
                numbers(n).for_each(push);
                Ok(())
            },
            |start| {
                let mut pop = |number| {
                    ensure!(is(&spin(|| consumer.pop().ok()), number), "out of order");
                    Ok(())
                };
                lap().try_for_each(&mut pop)?;
                start.together();
                numbers(n).try_for_each(pop)
            },
        )
    })
}

pub(super) fn rtrb_batches<const WORDS: usize>(batch: usize) -> Candidate<'static> {
    Candidate::new("rtrb", move |n| {
        let (mut producer, mut consumer) = RingBuffer::new(CAPACITY);
        time_threads(
            |start| {
                let mut items = vec![item::<WORDS>(0); batch];
                let mut push = |first: u64| {
                    items.iter_mut().zip(first..).for_each(|(to, number)| *to = item(number));
                    spin(|| producer.push_entire_slice(&items).ok());
                };
                lap().step_by(batch).for_each(&mut push);
                start.together();
                numbers(n).step_by(batch).for_each(push);
                Ok(())
            },
            |start| {
                let mut items = vec![item::<WORDS>(0); batch];
                let mut pop = |numbers: Range<u64>| {
                    let mut next = numbers.start;
                    while next < numbers.end {
                        let found = spin(|| {
                            let (found, _) = consumer.pop_partial_slice(&mut items);
                            (!found.is_empty()).then_some(found.len())
                        });
                        for found in &items[..found] {
                            ensure!(is(found, next), "out of order");
                            next += 1;
                        }
                    }
                    Ok(())
                };
                pop(lap())?;
                start.together();
                pop(numbers(n))
            },
        )
    })
}

pub(super) fn ringbuf_singles<const WORDS: usize>() -> Candidate<'static> {
    Candidate::new("ringbuf", |n| {
        let (mut producer, mut consumer) = HeapRb::new(CAPACITY).split();
        time_threads(
            |start| {
                let mut push = |number| spin(|| producer.try_push(item::<WORDS>(number)).ok());
                lap().for_each(&mut push);
                start.together();
                numbers(n).for_each(push);
                Ok(())
            },
            |start| {
                let mut pop = |number| {
                    ensure!(is(&spin(|| consumer.try_pop()), number), "out of order");
                    Ok(())
                };
                lap().try_for_each(&mut pop)?;
                start.together();
                numbers(n).try_for_each(pop)
            },
        )
    })
}

pub(super) fn ringbuf_batches<const WORDS: usize>(batch: usize) -> Candidate<'static> {
    Candidate::new("ringbuf", move |n| {
        let (mut producer, mut consumer) = HeapRb::new(CAPACITY).split();
        time_threads(
            |start| {
                let mut items = vec![item::<WORDS>(0); batch];
                let mut push = |first: u64| {
                    items.iter_mut().zip(first..).for_each(|(to, number)| *to = item(number));
                    let mut pushed = 0;
                    while pushed < batch {
                        pushed +=
                            spin(|| Some(producer.push_slice(&items[pushed..])).filter(|&n| n > 0));
                    }
                };
                lap().step_by(batch).for_each(&mut push);
                start.together();
                numbers(n).step_by(batch).for_each(push);
                Ok(())
            },
            |start| {
                let mut items = vec![item::<WORDS>(0); batch];
                let mut pop = |numbers: Range<u64>| {
                    let mut next = numbers.start;
                    while next < numbers.end {
                        let found =
                            spin(|| Some(consumer.pop_slice(&mut items)).filter(|&n| n > 0));
                        for found in &items[..found] {
                            ensure!(is(found, next), "out of order");
                            next += 1;
                        }
                    }
                    Ok(())
                };
                pop(lap())?;
                start.together();
                pop(numbers(n))
            },
        )
    })
}

/// One item there and back over two rings.
pub(super) fn rtrb_round_trip() -> Candidate<'static> {
    Candidate::new("rtrb", |n| {
        let (mut forth, mut at_end) = RingBuffer::new(CAPACITY);
        let (mut back, mut home) = RingBuffer::new(CAPACITY);
        time_threads(
            |start| {
                start.together();
                for _ in 0..n {
                    let item: u64 = spin(|| at_end.pop().ok());
                    back.push(item)?;
                }
                Ok(())
            },
            |start| {
                start.together();
                for trip in 0..u64::from(n) {
                    forth.push(trip)?;
                    ensure!(spin(|| home.pop().ok()) == trip, "out of order");
                }
                Ok(())
            },
        )
    })
}

/// Messages of a mebibyte, as bytes through a ring of one.
pub(super) fn rtrb_long() -> Candidate<'static> {
    Candidate::new("rtrb", |n| {
        let (mut producer, mut consumer) = RingBuffer::new(LONG);
        time_threads(
            |start| {
                let message = vec![7_u8; LONG];
                let mut send = || {
                    let mut rest = &black_box(&message)[..];
                    while !rest.is_empty() {
                        (_, rest) = producer.push_partial_slice(rest);
                    }
                };
                (0..2).for_each(|_| send());
                start.together();
                (0..n).for_each(|_| send());
                Ok(())
            },
            |start| {
                let mut buffer = vec![0_u8; LONG];
                let mut recv = || {
                    let mut rest = &mut black_box(&mut buffer)[..];
                    while !rest.is_empty() {
                        (_, rest) = consumer.pop_partial_slice(rest);
                    }
                    ensure!(buffer[LONG - 1] == 7, "another message came");
                    Ok(())
                };
                (0..2).try_for_each(|_| recv())?;
                start.together();
                (0..n).try_for_each(|_| recv())
            },
        )
    })
}
