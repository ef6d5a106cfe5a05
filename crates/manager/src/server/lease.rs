//! Leases: a name for one at a time, for a while.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::caller;
use crate::protocol::{LONGEST_LEASE, Token};

/// How many names may be leased at once.
const NAMES: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct Leases {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    /// The number of the last lease. Each has a larger one than those before it.
    last: u64,
    all: HashMap<String, Leased>,
}

struct Leased {
    token: u64,
    by: Token,
    until: Instant,
}

impl Leases {
    /// Waits until nobody has the name, and returns the lease's number; `None` after `wait`, or if the caller has gone.
    pub(crate) fn take(&self, name: &str, by: Token, ttl: Duration, wait: Duration) -> Option<u64> {
        let end = Instant::now() + wait;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = Instant::now();
            table.all.retain(|_, leased| leased.until > now);
            let held_until = table.all.get(name).map(|leased| leased.until);
            if held_until.is_none() {
                if caller::is_gone() || table.all.len() >= NAMES {
                    return None;
                }
                table.last += 1;
                let token = table.last;
                let until = now + ttl.min(LONGEST_LEASE);
                table.all.insert(name.to_owned(), Leased { token, by, until });
                return Some(token);
            }
            if now >= end || caller::is_gone() {
                return None;
            }
            let until = held_until.unwrap_or(end).min(end);
            let sleep = until.saturating_duration_since(now).min(caller::SLICE);
            let woken = self.changed.wait_timeout(table, sleep);
            table = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Extends a lease that has not ended.
    pub(crate) fn extend(&self, name: &str, token: u64, by: Token, ttl: Duration) -> bool {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match table.all.get_mut(name) {
            Some(leased) if leased.token == token && leased.by == by && leased.until > now => {
                leased.until = now + ttl.min(LONGEST_LEASE);
                true
            }
            _ => false,
        }
    }

    /// Ends a lease.
    pub(crate) fn end(&self, name: &str, token: u64, by: Token) {
        self.end_where(|found, leased| found == name && leased.token == token && leased.by == by);
    }

    /// Ends all leases of one who has gone.
    pub(crate) fn end_of(&self, by: Token) {
        self.end_where(|_, leased| leased.by == by);
    }

    fn end_where(&self, ends: impl Fn(&str, &Leased) -> bool) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let before = table.all.len();
        table.all.retain(|name, leased| !ends(name, leased));
        if table.all.len() < before {
            self.changed.notify_all();
        }
    }
}
