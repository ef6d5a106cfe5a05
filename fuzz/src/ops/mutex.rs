//! The mutex.

use std::time::Duration;

use shmkit::{LockError, LockFailure, Mutex, MutexGuard};
use shmkit_roster::model::ModelJudge;

use super::{ALL, Data, Input, Owner, Place};

pub(super) struct Subject<'a> {
    handles: Vec<Mutex<u64, &'a ModelJudge>>,
    held: [Option<MutexGuard<'a, u64, &'a ModelJudge>>; ALL],
    owner: Owner,
    data: Data,
    value: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        let handles = place.make(1, 7);
        Self {
            handles,
            held: [const { None }; ALL],
            owner: Owner::Nobody,
            data: Data::Clean,
            value: 7,
        }
    }

    fn lock(&mut self, who: usize, wait: bool) {
        let lock = &self.handles[who];
        let result =
            if wait { lock.lock_owned_timeout(Duration::ZERO) } else { lock.try_lock_owned() };
        if let Owner::Alive(_) = self.owner {
            let refused = if wait { LockFailure::TimedOut } else { LockFailure::WouldBlock };
            assert!(matches!(result, Err(LockError::Failed(failure)) if failure == refused));
            return;
        }
        if self.owner == Owner::Dead {
            self.data.inherit();
        }
        let (guard, data) = match result {
            Ok(guard) => (guard, Data::Clean),
            Err(LockError::OwnerDied(guard)) => (guard, Data::Inconsistent),
            Err(LockError::NotRecoverable(guard)) => (guard, Data::Unrecoverable),
            Err(error) => panic!("{error}"),
        };
        assert_eq!((*guard, data), (self.value, self.data));
        assert_eq!(guard.dead_owner().is_some(), self.owner == Owner::Dead);
        self.held[who] = Some(guard);
        self.owner = Owner::Alive(who);
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        match input.below(5) {
            0 => self.lock(who, false),
            1 => self.lock(who, true),
            2 => {
                if self.held[who].take().is_some() {
                    self.owner = Owner::Nobody;
                    self.data.leave();
                }
            }
            3 => {
                if let Some(guard) = &self.held[who] {
                    guard.make_consistent();
                    self.data = Data::Clean;
                }
            }
            _ => {
                if let Some(guard) = &mut self.held[who] {
                    **guard = input.number();
                    self.value = **guard;
                }
            }
        }
        let owned = self.handles[who].owner().is_some();
        assert_eq!(owned, self.owner != Owner::Nobody);
    }

    fn die(&mut self, who: usize) {
        std::mem::forget(self.held[who].take());
        self.owner.die(who);
    }
}
