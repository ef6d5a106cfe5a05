//! Operations on a queue against a model of it; and on one whose every word somebody else may have written.

use std::collections::VecDeque;
use std::ptr::NonNull;

use shmkit_layout::{Object, Offset, Region};
use shmkit_queue::{Delivery, Lease, Queue, QueueError, QueueSpec};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// How many take part.
const PARTICIPANTS: usize = 4;
/// Most items.
const ITEMS: usize = 5;
/// Bytes of the words that are not slots', and of a slot.
const WORDS: usize = 384;
const SLOT: usize = 16;
/// The words that a peer may get wrong, beside the slots': policy and closed, returned, head, tail.
const U64S: [u64; 4] = [8, 32, 128, 256];

/// Bytes of a queue and its dead letters: as much again, and two words for each item.
const BYTES: usize = 2 * (WORDS + SLOT * ITEMS + 8 * ITEMS) + 128;

#[repr(C, align(128))]
struct Memory([u8; BYTES]);

type Jobs<'a> = Queue<u64, &'a ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the queue does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; BYTES]));
    let len = memory.0.len();
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), len) };
    let capacity = input.below(ITEMS) + 1;
    let spec = QueueSpec::new(capacity as u64);
    let mode = input.byte() % 4;
    let spec = match mode {
        3 => spec.give_up_after(1 + capacity as u32 % 2),
        _ => spec.delivery(Delivery::AtMostOnce),
    };
    // SAFETY: the memory is zero, and this run's alone.
    unsafe { Jobs::init(region, spec, &judges[0]) }.expect("as many as there is room for");
    let queues: Vec<Jobs<'_>> = judges
        .iter()
        // SAFETY: made above.
        .map(|judge| unsafe { Jobs::attach(region, capacity as u64, judge) }.expect("as made"))
        .collect();
    match mode {
        0 | 2 => honest(&mut input, &queues, capacity),
        _ => wrong(&mut input, region, &queues, &judges),
    }
}

/// Peers that do what they should: every answer is the model's. Nobody holds an item while others go on, so that the ring is
/// a line.
fn honest(input: &mut Input<'_>, queues: &[Jobs<'_>], capacity: usize) {
    let (mut items, mut next, mut closed) = (VecDeque::new(), 0_u64, false);
    while !input.is_empty() {
        let queue = &queues[input.below(PARTICIPANTS)];
        match input.below(8) {
            0 | 1 => {
                let put = queue.try_put(next).map_err(|e| e.error);
                match (closed, items.len() == capacity) {
                    (true, _) => assert_eq!(put, Err(QueueError::Closed)),
                    (_, true) => assert_eq!(put, Err(QueueError::Full)),
                    _ => {
                        assert_eq!(put, Ok(()));
                        items.push_back(next);
                    }
                }
                next += 1;
            }
            2 => {
                let batch: Vec<u64> = (next..).take(input.below(2 * ITEMS)).collect();
                next += batch.len() as u64;
                let room = capacity - items.len();
                let put = queue.try_put_batch(&batch);
                if batch.is_empty() {
                    assert_eq!(put, Ok(0));
                } else if closed {
                    assert_eq!(put, Err(QueueError::Closed));
                } else if room == 0 {
                    assert_eq!(put, Err(QueueError::Full));
                } else {
                    let part = &batch[..batch.len().min(room)];
                    assert_eq!(put, Ok(part.len()));
                    items.extend(part);
                }
            }
            3 | 4 => {
                let empty = if closed { QueueError::Closed } else { QueueError::Empty };
                assert_eq!(queue.try_get(), items.pop_front().ok_or(empty));
            }
            5 => {
                if let Ok(lease) = queue.try_take() {
                    assert_eq!(Some(&*lease), items.front());
                    lease.give_back().expect("it is ours");
                } else {
                    assert!(items.is_empty());
                }
            }
            6 => {
                let mut values = [0; ITEMS];
                if let Ok(count) = queue.try_get_batch(&mut values) {
                    for value in &values[..count] {
                        assert_eq!(Some(*value), items.pop_front());
                    }
                } else {
                    assert!(items.is_empty());
                }
            }
            _ => {
                if input.byte() > 250 {
                    queue.close().expect("it has joined");
                    closed = true;
                }
            }
        }
        assert_eq!(queue.len(), Ok(items.len()));
        assert_eq!(queue.is_full(), Ok(items.len() == capacity));
        assert_eq!(queue.try_join().is_ok(), items.is_empty());
    }
}

/// Peers that write anything and die at any time: whatever is answered, it is an answer.
fn wrong(input: &mut Input<'_>, region: Region<'_>, queues: &[Jobs<'_>], judges: &[ModelJudge]) {
    let mut leases: Vec<Lease<'_, u64, &ModelJudge>> = Vec::new();
    while !input.is_empty() {
        // The last one never dies.
        let who = input.below(PARTICIPANTS);
        let queue = &queues[who];
        match input.below(8) {
            0 => {
                let at = input.below(U64S.len() + ITEMS + 1);
                let at = match U64S.get(at) {
                    Some(at) => *at,
                    None if at < U64S.len() + ITEMS => (WORDS + SLOT * (at - U64S.len())) as u64,
                    // Among the dead letters as well.
                    None => (input.below(BYTES / 8) * 8) as u64,
                };
                let mut word = 0;
                for _ in 0..8 {
                    word = word << 8 | u64::from(input.byte());
                }
                // Mostly near what a peer writes.
                let mask = [u64::MAX, 3 << 33 | 7 << 30 | 3, 3 << 32 | 7][input.below(3)];
                let at = Offset::<u64>::new(at).expect("a multiple of 8");
                region.write(at, word & mask).expect("inside");
            }
            1 => _ = queue.try_put(1),
            2 => _ = queue.try_put_batch(&[1, 2, 3]),
            3 => _ = queue.try_get(),
            4 => _ = queue.try_get_batch(&mut [0; 3]),
            5 => leases.extend(queue.try_take()),
            // What is given back then is a dead letter's.
            6 if who == 0 => _ = queue.dead_letters().map(|letters| letters.try_get()),
            6 => _ = (queue.len(), queue.is_full(), queue.try_join(), leases.pop()),
            _ if who + 1 < PARTICIPANTS && input.byte() > 200 => {
                // What it has is the others' from now on.
                leases.drain(..).for_each(std::mem::forget);
                judges[who].die();
            }
            _ => {}
        }
    }
}
