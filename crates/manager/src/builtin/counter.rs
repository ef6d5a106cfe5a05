//! A number.

use shmkit_derive::manager;

pub struct Number(i64);

#[manager(crate = crate, proxy = Counter)]
impl Number {
    /// Makes one that begins with `n`.
    pub fn new(n: i64) -> Self {
        Self(n)
    }

    /// Returns it.
    pub fn get(&self) -> i64 {
        self.0
    }

    /// Sets it, and returns what it was.
    pub fn set(&mut self, n: i64) -> i64 {
        std::mem::replace(&mut self.0, n)
    }

    /// Adds to it, around the end of the range, and returns what it is then.
    pub fn add(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_add(n);
        self.0
    }
}
