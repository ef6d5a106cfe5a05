//! Blocks of a heap beside those of an allocator for threads, which is at its best where a thread frees its own.

use std::alloc::{GlobalAlloc, Layout};
use std::collections::VecDeque;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mimalloc::MiMalloc;
use shmkit::{BlockId, Heap, Objects, Options};
use shmkit_benches::{Candidate, Group, time_threads};

#[cfg(boost)]
use crate::boost::Boost;

/// Blocks of a sample.
const BLOCKS: u32 = 40_000;
/// How many live at a time.
const LIVE: usize = 200;
/// Blocks that are handed over together.
const BATCH: usize = 32;
/// Sizes, in bytes, one after the other.
const SIZES: [usize; 8] = [24, 100, 48, 300, 64, 1000, 24, 160];

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let heap = || -> Result<Heap> {
        Ok(Options::new(20 << 20).anonymous()?.leak().heap("heap", 16 << 20)?)
    };
    let (one, two) = (heap()?, heap()?);
    let groups = vec![
        Group::new(
            "a block reserved, kept and freed, 200 live",
            BLOCKS,
            Candidate::new("Heap", move |blocks| one_thread(blocks, &one)),
        )
        .against(Candidate::new("mimalloc", |blocks| one_thread(blocks, &Mimalloc))),
        Group::new(
            "a block reserved here and freed by another thread",
            BLOCKS,
            Candidate::new("Heap", move |blocks| two_threads(blocks, &two)),
        )
        .at_most(2.0, Candidate::new("mimalloc", |blocks| two_threads(blocks, &Mimalloc))),
    ];
    against_boost(groups)
}

/// Adds Boost's managed segment to both: a third of its time at most.
#[cfg(boost)]
fn against_boost(groups: Vec<Group<'static>>) -> Result<Vec<Group<'static>>> {
    use std::sync::Arc;

    let boost = Arc::new(Boost::new(16 << 20)?);
    let [one, two] = [boost.clone(), boost];
    let boost = [
        Candidate::new("Boost.Interprocess", move |blocks| one_thread(blocks, &*one)),
        Candidate::new("Boost.Interprocess", move |blocks| two_threads(blocks, &*two)),
    ];
    Ok(groups
        .into_iter()
        .zip(boost)
        .map(|(group, boost)| group.at_most(1.0 / 3.0, boost))
        .collect())
}

#[cfg(not(boost))]
fn against_boost(groups: Vec<Group<'static>>) -> Result<Vec<Group<'static>>> {
    eprintln!(
        "LEFT OUT: heap against Boost.Interprocess: there was no C++ compiler, or no headers (libboost-dev), when this \
         was built"
    );
    Ok(groups)
}

/// Something that blocks come from.
trait Source: Sync {
    fn take(&self, size: usize) -> Result<u64>;
    fn give(&self, block: u64, size: usize) -> Result<()>;
}

impl Source for Heap {
    fn take(&self, size: usize) -> Result<u64> {
        let mut block = self.reserve_bytes(size)?;
        black_box(&mut block.as_mut_slice()[0]);
        block.as_mut_slice()[..8].fill(1);
        Ok(block.keep()?.get())
    }

    fn give(&self, block: u64, _: usize) -> Result<()> {
        Ok(self.free(BlockId::from_number(block))?)
    }
}

struct Mimalloc;

impl Source for Mimalloc {
    fn take(&self, size: usize) -> Result<u64> {
        // SAFETY: a size that is not 0.
        let block = unsafe { MiMalloc.alloc(Layout::from_size_align(size, 16)?) };
        let first = std::ptr::NonNull::new(block).ok_or_else(|| anyhow!("no memory"))?;
        // SAFETY: 8 bytes of a block of 24 at least.
        unsafe { black_box(first).write_bytes(1, 8) };
        Ok(block.addr() as u64)
    }

    fn give(&self, block: u64, size: usize) -> Result<()> {
        let block = std::ptr::with_exposed_provenance_mut(block as usize);
        // SAFETY: `take` made it of this size, and it is given once.
        unsafe { MiMalloc.dealloc(block, Layout::from_size_align(size, 16)?) };
        Ok(())
    }
}

#[cfg(boost)]
impl Source for Boost {
    fn take(&self, size: usize) -> Result<u64> {
        let block = Boost::take(self, size)?;
        // SAFETY: 8 bytes of a block of 24 at least.
        unsafe { black_box(block).write_bytes(1, 8) };
        Ok(block.as_ptr().expose_provenance() as u64)
    }

    fn give(&self, block: u64, _: usize) -> Result<()> {
        // SAFETY: `take` returned it, and it is given once.
        unsafe { Boost::give(self, std::ptr::with_exposed_provenance_mut(block as usize)) };
        Ok(())
    }
}

fn size(number: usize) -> usize {
    SIZES[number % SIZES.len()]
}

fn one_thread(blocks: u32, source: &impl Source) -> Result<Duration> {
    let mut live = VecDeque::with_capacity(LIVE + 1);
    let began = Instant::now();
    for number in 0..blocks as usize {
        live.push_back((source.take(size(number))?, number));
        if live.len() > LIVE {
            let (block, number) = live.pop_front().expect("not empty");
            source.give(block, size(number))?;
        }
    }
    let took = began.elapsed();
    live.into_iter().try_for_each(|(block, number)| source.give(block, size(number)))?;
    Ok(took)
}

fn two_threads(blocks: u32, source: &impl Source) -> Result<Duration> {
    let batches = blocks as usize / BATCH;
    let (mut to, mut from) = rtrb::RingBuffer::<[u64; BATCH]>::new(16);
    time_threads(
        move |start| {
            start.together();
            for _ in 0..batches {
                let batch = loop {
                    match from.pop() {
                        Ok(batch) => break batch,
                        Err(_) => std::hint::spin_loop(),
                    }
                };
                for (number, block) in batch.into_iter().enumerate() {
                    source.give(block, size(number))?;
                }
            }
            Ok(())
        },
        move |start| {
            start.together();
            for _ in 0..batches {
                let mut batch = [0; BATCH];
                for (number, block) in batch.iter_mut().enumerate() {
                    *block = source.take(size(number))?;
                }
                while let Err(rtrb::PushError::Full(back)) = to.push(batch) {
                    batch = back;
                    std::hint::spin_loop();
                }
            }
            Ok(())
        },
    )
}
