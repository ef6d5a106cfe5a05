//! A judge for loom, fuzzers and unit tests: participants are numbers, deaths are stores.

#[cfg(not(loom))]
mod watchdog;

use std::sync::Arc;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::{Relaxed, Release};

use shmkit_layout::Commit;

use crate::{Judge, OwnerId, Verdict};

/// The participants of a model, of whom any may die. Clones share the register of deaths.
#[derive(Clone, Debug)]
pub struct ModelJudge {
    me: Option<OwnerId>,
    /// 1 in the place of a dead one: number 1 in place 0.
    dead: Arc<[AtomicU32]>,
}

impl ModelJudge {
    /// Makes the judges of `participants` participants, called 1, 2, 3, …
    ///
    /// If they are not all gone within two minutes, the model stands still, and the program is aborted with the name of this
    /// thread, which is a test's: whatever waits for ever is a failure like others.
    pub fn new(participants: u32) -> Vec<Self> {
        let dead: Arc<[AtomicU32]> = (0..participants).map(|_| AtomicU32::new(0)).collect();
        #[cfg(not(loom))]
        watchdog::watch(Arc::downgrade(&dead));
        (1..=participants)
            .map(|number| Self { me: OwnerId::new(number), dead: dead.clone() })
            .collect()
    }

    /// Returns this judge as a forked child has it: nobody.
    pub fn forked(&self) -> Self {
        Self { me: None, dead: self.dead.clone() }
    }

    /// This participant dies: from now on everybody's verdict on it is `Dead`. It must do nothing afterwards: whatever it
    /// still borrows is robbed. For models only.
    pub fn die(&self) {
        let mark = || {
            if let Some(me) = self.me {
                // Release: pairs with the fence in `ask`; stands for the kernel's release of the record lock.
                self.dead[place(me)].swap(1, Release);
            }
        };
        #[cfg(loom)]
        shmkit_atomic::futex::model::death(mark);
        #[cfg(not(loom))]
        mark();
    }
}

// SAFETY: each participant has a name of its own, and is dead only once its model has called `die`.
unsafe impl Judge for ModelJudge {
    fn me(&self) -> Option<OwnerId> {
        self.me
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        match self.dead.get(place(owner)) {
            // Relaxed: as the kernel's answer, which orders nothing. That is for `ask` to see to.
            Some(dead) if dead.load(Relaxed) == 0 => Verdict::Alive,
            Some(_) => Verdict::Dead,
            None => Verdict::Nobody,
        }
    }

    fn places(&self) -> u32 {
        self.dead.len() as u32
    }
}

// SAFETY: a model's memory is all there.
unsafe impl Commit for ModelJudge {}

fn place(id: OwnerId) -> usize {
    id.get() as usize - 1
}
