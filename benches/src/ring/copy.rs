//! Large values through one of our pipes, beside bare copies to and from the same kind of memory.

use std::hint::black_box;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use shmkit::Objects;
use shmkit_benches::{Candidate, Shared};
use shmkit_layout::{Offset, Region};
use shmkit_segment::Options;

/// Bytes of a value.
pub(super) const BYTES: usize = 1 << 20;

type Value = [u64; BYTES / 8];

/// Where values come from and go to: at the beginning of a page, since the speed of a copy depends on that.
struct Ends {
    from: Shared<Value>,
    to: Shared<Value>,
}

impl Ends {
    fn new() -> Result<Self> {
        // SAFETY: numbers, which no child has.
        let from: Shared<Value> = unsafe { Shared::new() }?;
        // SAFETY: as above.
        let to: Shared<Value> = unsafe { Shared::new() }?;
        // SAFETY: mapped, and nobody else's.
        unsafe { (*from.get()).fill(7) };
        Ok(Self { from, to })
    }

    /// Does `copy` twice to warm up, then `n` times, and says how long that took.
    fn time(
        &self,
        n: u32,
        mut copy: impl FnMut(&Value, &mut Value) -> Result<()>,
    ) -> Result<Duration> {
        // SAFETY: mapped, and written to by nobody.
        let from = unsafe { &*self.from.get() };
        // SAFETY: mapped, and nobody else's for the length of this call.
        let to = unsafe { &mut *self.to.get() };
        to.fill(0);
        (0..2).try_for_each(|_| copy(from, to))?;
        let began = Instant::now();
        (0..n).try_for_each(|_| copy(from, to))?;
        let took = began.elapsed();
        ensure!(to == from, "another value came");
        Ok(took)
    }
}

/// Sends and receives each value in one thread: two copies and what a pipe does.
pub(super) fn ours() -> Result<Candidate<'static>> {
    let ends = Ends::new()?;
    Ok(Candidate::new("send_from + recv_into", move |n| {
        let segment = Options::new(4 << 20).anonymous()?;
        let pipe = segment.pipe::<Value>("values", 2)?;
        let (mut sender, mut receiver) = (pipe.sender()?, pipe.receiver()?);
        ends.time(n, |from, to| {
            sender.send_from(from)?;
            Ok(receiver.recv_into(to)?)
        })
    }))
}

pub(super) fn bare() -> Result<Candidate<'static>> {
    let ends = Ends::new()?;
    // SAFETY: numbers.
    let places: Shared<[Value; 3]> = unsafe { Shared::new() }?;
    Ok(Candidate::new("two copies", move |n| {
        let mut round = 0;
        ends.time(n, |from, to| {
            round += 1;
            // Where a pipe's items begin in a page.
            let place = places.get().cast::<u8>().wrapping_add(2048).cast::<Value>();
            let place = place.wrapping_add(round % 2);
            // SAFETY: both are a value long, and apart; nobody else uses the mapping.
            unsafe { ptr::copy_nonoverlapping(from, place, 1) };
            // Else the compiler sees that the second copy may come from where the first one does, which is in the cache.
            let place = black_box(place);
            // SAFETY: as above.
            unsafe { ptr::copy_nonoverlapping(place, to, 1) };
            Ok(())
        })
    }))
}

/// A value into a region and out of it.
pub(super) fn region<const WORDS: usize>() -> Result<Candidate<'static>> {
    // SAFETY: numbers.
    let place: Shared<[u64; WORDS]> = unsafe { Shared::new() }?;
    Ok(Candidate::new("write_from + read_into", move |n| {
        let base = NonNull::new(place.get()).expect("mapped").cast();
        // SAFETY: mapped for as long as `place`, and nobody has a reference to it.
        let region = unsafe { Region::from_raw_parts(base, size_of::<[u64; WORDS]>()) };
        let (value, mut to) = ([7; WORDS], [0; WORDS]);
        let began = Instant::now();
        for _ in 0..n {
            region.write_from(Offset::ZERO, black_box(&value))?;
            region.read_into(Offset::ZERO, black_box(&mut to))?;
        }
        Ok(began.elapsed())
    }))
}

/// The same by plain copies.
pub(super) fn plain<const WORDS: usize>() -> Result<Candidate<'static>> {
    // SAFETY: numbers.
    let place: Shared<[u64; WORDS]> = unsafe { Shared::new() }?;
    Ok(Candidate::new("two copies", move |n| {
        let (value, mut to) = ([7; WORDS], [0; WORDS]);
        let began = Instant::now();
        for _ in 0..n {
            // SAFETY: mapped, and nobody else's.
            unsafe { ptr::copy_nonoverlapping(black_box(&value), place.get(), 1) };
            // Else the second copy may come from where the first one does.
            let place = black_box(place.get());
            // SAFETY: as above.
            unsafe { ptr::copy_nonoverlapping(place, black_box(&mut to), 1) };
        }
        Ok(began.elapsed())
    }))
}
