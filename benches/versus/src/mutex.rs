//! Uncontended lock and unlock.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow};
use shmkit::Objects;
use shmkit_benches::{Candidate, Group};
use shmkit_segment::{Options, Segment};

use crate::theirs;

pub(crate) fn group() -> Result<Group<'static>> {
    let segment: &'static Segment = Options::new(1 << 16).anonymous()?.leak();
    let mutex = segment.mutex("mutex", 0u64)?;
    let ours = Candidate::new("shmkit Mutex", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            drop(black_box(&mutex).lock().map_err(|error| anyhow!("{error}"))?);
        }
        Ok(began.elapsed())
    });
    let mutex = theirs::mutex()?;
    let peer = Candidate::new("raw_sync Mutex", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            drop(black_box(&mutex).lock().map_err(theirs::failed)?);
        }
        Ok(began.elapsed())
    });
    Ok(Group::new("uncontended lock + unlock", 300_000, ours).against(peer))
}
