//! What is behind a dictionary.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use shmkit_derive::manager;

use crate::blob::Blob;

/// Keys and values as they were packed, in the order in which the keys came.
pub struct Entries {
    /// By the number that the key was given.
    order: BTreeMap<u64, (Blob, Blob)>,
    numbers: HashMap<Blob, u64>,
    next: u64,
    /// How often a key came or went.
    version: u64,
}

/// What an iteration finds.
///
/// Closed: both sides are of this crate.
#[derive(Serialize, Deserialize)]
pub enum Step {
    /// An entry, and its number.
    Entry(u64, Blob, Blob),
    End,
    Changed,
}

#[manager(crate = crate, proxy = EntriesProxy)]
impl Entries {
    pub fn new(all: Vec<(Blob, Blob)>) -> Self {
        let (order, numbers) = (BTreeMap::new(), HashMap::new());
        let mut this = Self { order, numbers, next: 0, version: 0 };
        this.extend(all);
        this
    }

    pub fn insert(&mut self, key: Blob, value: Blob) -> Option<Blob> {
        if let Some(number) = self.numbers.get(&key)
            && let Some((_, there)) = self.order.get_mut(number)
        {
            return Some(std::mem::replace(there, value));
        }
        self.version += 1;
        self.next += 1;
        self.numbers.insert(key.clone(), self.next);
        self.order.insert(self.next, (key, value));
        None
    }

    pub fn extend(&mut self, all: Vec<(Blob, Blob)>) {
        for (key, value) in all {
            self.insert(key, value);
        }
    }

    pub fn get_or_insert(&mut self, key: Blob, value: Blob) -> Blob {
        match self.get(key.clone()) {
            Some(there) => there,
            None => {
                self.insert(key, value.clone());
                value
            }
        }
    }

    pub fn get(&self, key: Blob) -> Option<Blob> {
        self.order.get(self.numbers.get(&key)?).map(|(_, value)| value.clone())
    }

    pub fn contains(&self, key: Blob) -> bool {
        self.numbers.contains_key(&key)
    }

    pub fn remove(&mut self, key: Blob) -> Option<Blob> {
        let number = self.numbers.remove(&key)?;
        self.version += 1;
        self.order.remove(&number).map(|(_, value)| value)
    }

    pub fn pop_last(&mut self) -> Option<(Blob, Blob)> {
        let (_, (key, value)) = self.order.pop_last()?;
        self.numbers.remove(&key);
        self.version += 1;
        Some((key, value))
    }

    pub fn clear(&mut self) {
        self.order.clear();
        self.numbers.clear();
        self.version += 1;
    }

    pub fn len(&self) -> u64 {
        self.order.len() as u64
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// The entry behind that of a number, if nothing has come or gone since.
    pub fn after(&self, number: u64, version: u64) -> Step {
        if version != self.version {
            return Step::Changed;
        }
        match self.order.range(number + 1..).next() {
            Some((&number, (key, value))) => Step::Entry(number, key.clone(), value.clone()),
            None => Step::End,
        }
    }

    pub fn keys(&self) -> Vec<Blob> {
        self.order.values().map(|(key, _)| key.clone()).collect()
    }

    pub fn values(&self) -> Vec<Blob> {
        self.order.values().map(|(_, value)| value.clone()).collect()
    }

    pub fn all(&self) -> Vec<(Blob, Blob)> {
        self.order.values().cloned().collect()
    }
}
