//! A queue by priority, and a stack, against models of them; and beside peers who write anything to any word, and die.

use std::ptr::NonNull;

use shmkit_layout::{Object, Offset, Region};
use shmkit_queue::{ByPriority, NewestFirst, Order, OrderedQueue, QueueError};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// How many take part.
const PARTICIPANTS: usize = 3;
/// Most items.
const ITEMS: usize = 6;
/// Bytes of all.
const BYTES: usize = 128 + 24 + 16 * ITEMS + 8 * ITEMS;

#[repr(C, align(128))]
struct Memory([u8; BYTES]);

type Line<'a, O> = OrderedQueue<u64, O, &'a ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the queue does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    if input.byte().is_multiple_of(2) {
        of::<ByPriority>(&mut input);
    } else {
        of::<NewestFirst>(&mut input);
    }
}

fn of<O: Order>(input: &mut Input<'_>) {
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; BYTES]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), BYTES) };
    let capacity = input.below(ITEMS) as u64 + 1;
    // SAFETY: the memory is zero, and this run's alone.
    unsafe { Line::<O>::init(region, capacity, &judges[0]) }.expect("as many as there is room for");
    let queues: Vec<Line<'_, O>> = judges
        .iter()
        // SAFETY: made above.
        .map(|judge| unsafe { Line::attach(region, capacity, judge) }.expect("as made"))
        .collect();
    if input.byte().is_multiple_of(2) {
        honest(input, &queues, capacity as usize);
    } else {
        wrong(input, region, &queues, &judges);
    }
}

/// Items are numbered in the order of putting.
fn honest<O: Order>(input: &mut Input<'_>, queues: &[Line<'_, O>], capacity: usize) {
    let (mut items, mut next, mut closed) = (Vec::<(i64, u64)>::new(), 0_u64, false);
    while !input.is_empty() {
        let queue = &queues[input.below(PARTICIPANTS)];
        match input.below(4) {
            0 | 1 => {
                let item = O::join(input.below(4) as i64 - 2, next);
                let pair = (O::split(&item).0, next);
                next += 1;
                let put = queue.try_put(item).map_err(|e| e.error);
                match (closed, items.len() == capacity) {
                    (true, _) => assert_eq!(put, Err(QueueError::Closed)),
                    (_, true) => assert_eq!(put, Err(QueueError::Full)),
                    _ => {
                        assert_eq!(put, Ok(()));
                        items.push(pair);
                    }
                }
            }
            2 => {
                // A stack's are all of one priority.
                let newest_first = |&(priority, number): &(i64, u64)| {
                    (priority, if size_of::<O::Item<u64>>() == 8 { !number } else { number })
                };
                let first = items.iter().copied().min_by_key(newest_first);
                match (queue.try_get(), first) {
                    (Ok(found), Some(first)) => {
                        let (priority, value) = O::split(&found);
                        assert_eq!((priority, *value), first);
                        items.retain(|&other| other != first);
                    }
                    (Err(error), None) => {
                        let expected = if closed { QueueError::Closed } else { QueueError::Empty };
                        assert_eq!(error, expected);
                    }
                    (found, first) => {
                        panic!("{:?} instead of {first:?}", found.map(|found| O::split(&found).0));
                    }
                }
            }
            _ => {
                if input.byte() > 250 {
                    queue.close().expect("it has joined");
                    closed = true;
                }
            }
        }
        assert_eq!(queue.len(), items.len());
        assert_eq!(queue.is_full(), items.len() == capacity);
    }
}

/// Peers that write anything and die at any time: whatever is answered, it is an answer.
fn wrong<O: Order>(
    input: &mut Input<'_>,
    region: Region<'_>,
    queues: &[Line<'_, O>],
    judges: &[ModelJudge],
) {
    let mut dead = [false; PARTICIPANTS];
    while !input.is_empty() {
        let who = input.below(PARTICIPANTS);
        let queue = &queues[who];
        match input.below(6) {
            0 => {
                // Any word but the lock's, which is to be that of a dead one, or of nobody.
                let at = 16 + 4 * input.below((BYTES - 16) / 4) as u64;
                let word = [input.number() as u32, u32::from(input.byte())][input.below(2)];
                region.write(Offset::<u32>::new(at).expect("aligned"), word).expect("inside");
            }
            1 if dead[who] => {
                let at = Offset::<u32>::new(0).expect("aligned");
                region.write(at, who as u32 + 1).expect("inside");
            }
            1 | 2 if !dead[who] => _ = queue.try_put(O::join(input.below(4) as i64, 1)),
            3 if !dead[who] => _ = queue.try_get(),
            4 if !dead[who] => {
                let mut items = [O::join(0, 0), O::join(0, 0)];
                _ = (queue.try_get_batch(&mut items), queue.try_put_batch(&items));
                _ = (queue.len(), queue.is_full());
            }
            // The last one never dies.
            _ if who + 1 < PARTICIPANTS && input.byte() > 128 => {
                dead[who] = true;
                judges[who].die();
            }
            _ => {}
        }
    }
}
