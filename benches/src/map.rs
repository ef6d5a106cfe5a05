//! A map of two processes beside those of two threads.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use dashmap::DashMap;
use shmkit::{Objects, Options, Segment, ShmMap};
use shmkit_benches::{Candidate, Group, time_processes, time_threads};

pub(crate) type Key = [u8; 16];
pub(crate) type Value = [u64; 8];

/// Operations of a sample, by each of the two.
const OPERATIONS: u32 = 40_000;
/// Entries of a map.
pub(crate) const ENTRIES: u64 = 20_000;

/// What is done to a map.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Get,
    Insert,
}

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("get 64 bytes by 16, two at a time", OPERATIONS, ours(What::Get)?)
            .at_most(2.0, dashed(What::Get))
            .against(locked(What::Get)),
        Group::new("insert 64 bytes by 16, two at a time", OPERATIONS, ours(What::Insert)?)
            .against(dashed(What::Insert))
            .against(locked(What::Insert)),
    ])
}

/// A map of keys and values, in whatever way.
pub(crate) trait Map {
    fn get(&self, key: &Key) -> Result<Option<Value>>;
    fn insert(&self, key: &Key, value: &Value) -> Result<Option<Value>>;
}

impl Map for ShmMap<Key, Value> {
    fn get(&self, key: &Key) -> Result<Option<Value>> {
        Ok(self.get(key)?)
    }

    fn insert(&self, key: &Key, value: &Value) -> Result<Option<Value>> {
        Ok(self.insert(key, value)?)
    }
}

impl Map for DashMap<Key, Value> {
    fn get(&self, key: &Key) -> Result<Option<Value>> {
        Ok(self.get(key).map(|value| *value))
    }

    fn insert(&self, key: &Key, value: &Value) -> Result<Option<Value>> {
        Ok(self.insert(*key, *value))
    }
}

impl Map for Mutex<HashMap<Key, Value>> {
    fn get(&self, key: &Key) -> Result<Option<Value>> {
        Ok(self.lock().ok().context("poisoned")?.get(key).copied())
    }

    fn insert(&self, key: &Key, value: &Value) -> Result<Option<Value>> {
        Ok(self.lock().ok().context("poisoned")?.insert(*key, *value))
    }
}

fn key(number: u64) -> Key {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_ne_bytes());
    key[8..].copy_from_slice(&mixed.to_ne_bytes());
    key
}

pub(crate) fn fill(map: &impl Map) -> Result<()> {
    (0..ENTRIES).try_for_each(|n| map.insert(&key(n), &[n; 8]).map(drop))
}

/// What each of the two does: keys in an order that no prefetcher foresees.
pub(crate) fn work(map: &impl Map, what: What, operations: u32, seed: u64) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..operations {
        let number = random.u64(..ENTRIES);
        let found = match what {
            What::Get => map.get(black_box(&key(number)))?,
            What::Insert => map.insert(black_box(&key(number)), &[number; 8])?,
        };
        black_box(found.context("every key is there")?);
    }
    Ok(())
}

fn ours(what: What) -> Result<Candidate<'static>> {
    let segment: &Segment = Options::new(20 << 20).anonymous()?.leak();
    let map: ShmMap<Key, Value> = segment.map("map", 16 << 20)?;
    fill(&map)?;
    Ok(Candidate::new("ShmMap", move |operations| {
        time_processes(
            |start| {
                segment.join_after_fork()?;
                // Its seat at the heap is taken, and its hints are found, before.
                work(&map, what, 100, 3)?;
                start.together();
                work(&map, what, operations, 1)
            },
            |start| {
                start.together();
                work(&map, what, operations, 2)
            },
        )
    }))
}

fn threads(map: &(impl Map + Sync), what: What, operations: u32) -> Result<Duration> {
    time_threads(
        |start| {
            start.together();
            work(map, what, operations, 1)
        },
        |start| {
            start.together();
            work(map, what, operations, 2)
        },
    )
}

fn dashed(what: What) -> Candidate<'static> {
    let map = DashMap::new();
    let mut filled = false;
    Candidate::new("dashmap", move |operations| {
        if !std::mem::replace(&mut filled, true) {
            fill(&map)?;
        }
        threads(&map, what, operations)
    })
}

fn locked(what: What) -> Candidate<'static> {
    let map = Mutex::new(HashMap::new());
    let mut filled = false;
    Candidate::new("std HashMap in a Mutex", move |operations| {
        if !std::mem::replace(&mut filled, true) {
            fill(&map)?;
        }
        threads(&map, what, operations)
    })
}
