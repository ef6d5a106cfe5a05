//! What is behind a list.

use shmkit_derive::manager;

use crate::blob::Blob;

/// How many items a list may be repeated to: a number costs nothing to say.
const MOST: usize = 1 << 20;

/// Items as they were packed.
pub struct Items {
    all: Vec<Blob>,
    /// How often it was changed.
    version: u64,
}

#[manager(crate = crate, proxy = ItemsProxy)]
impl Items {
    pub fn new(all: Vec<Blob>) -> Self {
        Self { all, version: 0 }
    }

    pub fn len(&self) -> u64 {
        self.all.len() as u64
    }

    pub fn get(&self, at: u64) -> Option<Blob> {
        self.all.get(usize::try_from(at).ok()?).cloned()
    }

    pub fn set(&mut self, at: u64, item: Blob) -> Option<Blob> {
        let there = self.all.get_mut(usize::try_from(at).ok()?)?;
        self.version += 1;
        Some(std::mem::replace(there, item))
    }

    pub fn insert(&mut self, at: u64, item: Blob) {
        let at = usize::try_from(at).unwrap_or(usize::MAX).min(self.all.len());
        self.version += 1;
        self.all.insert(at, item);
    }

    pub fn extend(&mut self, items: Vec<Blob>) {
        self.version += 1;
        self.all.extend(items);
    }

    pub fn remove(&mut self, at: u64) -> Option<Blob> {
        let at = usize::try_from(at).ok().filter(|&at| at < self.all.len())?;
        self.version += 1;
        Some(self.all.remove(at))
    }

    pub fn pop(&mut self) -> Option<Blob> {
        self.version += 1;
        self.all.pop()
    }

    pub fn slice(&self, from: u64, to: u64) -> Vec<Blob> {
        let (from, to) = self.within(from, to);
        self.all[from..to].to_vec()
    }

    pub fn splice(&mut self, from: u64, to: u64, items: Vec<Blob>) -> Vec<Blob> {
        let (from, to) = self.within(from, to);
        self.version += 1;
        self.all.splice(from..to, items).collect()
    }

    fn within(&self, from: u64, to: u64) -> (usize, usize) {
        let inside = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.all.len());
        let from = inside(from);
        (from, inside(to).max(from))
    }

    pub fn repeat(&mut self, times: u64) -> bool {
        let len = usize::try_from(times).ok().and_then(|times| times.checked_mul(self.all.len()));
        let Some(len) = len.filter(|&len| len <= MOST) else { return false };
        self.version += 1;
        self.all = self.all.iter().cycle().take(len).cloned().collect();
        true
    }

    pub fn reverse(&mut self) {
        self.version += 1;
        self.all.reverse();
    }

    pub fn position(&self, item: Blob) -> Option<u64> {
        self.all.iter().position(|found| *found == item).map(|at| at as u64)
    }

    pub fn count(&self, item: Blob) -> u64 {
        self.all.iter().filter(|found| **found == item).count() as u64
    }

    pub fn all(&self) -> (u64, Vec<Blob>) {
        (self.version, self.all.clone())
    }

    /// Puts others in the place of all, if nothing was changed since.
    pub fn replace(&mut self, version: u64, items: Vec<Blob>) -> bool {
        let is_so = version == self.version;
        if is_so {
            self.version += 1;
            self.all = items;
        }
        is_so
    }

    pub fn clear(&mut self) {
        self.version += 1;
        self.all.clear();
    }
}
