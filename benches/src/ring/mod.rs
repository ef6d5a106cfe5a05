//! Pipes between two processes.

mod bare;
mod copy;
mod frames;
mod kernel;
mod loan;
mod ours;
mod peers;
mod runtime;

use std::ops::Range;

use anyhow::Result;
use shmkit_benches::Group;

/// Items a ring has room for.
const CAPACITY: usize = 1024;
/// Items moved at a time where it is not one.
const BATCH: usize = 64;
/// Bytes of a message that is streamed.
const LONG: usize = 1 << 20;
/// Items of one sample.
const ITEMS: u32 = 256 * 1024;

/// The items of the first lap, which is not measured: it touches all pages and fills all caches.
fn lap() -> Range<u64> {
    0..CAPACITY as u64
}

/// The items that are measured.
fn numbers(n: u32) -> Range<u64> {
    lap().end..lap().end + u64::from(n)
}

/// What is moved: the item's number, `WORDS` times.
type Item<const WORDS: usize> = [u64; WORDS];

fn item<const WORDS: usize>(number: u64) -> Item<WORDS> {
    [number; WORDS]
}

/// Returns whether an item is that of the number.
fn is<const WORDS: usize>(found: &Item<WORDS>, number: u64) -> bool {
    found.iter().fold(0, |other, word| other | (word ^ number)) == 0
}

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        singles::<1>("throughput, 8 bytes")?,
        singles::<8>("throughput, 64 bytes")?,
        singles::<32>("throughput, 256 bytes")?,
        batches::<1>("throughput, 8 bytes, batches of 64"),
        batches::<8>("throughput, 64 bytes, batches of 64"),
        batches::<32>("throughput, 256 bytes, batches of 64"),
        Group::new("loan of 4 KiB", 1 << 15, loan::ours::<512>()).at_most(1.0, loan::rtrb::<512>()),
        Group::new("loan of 1 MiB", 1 << 12, loan::ours::<{ 1 << 17 }>())
            .at_most(1.0, loan::rtrb::<{ 1 << 17 }>()),
        Group::new("copy of 1 MiB", 40, copy::ours()?).at_most(1.0 / 0.95, copy::bare()?),
        Group::new("region, 64 bytes in and out", 200_000, copy::region::<8>()?)
            .against(copy::plain::<8>()?),
        Group::new("region, 4 KiB in and out", 10_000, copy::region::<512>()?)
            .at_most(1.0 / 0.95, copy::plain::<512>()?),
        Group::new("spinning round trip", 20_000, ours::spinning_round_trip())
            .at_most(1.0, peers::rtrb_round_trip())
            .against(bare::round_trip()?),
        Group::new("blocking round trip", 3_000, ours::blocking_round_trip())
            .against(kernel::round_trip()),
        Group::new("sleeping round trip", 3_000, frames::sleeping_round_trip())
            .at_most(1.15, frames::futex_round_trip()?),
        Group::new("frames of 64 bytes", ITEMS / 2, frames::singles::<8>(1024))
            .at_most(1.0, frames::typed::<8>(1024)),
        Group::new("frames of 4 KiB", 1 << 14, frames::singles::<512>(64))
            .at_most(1.0, frames::typed::<512>(64)),
        Group::new("frames of 1 MiB, streamed in one thread", 40, frames::near())
            .at_most(1.0 / 0.9, copy::bare()?),
        Group::new("frames of 1 MiB, streamed to another process", 200, frames::stream())
            .at_most(0.5, peers::rtrb_long())
            .at_most(0.5, kernel::long()),
        Group::new("round trip in tokio", 2_000, runtime::round_trip())
            .at_most(1.3, runtime::socket_round_trip()),
        Group::new("throughput in tokio, 64 bytes", 1 << 15, runtime::throughput())
            .at_most(1.0 / 5.0, runtime::socket_throughput()),
    ])
}

fn singles<const WORDS: usize>(name: &'static str) -> Result<Group<'static>> {
    let group = Group::new(name, ITEMS >> (WORDS.ilog2() / 2), ours::singles::<WORDS>())
        .at_most(1.0 / 1.3, peers::rtrb_singles::<WORDS>())
        .at_most(1.0 / 1.3, peers::ringbuf_singles::<WORDS>())
        .against(bare::singles::<WORDS>()?);
    Ok(match WORDS {
        1 => group.against(kernel::singles::<8>()),
        8 => group.against(kernel::singles::<64>()),
        _ => group,
    })
}

fn batches<const WORDS: usize>(name: &'static str) -> Group<'static> {
    Group::new(name, ITEMS >> (WORDS.ilog2() / 2), ours::batches::<WORDS>(BATCH))
        .at_most(1.0, peers::rtrb_batches::<WORDS>(BATCH))
        .at_most(1.0, peers::ringbuf_batches::<WORDS>(BATCH))
}
