//! Operations on a queue of messages against a model of it; and on one whose every word somebody else may have written.

use std::collections::VecDeque;
use std::ptr::NonNull;

use shmkit_layout::{Object, Offset, Region};
use shmkit_queue::{Delivery, MessageLease, MessageQueue, MessageSpec, QueueError};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// How many take part.
const PARTICIPANTS: usize = 3;
/// Most messages.
const MESSAGES: usize = 4;
/// Bytes of the heap, tables included.
const HEAP: usize = 1 << 16;
/// Where the slots begin, and what one takes; where the heap begins.
const SLOTS: usize = 128 + 384;
const SLOT: usize = 128;
const HEAP_AT: usize = 4096;
/// The words of the heap's lock, its first ones.
const LOCK: usize = 4;
/// The words that a peer may get wrong, beside the slots' and the heap's: bytes and bell, policy and closed, returned, head, tail.
const U64S: [u64; 5] = [8, 128 + 8, 128 + 32, 128 + 128, 128 + 256];

#[repr(C, align(4096))]
struct Memory([u8; HEAP_AT + HEAP]);

type Jobs<'a> = MessageQueue<&'a ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the queue does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; HEAP_AT + HEAP]));
    let len = memory.0.len();
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), len) };
    let capacity = input.below(MESSAGES) + 1;
    let spec = MessageSpec::new(capacity as u64, HEAP as u64).delivery(Delivery::AtMostOnce);
    // SAFETY: the memory is zero, and this run's alone.
    unsafe { Jobs::init(region, spec, &judges[0]) }.expect("as many as there is room for");
    let queues: Vec<Jobs<'_>> = judges
        .iter()
        // SAFETY: made above.
        .map(|judge| unsafe { Jobs::attach(region, capacity as u64, judge) }.expect("as made"))
        .collect();
    if input.byte().is_multiple_of(2) {
        honest(&mut input, &queues, capacity);
    } else {
        wrong(&mut input, region, &queues, &judges);
    }
}

/// A message of a length that one byte says: inside, in a small block, in pages.
fn message(number: u8) -> Vec<u8> {
    let len = match number % 8 {
        0..=3 => usize::from(number) % 105,
        4 | 5 => 100 + usize::from(number),
        6 => 4000 + usize::from(number),
        _ => 20_000,
    };
    vec![number; len]
}

/// Peers that do what they should: every answer is the model's.
fn honest(input: &mut Input<'_>, queues: &[Jobs<'_>], capacity: usize) {
    let (mut messages, mut closed) = (VecDeque::new(), false);
    while !input.is_empty() {
        let queue = &queues[input.below(PARTICIPANTS)];
        let empty = if closed { QueueError::Closed } else { QueueError::Empty };
        match input.below(8) {
            0..=2 => {
                let message = message(input.byte());
                match queue.try_put(&message) {
                    Ok(()) => messages.push_back(message),
                    Err(QueueError::Closed) => assert!(closed),
                    // Of slots, or of memory.
                    Err(QueueError::Full) => {
                        assert!(messages.len() == capacity || message.len() > 104)
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            3 | 4 => assert_eq!(queue.try_get(), messages.pop_front().ok_or(empty)),
            5 => match queue.try_take() {
                Ok(lease) => {
                    assert_eq!(Some(&*lease), messages.front().map(Vec::as_slice));
                    lease.give_back().expect("it is ours");
                }
                Err(error) => assert_eq!((error, messages.is_empty()), (empty, true)),
            },
            6 => {
                let mut buffer = [0; 300];
                match queue.try_get_into(&mut buffer) {
                    Ok(len) => assert_eq!(Some(&buffer[..len]), messages.pop_front().as_deref()),
                    Err(QueueError::TooShort { length }) => {
                        assert_eq!(Some(length as usize), messages.front().map(Vec::len));
                    }
                    Err(error) => assert_eq!((error, messages.is_empty()), (empty, true)),
                }
            }
            _ => {
                if input.byte() > 250 {
                    queue.close().expect("it has joined");
                    closed = true;
                }
            }
        }
        assert_eq!(queue.len(), Ok(messages.len()));
        assert_eq!(queue.try_join().is_ok(), messages.is_empty());
        let blocks = messages.iter().filter(|message| message.len() > 104).count();
        let account = queue.heap().check().expect("whole");
        assert_eq!((account.kept_blocks, account.reserved_blocks), (blocks as u64, 0));
    }
}

/// Peers that write anything and die at any time: whatever is answered, it is an answer.
fn wrong(input: &mut Input<'_>, region: Region<'_>, queues: &[Jobs<'_>], judges: &[ModelJudge]) {
    let mut leases: Vec<MessageLease<'_, &ModelJudge>> = Vec::new();
    while !input.is_empty() {
        // The last one never dies.
        let who = input.below(PARTICIPANTS);
        let queue = &queues[who];
        match input.below(8) {
            0 => {
                let at = match input.below(3) {
                    0 => U64S[input.below(U64S.len())],
                    // Word, block and length of a slot.
                    1 => (SLOTS + SLOT * input.below(MESSAGES) + 8 * input.below(3)) as u64,
                    // Tables and blocks, but for the lock: of somebody who lives it would be waited for.
                    _ => {
                        let word = input.below(256) << 4 | input.below(16);
                        (HEAP_AT + 8 * word.max(LOCK)) as u64
                    }
                };
                let at = Offset::<u64>::new(at).expect("a multiple of 8");
                region.write(at, input.number()).expect("inside");
            }
            1 | 2 => _ = queue.try_put(&message(input.byte())),
            3 => _ = queue.try_get(),
            4 => _ = queue.try_get_into(&mut [0; 300]),
            5 => leases.extend(queue.try_take()),
            6 => {
                // Whatever it says, it can be looked at.
                let sum = leases
                    .pop()
                    .map(|lease| lease.iter().map(|&byte| u64::from(byte)).sum::<u64>());
                _ = (queue.len(), queue.is_full(), queue.try_join(), sum);
            }
            _ if who + 1 < PARTICIPANTS && input.byte() > 200 => {
                // What it has is the others' from now on.
                leases.drain(..).for_each(std::mem::forget);
                judges[who].die();
            }
            _ => {}
        }
    }
}
