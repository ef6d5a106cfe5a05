//! A publisher and subscribers against a model of them; and beside peers who write anything to any word, and die.

use std::ptr::NonNull;

use shmkit_layout::{Object, Offset, Region};
use shmkit_queue::{
    Broadcast, BroadcastError, BroadcastSpec, Overrun, Publisher, Start, Subscriber,
};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// How many take part: the first one publishes.
const PARTICIPANTS: usize = 4;
const CELLS: usize = 3;
/// Most items.
const ITEMS: usize = 8;
/// Bytes of the words and of the cells.
const WORDS: usize = 256 + 128 * CELLS;
/// The words that a peer may get wrong, beside the items: the halves of the control line, tail, reserved, the cells.
const U64S: [u64; 9] = [8, 16, 24, 32, 128, 136, 256, 264, 392];

#[repr(C, align(128))]
struct Memory([u8; WORDS + 8 * ITEMS]);

type Steps<'a> = Broadcast<u64, &'a ModelJudge>;

/// Runs one input.
///
/// # Panics
///
/// If the broadcast does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; WORDS + 8 * ITEMS]));
    let len = memory.0.len();
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), len) };
    let capacity = 1 << input.below(4);
    let overrun = [Overrun::Wait, Overrun::Skip][input.below(2)];
    let spec = BroadcastSpec::new(capacity).subscribers(CELLS as u32).overrun(overrun);
    // SAFETY: the memory is zero, and this run's alone.
    unsafe { Steps::init(region, spec, &judges[0]) }.expect("as many as there is room for");
    let all: Vec<Steps<'_>> = judges
        .iter()
        // SAFETY: made above.
        .map(|judge| unsafe { Steps::attach(region, capacity, judge) }.expect("as made"))
        .collect();
    if input.byte().is_multiple_of(2) {
        honest(&mut input, &all, overrun);
    } else {
        wrong(&mut input, region, &all, &judges);
    }
}

/// Items are their positions. Who has subscribed receives each from there on, or is told how many it missed.
fn honest(input: &mut Input<'_>, all: &[Steps<'_>], overrun: Overrun) {
    let capacity = all[0].capacity() as u64;
    let mut publisher = Some(all[0].publisher().expect("nobody else is"));
    let (mut sent, mut places) = (0_u64, [const { None }; CELLS]);
    while !input.is_empty() {
        let which = input.below(CELLS);
        let slowest =
            places.iter().flatten().map(|s: &Subscriber<u64, &ModelJudge>| s.position()).min();
        // Whom nobody listens to nobody holds up.
        let room = match (overrun, slowest) {
            (Overrun::Wait, Some(slowest)) => slowest + capacity - sent,
            _ => u64::MAX,
        };
        match (input.below(8), &mut publisher, &mut places[which]) {
            (0 | 1, Some(publisher), _) => {
                let result = publisher.try_send(sent).map_err(|e| e.error);
                assert_eq!(result.is_ok(), room > 0, "{result:?}");
                sent += u64::from(result.is_ok());
            }
            (2, Some(publisher), _) => {
                let batch: Vec<u64> = (sent..).take(input.below(2 * ITEMS)).collect();
                if let Ok(count) = publisher.try_send_batch(&batch) {
                    assert_eq!(count as u64, room.min(batch.len() as u64));
                    sent += count as u64;
                } else {
                    assert!(room == 0 && !batch.is_empty());
                }
            }
            (3 | 4, _, Some(subscriber)) => {
                let at = subscriber.position();
                match subscriber.try_recv() {
                    Ok(value) => assert_eq!((value, subscriber.position()), (at, at + 1)),
                    Err(BroadcastError::Lagged { missed }) => {
                        assert!(overrun == Overrun::Skip && sent - at > capacity - capacity / 4);
                        assert_eq!(subscriber.position(), at + missed);
                    }
                    Err(BroadcastError::Empty) => assert!(at == sent && publisher.is_some()),
                    Err(other) => {
                        assert_eq!(other, BroadcastError::Closed);
                        assert!(at == sent && publisher.is_none());
                    }
                }
            }
            (5, _, Some(subscriber)) => {
                let mut values = [0; ITEMS];
                let at = subscriber.position();
                if let Ok(count) = subscriber.try_recv_batch(&mut values) {
                    assert!(values[..count].iter().copied().eq(at..at + count as u64));
                }
            }
            (6, _, place) => {
                let start = [Start::Newest, Start::Oldest][input.below(2)];
                *place = None;
                let subscriber = all[which + 1].subscribe(start).expect("there is a cell");
                assert!(subscriber.position() <= sent);
                assert!(start == Start::Oldest || subscriber.position() == sent);
                *place = Some(subscriber);
            }
            (7, publisher, _) if input.byte() > 200 => {
                // Somebody else comes, or nobody does for a while.
                *publisher = match publisher.take() {
                    Some(_) => None,
                    None => Some(all[0].publisher().expect("nobody else is")),
                };
            }
            (7, _, place) => *place = None,
            _ => {}
        }
        assert_eq!(all[0].published(), sent);
    }
}

/// Peers that write anything and die at any time: whatever is answered, it is an answer.
fn wrong(input: &mut Input<'_>, region: Region<'_>, all: &[Steps<'_>], judges: &[ModelJudge]) {
    let mut publishers: Vec<Publisher<u64, &ModelJudge>> = Vec::new();
    let mut subscribers: Vec<Subscriber<u64, &ModelJudge>> = Vec::new();
    while !input.is_empty() {
        let who = input.below(PARTICIPANTS);
        match input.below(8) {
            0 => {
                let at = input.below(U64S.len() + ITEMS);
                let item = || (WORDS + 8 * (at - U64S.len())) as u64;
                let at = U64S.get(at).copied().unwrap_or_else(item);
                // The bells' marks are for who sleeps; nobody does.
                let word = [input.number(), u64::from(input.byte())][input.below(2)];
                let at = Offset::<u64>::new(at).expect("a multiple of 8");
                region.write(at, word).expect("inside");
            }
            1 => publishers.extend(all[who].publisher()),
            2 => {
                let start = [Start::Newest, Start::Oldest][input.below(2)];
                subscribers.extend(all[who].subscribe(start));
            }
            3 | 4 => {
                for publisher in &mut publishers {
                    _ = publisher.try_send(1);
                    _ = publisher.try_send_batch(&[1, 2, 3]);
                    _ = publisher.try_reserve().map(|draft| *draft);
                }
            }
            5 => {
                for subscriber in &mut subscribers {
                    _ = subscriber.try_recv();
                    _ = subscriber.try_recv_batch(&mut [0; 3]);
                    _ = subscriber.try_peek().map(|item| *item);
                    _ = (subscriber.len(), subscriber.try_wait_for_publisher());
                }
            }
            6 => _ = (publishers.pop(), subscribers.pop(), all[who].subscribers()),
            // The last one never dies.
            _ if who + 1 < PARTICIPANTS && input.byte() > 200 => {
                publishers.drain(..).for_each(std::mem::forget);
                subscribers.drain(..).for_each(std::mem::forget);
                judges[who].die();
            }
            _ => {}
        }
    }
}
