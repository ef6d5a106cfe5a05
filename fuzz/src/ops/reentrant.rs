//! The reentrant mutex.

use shmkit::{LockError, LockFailure, ReentrantMutex, ReentrantMutexGuard};
use shmkit_roster::model::ModelJudge;

use super::{ALL, Data, Input, Owner, Place};

/// A participant takes it so often at most: guards are kept.
const MOST: usize = 5;

pub(super) struct Subject<'a> {
    handles: Vec<ReentrantMutex<u64, &'a ModelJudge>>,
    held: [Vec<ReentrantMutexGuard<'a, u64, &'a ModelJudge>>; ALL],
    owner: Owner,
    data: Data,
    value: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        let handles = place.make(1, 7);
        Self {
            handles,
            held: [const { Vec::new() }; ALL],
            owner: Owner::Nobody,
            data: Data::Clean,
            value: 7,
        }
    }

    fn lock(&mut self, who: usize) {
        if self.held[who].len() == MOST {
            return;
        }
        let result = self.handles[who].try_lock_owned();
        match self.owner {
            Owner::Alive(owner) if owner != who => {
                assert!(matches!(result, Err(LockError::Failed(LockFailure::WouldBlock))));
                return;
            }
            Owner::Dead => self.data.inherit(),
            _ => {}
        }
        let (guard, data) = match result {
            Ok(guard) => (guard, Data::Clean),
            Err(LockError::OwnerDied(guard)) => (guard, Data::Inconsistent),
            Err(LockError::NotRecoverable(guard)) => (guard, Data::Unrecoverable),
            Err(error) => panic!("{error}"),
        };
        assert_eq!((guard.get(), data), (self.value, self.data));
        self.held[who].push(guard);
        self.owner = Owner::Alive(who);
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        match input.below(4) {
            0 => self.lock(who),
            1 => {
                if self.held[who].pop().is_some() && self.held[who].is_empty() {
                    self.owner = Owner::Nobody;
                    self.data.leave();
                }
            }
            2 => {
                if let Some(guard) = self.held[who].last() {
                    guard.make_consistent();
                    self.data = Data::Clean;
                }
            }
            _ => {
                if let Some(guard) = self.held[who].first() {
                    self.value = input.number();
                    guard.set(self.value);
                }
            }
        }
        assert_eq!(self.handles[who].depth() as usize, self.held[who].len());
    }

    fn die(&mut self, who: usize) {
        self.held[who].drain(..).for_each(std::mem::forget);
        self.owner.die(who);
    }
}
