//! The locks without data: the one that anybody may release, and the one that its owner may take again.

use shmkit::{Acquired, Lock, LockFailure, RLock, UnlockError};
use shmkit_roster::model::ModelJudge;

use super::{Input, Owner, Place};

/// Deeper than any input needs.
const MOST: u32 = 5;

pub(super) struct Subject<'a> {
    locks: Vec<Lock<&'a ModelJudge>>,
    owner: Owner,
    rlocks: Vec<RLock<&'a ModelJudge>>,
    rowner: Owner,
    depth: u32,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        let half = place.region.len() as u64 / 2;
        let at = |start| Place { region: place.region.sub(start, half).expect("inside"), ..place };
        Self {
            locks: at(0).make(1, ()),
            owner: Owner::Nobody,
            rlocks: at(half).make(1, ()),
            rowner: Owner::Nobody,
            depth: 0,
        }
    }

    fn expect(result: Result<Acquired, LockFailure>, owner: Owner) {
        match owner {
            Owner::Nobody => assert_eq!(result, Ok(Acquired::Clean)),
            Owner::Dead => assert!(matches!(result, Ok(Acquired::OwnerDied(_))), "{result:?}"),
            Owner::Alive(_) => assert_eq!(result, Err(LockFailure::WouldBlock)),
        }
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        match input.below(4) {
            0 => {
                Self::expect(self.locks[who].try_acquire(), self.owner);
                if !matches!(self.owner, Owner::Alive(_)) {
                    self.owner = Owner::Alive(who);
                }
            }
            1 => {
                let released = self.locks[who].release();
                match self.owner {
                    Owner::Nobody => assert_eq!(released, Err(UnlockError::NotLocked)),
                    _ => assert_eq!(released, Ok(())),
                }
                self.owner = Owner::Nobody;
            }
            2 => {
                if self.rowner == Owner::Alive(who) {
                    if self.depth < MOST {
                        Self::expect(self.rlocks[who].try_acquire(), Owner::Nobody);
                        self.depth += 1;
                    }
                } else {
                    Self::expect(self.rlocks[who].try_acquire(), self.rowner);
                    if !matches!(self.rowner, Owner::Alive(_)) {
                        (self.rowner, self.depth) = (Owner::Alive(who), 1);
                    }
                }
            }
            _ => {
                let released = self.rlocks[who].release();
                assert_eq!(released.is_ok(), self.rowner == Owner::Alive(who));
                if released.is_ok() {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.rowner = Owner::Nobody;
                    }
                }
            }
        }
        assert_eq!(self.locks[who].locked(), matches!(self.owner, Owner::Alive(_)));
        let mine = self.rowner == Owner::Alive(who);
        assert_eq!(self.rlocks[who].depth(), if mine { self.depth } else { 0 });
    }

    fn die(&mut self, who: usize) {
        self.owner.die(who);
        self.rowner.die(who);
    }
}
