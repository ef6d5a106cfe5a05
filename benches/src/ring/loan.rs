//! Large items that are written and read where they lie: nothing is copied, so that only the hand-over is measured.

use anyhow::{Result, ensure};
use rtrb::RingBuffer;
use shmkit::Objects;
use shmkit_benches::{Candidate, time_processes, time_threads};
use shmkit_segment::Options;

use super::numbers;
use super::ours::spin;

/// Items of a ring.
const PLACES: usize = 4;

type Item<const WORDS: usize> = [u64; WORDS];

/// Marks an item as the one of its number: what a program writes is its own time.
fn mark<const WORDS: usize>(item: &mut Item<WORDS>, number: u64) {
    (item[0], item[WORDS - 1]) = (number, number);
}

fn is<const WORDS: usize>(item: &Item<WORDS>, number: u64) -> bool {
    (item[0], item[WORDS - 1]) == (number, number)
}

pub(super) fn ours<const WORDS: usize>() -> Candidate<'static> {
    Candidate::new("reserve + peek", |n| {
        let bytes = ((PLACES + 1) * size_of::<Item<WORDS>>()) as u64 + (1 << 20);
        let segment = Options::new(bytes).anonymous()?;
        let pipe = segment.pipe::<Item<WORDS>>("loans", PLACES as u64)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut sender = pipe.sender()?;
                let mut lend = |number| -> Result<()> {
                    let mut slots = sender.reserve(1)?;
                    mark(&mut slots.as_mut_slices().0[0], number);
                    Ok(slots.commit(1)?)
                };
                (0..PLACES as u64).try_for_each(&mut lend)?;
                start.together();
                numbers(n).try_for_each(lend)
            },
            |start| {
                let mut receiver = pipe.receiver()?;
                let mut read = |number| -> Result<()> {
                    let items = receiver.peek()?;
                    ensure!(is(&items.as_slices().0[0], number), "out of order");
                    Ok(items.release(1)?)
                };
                (0..PLACES as u64).try_for_each(&mut read)?;
                start.together();
                numbers(n).try_for_each(read)
            },
        )
    })
}

pub(super) fn rtrb<const WORDS: usize>() -> Candidate<'static> {
    Candidate::new("rtrb", |n| {
        let (mut producer, mut consumer) = RingBuffer::<Item<WORDS>>::new(PLACES);
        time_threads(
            |start| {
                let mut lend = |number| {
                    spin(|| (producer.slots() > 0).then_some(()));
                    let mut chunk = producer.write_chunk_uninit(1).expect("a place is free");
                    let place = chunk.as_mut_slices().0[0].as_mut_ptr();
                    if number < PLACES as u64 {
                        // SAFETY: one item, which nobody else touches.
                        unsafe { place.write_bytes(0, 1) };
                    }
                    // SAFETY: the first lap has made it an item.
                    mark(unsafe { &mut *place }, number);
                    // SAFETY: as above.
                    unsafe { chunk.commit_all() };
                };
                (0..PLACES as u64).for_each(&mut lend);
                start.together();
                numbers(n).for_each(lend);
                Ok(())
            },
            |start| {
                let mut read = |number| {
                    spin(|| (consumer.slots() > 0).then_some(()));
                    let chunk = consumer.read_chunk(1)?;
                    ensure!(is(&chunk.as_slices().0[0], number), "out of order");
                    chunk.commit_all();
                    Ok(())
                };
                (0..PLACES as u64).try_for_each(&mut read)?;
                start.together();
                numbers(n).try_for_each(read)
            },
        )
    })
}
