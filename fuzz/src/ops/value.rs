//! The value with a lock of its own.

use std::time::Duration;

use shmkit::{LockFailure, Value, ValueGuard};
use shmkit_roster::model::ModelJudge;

use super::{ALL, Input, Place};

type Pair = [u64; 2];

pub(super) struct Subject<'a> {
    handles: Vec<Value<Pair, &'a ModelJudge>>,
    /// A guard, and what its copy says.
    held: [Option<(ValueGuard<'a, Pair, &'a ModelJudge>, Pair)>; ALL],
    value: Pair,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Self { handles: place.make(1, [7; 2]), held: [const { None }; ALL], value: [7; 2] }
    }

    fn is_free(&self) -> bool {
        self.held.iter().all(Option::is_none)
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        let (handle, free) = (self.handles[who], self.is_free());
        match input.below(6) {
            0 => {
                let expected = if free { Ok(self.value) } else { Err(LockFailure::TimedOut) };
                assert_eq!(handle.get_timeout(Duration::ZERO), expected);
            }
            1 => {
                let new = [input.number(); 2];
                let set = handle.set_timeout(new, Duration::ZERO);
                assert_eq!(set.is_ok(), free);
                if free {
                    self.value = new;
                }
            }
            2 => match handle.try_lock_owned() {
                Ok(guard) => {
                    assert!(free && *guard == self.value, "{guard:?}");
                    self.held[who] = Some((guard, self.value));
                }
                Err(failure) => assert_eq!((free, failure), (false, LockFailure::WouldBlock)),
            },
            3 => {
                if let Some((guard, copy)) = &mut self.held[who] {
                    *copy = [input.number(); 2];
                    **guard = *copy;
                }
            }
            4 => {
                if let Some((mut guard, copy)) = self.held[who].take() {
                    if input.byte().is_multiple_of(2) {
                        guard.commit().expect("ours");
                        self.value = copy;
                        guard.discard();
                    } else {
                        guard.discard();
                    }
                }
            }
            _ => {
                // What was changed becomes the value.
                if let Some((guard, copy)) = self.held[who].take() {
                    drop(guard);
                    self.value = copy;
                }
            }
        }
    }

    fn die(&mut self, who: usize) {
        // What was not committed dies with it.
        std::mem::forget(self.held[who].take());
    }
}
