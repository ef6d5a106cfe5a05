//! What a process does until it is killed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use shmkit::Segment;

use crate::toys::Toy;
use crate::witness::Me;

/// Joins, and uses what there is until it is killed or something is wrong; returns what.
pub(crate) fn run(
    segment: &Segment,
    toys: &[Box<dyn Toy + '_>],
    me: Me<'_>,
    began: Instant,
    seed: u64,
) -> String {
    let ended = catch_unwind(AssertUnwindSafe(|| live(segment, toys, me, began, seed)));
    ended.unwrap_or_else(|_| "it panicked".to_owned())
}

fn live(
    segment: &Segment,
    toys: &[Box<dyn Toy + '_>],
    me: Me<'_>,
    began: Instant,
    seed: u64,
) -> String {
    if let Err(error) = segment.join_after_fork() {
        return format!("it cannot join: {error}");
    }
    let mut random = fastrand::Rng::with_seed(seed ^ me.number());
    loop {
        let n = random.usize(..toys.len());
        let toy = &toys[n];
        me.begin(n, began.elapsed().as_millis() as u64);
        let start = Instant::now();
        if let Err(what) = toy.play(me, n, &mut random) {
            return format!("{}: {what}", toy.name());
        }
        let took = start.elapsed();
        // What it waited for on purpose is no recovery.
        me.end(n, took.saturating_sub(toy.patience()));
        if random.u8(..) < 8 {
            std::thread::sleep(Duration::from_micros(random.u64(..300)));
        }
    }
}
