//! Uncontended lock and unlock.

use std::hint::black_box;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use anyhow::{Result, ensure};
use shmkit::Objects;
use shmkit_benches::{Candidate, Group, Shared};
use shmkit_segment::{Options, Segment};

use crate::pthread::PthreadMutex;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let segment: &'static Segment = Options::new(1 << 16).anonymous()?.leak();
    let mutex = segment.mutex("mutex", 0u64)?;
    let ours = Candidate::new("Mutex", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            let guard = black_box(&mutex).lock().map_err(|error| anyhow::anyhow!("{error}"))?;
            drop(guard);
        }
        Ok(began.elapsed())
    });
    // SAFETY: an atomic number.
    let word: Shared<AtomicU32> = unsafe { Shared::new() }?;
    let bare = Candidate::new("compare-exchange + swap", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            let word = black_box(&*word);
            // Acquire and Release: what any lock needs at least.
            ensure!(word.compare_exchange(0, 1, Acquire, Relaxed).is_ok(), "the bare lock is held");
            word.swap(0, Release);
        }
        Ok(began.elapsed())
    });
    let std = std::sync::Mutex::new(0u64);
    let std = Candidate::new("std::sync::Mutex", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            drop(black_box(&std).lock().expect("nobody panics with this lock"));
        }
        Ok(began.elapsed())
    });
    let group = Group::new("uncontended lock + unlock", 500_000, ours)
        .at_most(0.75, pthread("glibc robust process-shared", true)?)
        .against(pthread("glibc process-shared", false)?)
        .at_most(1.1, bare)
        .at_most(1.1, std);
    Ok(vec![group, through_a_guard(segment)?])
}

/// What a guard costs whenever the data are looked at.
fn through_a_guard(segment: &'static Segment) -> Result<Group<'static>> {
    const NUMBERS: usize = 1_000;
    let mutex = segment.mutex("numbers", [0_u64; NUMBERS])?;
    let ours = Candidate::new("guard[i] += 1", move |n| {
        let mut guard = mutex.lock().map_err(|error| anyhow::anyhow!("{error}"))?;
        let began = Instant::now();
        for _ in 0..n {
            for i in 0..black_box(NUMBERS) {
                guard[i] += 1;
            }
            black_box(&mut guard);
        }
        Ok(began.elapsed())
    });
    let mut numbers = Box::new([0_u64; NUMBERS]);
    let plain = Candidate::new("slice[i] += 1", move |n| {
        let mut slice = &mut *numbers;
        let began = Instant::now();
        for _ in 0..n {
            #[expect(clippy::needless_range_loop, reason = "the same work as through a guard")]
            for i in 0..black_box(NUMBERS) {
                slice[i] += 1;
            }
            black_box(&mut slice);
        }
        Ok(began.elapsed())
    });
    Ok(Group::new("1,000 numbers under a held lock", 2_000, ours).at_most(1.05, plain))
}

fn pthread(name: &'static str, robust: bool) -> Result<Candidate<'static>> {
    let mutex = PthreadMutex::new(robust)?;
    Ok(Candidate::new(name, move |n| {
        let began = Instant::now();
        for _ in 0..n {
            ensure!(black_box(&mutex).lock_and_unlock(), "pthread_mutex_lock or unlock failed");
        }
        Ok(began.elapsed())
    }))
}
