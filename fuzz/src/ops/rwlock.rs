//! The readers-writer lock.

use shmkit::{LockError, LockFailure, RwLock, RwLockReadGuard, RwLockWriteGuard};
use shmkit_roster::model::ModelJudge;

use super::{ALL, Data, Input, Owner, Place};

/// A participant reads so often at most: guards are kept.
const MOST: usize = 4;

pub(super) struct Subject<'a> {
    handles: Vec<RwLock<u64, &'a ModelJudge>>,
    writing: [Option<RwLockWriteGuard<'a, u64, &'a ModelJudge>>; ALL],
    reading: [Vec<RwLockReadGuard<'a, u64, &'a ModelJudge>>; ALL],
    writer: Owner,
    data: Data,
    value: u64,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Self {
            handles: place.make(1, 7.into()),
            writing: [const { None }; ALL],
            reading: [const { Vec::new() }; ALL],
            writer: Owner::Nobody,
            data: Data::Clean,
            value: 7,
        }
    }

    /// Takes what came of entering; `None` if it was refused, and that was right.
    fn entered<G>(&mut self, result: Result<G, LockError<G>>, refused: bool) -> Option<G> {
        if refused {
            assert!(matches!(result, Err(LockError::Failed(LockFailure::WouldBlock))));
            return None;
        }
        if self.writer == Owner::Dead {
            self.data.inherit();
            self.writer = Owner::Nobody;
        }
        let (guard, data) = match result {
            Ok(guard) => (guard, Data::Clean),
            Err(LockError::OwnerDied(guard)) => (guard, Data::Inconsistent),
            Err(LockError::NotRecoverable(guard)) => (guard, Data::Unrecoverable),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(data, self.data);
        Some(guard)
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        match input.below(7) {
            0 if self.reading[who].len() < MOST => {
                let result = self.handles[who].try_read_owned();
                let refused = matches!(self.writer, Owner::Alive(_));
                if let Some(guard) = self.entered(result, refused) {
                    assert_eq!(*guard, self.value);
                    self.reading[who].push(guard);
                }
            }
            1 => {
                let result = self.handles[who].try_write_owned();
                let readers = self.reading.iter().any(|guards| !guards.is_empty());
                let refused = readers || matches!(self.writer, Owner::Alive(_));
                if let Some(guard) = self.entered(result, refused) {
                    assert_eq!(*guard, self.value);
                    self.writing[who] = Some(guard);
                    self.writer = Owner::Alive(who);
                }
            }
            2 => drop(self.reading[who].pop()),
            3 if self.writing[who].take().is_some() => {
                self.writer = Owner::Nobody;
                self.data.leave();
            }
            4 => {
                if let Some(guard) = &mut self.writing[who] {
                    **guard = input.number();
                    self.value = **guard;
                }
            }
            5 => {
                if let Some(guard) = &self.writing[who] {
                    guard.make_consistent();
                    self.data = Data::Clean;
                }
            }
            _ if self.data == Data::Clean => {
                if let Some(guard) = self.writing[who].take() {
                    let guard = RwLockWriteGuard::downgrade(guard);
                    assert_eq!(*guard, self.value);
                    self.reading[who].push(guard);
                    self.writer = Owner::Nobody;
                }
            }
            _ => {}
        }
        for guard in &self.reading[who] {
            assert_eq!(**guard, self.value, "somebody wrote beside a reader");
        }
    }

    fn die(&mut self, who: usize) {
        self.reading[who].drain(..).for_each(std::mem::forget);
        std::mem::forget(self.writing[who].take());
        self.writer.die(who);
    }
}
