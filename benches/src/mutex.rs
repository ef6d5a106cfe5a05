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
    Ok(vec![group])
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
