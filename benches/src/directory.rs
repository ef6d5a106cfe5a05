//! Making and finding named objects, of few and of many.

use std::time::{Duration, Instant};

use anyhow::Result;
use shmkit::{Atomic, Options, Segment};
use shmkit_benches::{Candidate, Group, Sample};

const FEW: u32 = 10;
const MANY: u32 = 10_000;
/// How much longer finding one of many may take than finding one of few.
const LIMIT: f64 = 2.0;
/// What the time that it takes to make all of them is called.
const MADE: &str = "10,000 made in ms";

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("find an object by name", 20_000, finder("one of 10,000", MANY)?)
            .at_most(LIMIT, finder("one of 10", FEW)?),
        Group::new("make an object", MANY, maker("10,000 in a row", MANY))
            .against(maker("10 in a row", FEW))
            .fact_at_most(MADE, 50.0),
    ])
}

/// A segment with room for so many objects at first, and more of them later.
fn segment(objects: u32, room: u32) -> Result<Segment> {
    Ok(Options::new(u64::from(room) * 1024).objects(objects).anonymous()?)
}

fn names(count: u32) -> Vec<String> {
    (0..count).map(|n| format!("object-{n}")).collect()
}

fn make(segment: &Segment, names: &[String]) -> Result<()> {
    for name in names {
        segment.make::<Atomic<u64>>(name, 7)?;
    }
    Ok(())
}

fn finder(what: &'static str, count: u32) -> Result<Candidate<'static>> {
    let (segment, names) = (segment(64, MANY)?, names(count));
    make(&segment, &names)?;
    Ok(Candidate::new(what, move |n| {
        let began = Instant::now();
        for i in 0..n as usize {
            // One far from the last.
            let name = &names[i * 7919 % names.len()];
            std::hint::black_box(segment.find::<Atomic<u64>>(name)?);
        }
        Ok(began.elapsed())
    }))
}

/// Makes objects by the `count` in new segments, which begin small.
fn maker(what: &'static str, count: u32) -> Candidate<'static> {
    let names = names(count);
    Candidate::new(what, move |n| {
        let (mut took, mut done) = (Duration::ZERO, 0);
        while done < n {
            let segment = segment(64, count)?;
            let began = Instant::now();
            make(&segment, &names)?;
            took += began.elapsed();
            done += count;
        }
        let of_many = took.as_secs_f64() * 1e3 / f64::from(done) * f64::from(MANY);
        Ok(Sample { took, facts: vec![(MADE, of_many)] })
    })
}
