//! The semaphore whose permits return from the dead.

use std::time::Duration;

use shmkit::{Permit, Semaphore, SemaphoreError};
use shmkit_roster::model::ModelJudge;

use super::{ALL, Input, Place};

const PERMITS: u32 = 3;

pub(super) struct Subject<'a> {
    handles: Vec<Semaphore<&'a ModelJudge>>,
    /// Of the living.
    held: [Vec<Permit<'a, &'a ModelJudge>>; ALL],
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Self {
            handles: place.make(PERMITS.into(), PERMITS.into()),
            held: [const { Vec::new() }; ALL],
        }
    }

    fn out(&self) -> u32 {
        self.held.iter().flatten().map(Permit::count).sum()
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        match input.below(4) {
            0 => {
                let free = self.out() < PERMITS;
                match self.handles[who].try_acquire_owned(1) {
                    Ok(permit) if free => self.held[who].push(permit),
                    Err(SemaphoreError::WouldBlock) if !free => {}
                    other => panic!("{other:?} with {} out", self.out()),
                }
            }
            1 => {
                let free = self.out() < PERMITS;
                match self.handles[who].acquire_owned_timeout(1, Duration::ZERO) {
                    Ok(permit) if free => self.held[who].push(permit),
                    Err(SemaphoreError::TimedOut) if !free => {}
                    other => panic!("{other:?} with {} out", self.out()),
                }
            }
            2 => {
                if let Some(permit) = self.held[who].pop() {
                    permit.release().expect("held");
                }
            }
            _ => {
                // All of them, for a moment.
                if self.out() == 0 {
                    let all = self.handles[who].acquire_many(PERMITS).expect("all are free");
                    assert_eq!(
                        self.handles[who].try_acquire().unwrap_err(),
                        SemaphoreError::WouldBlock
                    );
                    drop(all);
                }
            }
        }
        let mine: u32 = self.held[who].iter().map(Permit::count).sum();
        assert_eq!(self.handles[who].held(), mine);
    }

    fn die(&mut self, who: usize) {
        self.held[who].drain(..).for_each(std::mem::forget);
    }
}
