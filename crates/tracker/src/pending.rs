//! Which segments are to be looked at, and when.
//!
//! Between the moment at which a death is told and the one at which its lock is free lies next to nothing, unless the dying
//! thread loses its processor just there. So a segment that is in use still is looked at a few times more. That is no
//! polling: who leaves it alone is not looked at.

use std::time::Duration;

use nix::errno::Errno;
use shmkit_atomic::Deadline;

use crate::scratch::{Plain, Scratch};

/// Most segments at a time; of more than these all are looked at.
const PLACES: usize = 512;

/// When the looks are, after the one before.
const PAUSES: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_micros(250),
    Duration::from_millis(1),
    Duration::from_millis(4),
    Duration::from_millis(15),
    Duration::from_millis(100),
    Duration::from_millis(500),
];

/// A few looks, ever further apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    next: usize,
    /// When the next one is due; `None`: there is none.
    due: Option<Deadline>,
}

impl Looks {
    pub(crate) const NONE: Self = Self { next: 0, due: None };

    /// Begins anew, in so long.
    pub(crate) fn restart(&mut self, after: Duration) {
        *self = Self { next: 1, due: Some(Deadline::after(after)) };
    }

    /// Whether it is time to look; then the next look is further away.
    pub(crate) fn take(&mut self) -> bool {
        if !self.due.is_some_and(Deadline::has_passed) {
            return false;
        }
        self.due = PAUSES.get(self.next).map(|&pause| Deadline::after(pause));
        self.next += 1;
        true
    }

    /// Needs no more looks.
    pub(crate) fn end(&mut self) {
        *self = Self::NONE;
    }

    /// How long it is to the next look.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.due.and_then(Deadline::remaining)
    }
}

/// Names, each with its looks. Nothing is allocated.
#[derive(Debug)]
pub(crate) struct Pending {
    names: Scratch<Name>,
    looks: [Looks; PLACES],
    /// How often the name is about to be told of because this process has closed it.
    own: [u8; PLACES],
    /// When all are to be looked at.
    pub(crate) all: Looks,
}

/// A file's name, with its NUL; the first byte is its length.
type Name = [u8; 257];

const _: fn() = || {
    fn plain<T: Plain>() {}
    plain::<Name>();
};

impl Pending {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            names: Scratch::new(PLACES)?,
            looks: [Looks::NONE; PLACES],
            own: [0; PLACES],
            all: Looks::NONE,
        })
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        (0..PLACES).find(|&n| self.looks[n].due.is_some() && self.name(n) == name)
    }

    fn name(&self, n: usize) -> &[u8] {
        let [len, name @ ..] = &self.names[n];
        &name[..usize::from(*len)]
    }

    /// Has a segment looked at from now on.
    pub(crate) fn add(&mut self, name: &[u8]) {
        if let Some(n) = self.find(name) {
            match self.own[n] {
                0 => self.looks[n].restart(Duration::ZERO),
                // Its own close. Should that of a death have been told together with it, one of the further looks sees that.
                _ => self.own[n] -= 1,
            }
            return;
        }
        let free = (0..PLACES).find(|&n| self.looks[n].due.is_none());
        let (Some(n), Ok(len)) = (free, u8::try_from(name.len())) else {
            return self.all.restart(Duration::ZERO);
        };
        let place = &mut self.names[n];
        place[0] = len;
        place[1..=name.len()].copy_from_slice(name);
        place[1 + name.len()] = 0;
        self.own[n] = 0;
        self.looks[n].restart(Duration::ZERO);
    }

    /// Looks at every segment whose time it is. `look` says whether another look is worth while, and whether this process has
    /// closed what could be written to.
    pub(crate) fn each(&mut self, mut look: impl FnMut(&[u8]) -> (bool, bool)) {
        for n in 0..PLACES {
            if self.looks[n].take() {
                let (again, closed) = look(self.name(n));
                if closed {
                    self.own[n] = self.own[n].saturating_add(1);
                }
                if !again {
                    self.looks[n].end();
                }
            }
        }
    }

    /// How long it is to the next look at anything; `None` if nothing is to be looked at.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        let all = self.looks.iter().chain([&self.all]);
        all.filter_map(Looks::remaining).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_looked_at_a_few_times_and_one_that_is_done_no_more() {
        let mut pending = Pending::new().unwrap();
        pending.add(b"shmkit.a");
        pending.add(b"shmkit.b");
        pending.add(b"shmkit.a");
        let (mut a, mut b) = (0, 0);
        while let Some(pause) = pending.remaining() {
            std::thread::sleep(pause);
            pending.each(|name| match name {
                b"shmkit.a" => {
                    a += 1;
                    (true, false)
                }
                _ => {
                    b += 1;
                    (false, false)
                }
            });
        }
        assert_eq!((a, b), (PAUSES.len(), 1));
    }

    #[test]
    fn its_own_close_begins_nothing_anew() {
        let mut pending = Pending::new().unwrap();
        pending.add(b"a");
        pending.each(|_| (true, true));
        let before = pending.looks[0].next;
        pending.add(b"a");
        assert_eq!(pending.looks[0].next, before, "its own");
        pending.add(b"a");
        assert!(pending.looks[0].next < before, "another's");
    }

    #[test]
    fn where_there_are_too_many_all_are_looked_at() {
        let mut pending = Pending::new().unwrap();
        for n in 0..PLACES {
            pending.add(n.to_string().as_bytes());
        }
        assert!(pending.all.due.is_none());
        pending.add(b"one more");
        assert!(pending.all.take());
    }
}
