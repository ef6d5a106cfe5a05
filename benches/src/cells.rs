//! Values, numbers, arrays and snapshots beside what a program would write without them.

use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::AcqRel;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use crossbeam_utils::atomic::AtomicCell;
use shmkit::{Objects, Options, Segment, Snapshot};
use shmkit_benches::{Candidate, Group, time_processes, time_threads};

/// 64 bytes.
type Line = [u64; 8];

const KIB: usize = 1 << 10;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let segment: &'static Segment = Options::new(140 << 20).anonymous()?.leak();
    Ok(vec![
        value(segment)?,
        number(segment)?,
        snapshot(segment)?,
        snapshot_beside_a_writer(segment)?,
        array(segment, "copy 4 KiB out of an array", 4 * KIB)?,
        array(segment, "copy 1 MiB out of an array", KIB * KIB)?,
        array(segment, "copy 64 MiB out of an array", 64 * KIB * KIB)?,
    ])
}

/// Does it `n` times, and says how long that took.
fn timed(n: u32, mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    for _ in 0..n {
        work()?;
    }
    Ok(began.elapsed())
}

fn value(segment: &'static Segment) -> Result<Group<'static>> {
    let value = segment.value::<Line>("value", [0; 8])?;
    let ours = Candidate::new("Value::update", move |n| {
        timed(n, || Ok(black_box(&value).update(|line| line[0] += 1)?))
    });
    let mutex = segment.mutex::<Line>("mutex", [0; 8])?;
    let bare = Candidate::new("Mutex + copy", move |n| {
        timed(n, || {
            let mut guard = black_box(&mutex).lock().map_err(|error| anyhow!("{error}"))?;
            let mut line = *guard;
            line[0] += 1;
            *guard = black_box(line);
            Ok(())
        })
    });
    Ok(Group::new("update 64 bytes", 500_000, ours).at_most(1.3, bare))
}

fn number(segment: &'static Segment) -> Result<Group<'static>> {
    let atomic = segment.atomic("number", 0_u64)?;
    let ours = Candidate::new("Atomic::fetch_add", move |n| {
        timed(n, || {
            black_box(black_box(&atomic).fetch_add(1));
            Ok(())
        })
    });
    let number = AtomicU64::new(0);
    let bare = Candidate::new("AtomicU64::fetch_add", move |n| {
        timed(n, || {
            // AcqRel: as ours does.
            black_box(black_box(&number).fetch_add(1, AcqRel));
            Ok(())
        })
    });
    Ok(Group::new("add to a number", 2_000_000, ours).at_most(1.05, bare))
}

fn read(snapshot: &Snapshot<Line>) -> Result<()> {
    black_box(black_box(snapshot).load()?);
    Ok(())
}

fn snapshot(segment: &'static Segment) -> Result<Group<'static>> {
    let snapshot = segment.snapshot::<Line>("snapshot", [0; 8])?;
    let ours = Candidate::new("Snapshot::load", move |n| timed(n, || read(&snapshot)));
    let cell = AtomicCell::<Line>::new([0; 8]);
    let theirs = Candidate::new("crossbeam AtomicCell", move |n| {
        timed(n, || {
            black_box(black_box(&cell).load());
            Ok(())
        })
    });
    Ok(Group::new("load 64 bytes", 1_000_000, ours).against(theirs))
}

/// Ours between processes, as it is meant to be used; theirs between threads.
fn snapshot_beside_a_writer(segment: &'static Segment) -> Result<Group<'static>> {
    let snapshot = segment.snapshot::<Line>("written", [0; 8])?;
    let ours = Candidate::new("Snapshot::load", move |n| {
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut writer = snapshot.writer()?;
                start.together();
                (0..n).try_for_each(|i| Ok(writer.store([u64::from(i); 8])?))
            },
            |start| {
                start.together();
                timed(n, || read(&snapshot)).map(drop)
            },
        )
    });
    let cell = AtomicCell::<Line>::new([0; 8]);
    let theirs = Candidate::new("crossbeam AtomicCell", move |n| {
        time_threads(
            |start| {
                start.together();
                (0..n).for_each(|i| cell.store([u64::from(i); 8]));
                Ok(())
            },
            |start| {
                start.together();
                timed(n, || {
                    black_box(cell.load());
                    Ok(())
                })
                .map(drop)
            },
        )
    });
    Ok(Group::new("load 64 bytes beside a writer", 100_000, ours).against(theirs))
}

/// Copies all of an array, beside `memcpy` of the same bytes.
fn array(segment: &'static Segment, name: &'static str, bytes: usize) -> Result<Group<'static>> {
    let len = bytes / size_of::<u64>();
    let array = segment.array::<u64>(name, len)?;
    array.fill(1)?;
    let mut into = vec![0_u64; len];
    let ours = Candidate::new("Array::read_into", move |n| {
        timed(n, || Ok(black_box(&array).read_into(.., black_box(&mut into))?))
    });
    let (from, mut to) = (vec![1_u64; len], vec![0_u64; len]);
    let bare = Candidate::new("memcpy", move |n| {
        let took = timed(n, || {
            black_box(&mut to).copy_from_slice(black_box(&from));
            Ok(())
        })?;
        ensure!(to[len - 1] == 1, "nothing was copied");
        Ok(took)
    });
    let per_sample = u32::try_from((256 * KIB * KIB / bytes).clamp(3, 20_000))?;
    Ok(Group::new(name, per_sample, ours).at_most(1.0 / 0.95, bare))
}
