//! The bounded semaphore without owners, and the cell that is made once.

use std::time::Duration;

use shmkit::{Count, CountingError, CountingSemaphore, OnceCell, OnceError};
use shmkit_roster::model::ModelJudge;

use super::{Input, Place};

const BOUND: u32 = 3;

pub(super) struct Subject<'a> {
    semaphores: Vec<CountingSemaphore<&'a ModelJudge>>,
    value: u32,
    cells: Vec<OnceCell<u64, &'a ModelJudge>>,
    made: Option<u64>,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        let half = place.region.len() as u64 / 2;
        let at = |start| Place { region: place.region.sub(start, half).expect("inside"), ..place };
        Self {
            semaphores: at(0).make(BOUND.into(), Count::bounded(BOUND)),
            value: BOUND,
            cells: at(half).make(1, ()),
            made: None,
        }
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        let (semaphore, cell) = (&self.semaphores[who], &self.cells[who]);
        match input.below(5) {
            0 => match semaphore.try_acquire() {
                Ok(()) => self.value -= 1,
                Err(error) => assert_eq!((error, self.value), (CountingError::WouldBlock, 0)),
            },
            1 => match semaphore.acquire_timeout(Duration::ZERO) {
                Ok(()) => self.value -= 1,
                Err(error) => assert_eq!((error, self.value), (CountingError::TimedOut, 0)),
            },
            2 => {
                let count = u32::from(input.byte() % 5);
                match semaphore.release(count) {
                    Ok(()) => self.value += count,
                    Err(CountingError::PastBound { .. }) => assert!(self.value + count > BOUND),
                    Err(error) => panic!("{error}"),
                }
            }
            3 => {
                let first = input.number();
                let made = *self.made.get_or_insert(first);
                assert_eq!(cell.try_get_or_init(|| first), Ok(&made));
            }
            _ => match self.made {
                Some(made) => assert_eq!(cell.wait_timeout(Duration::ZERO), Ok(&made)),
                None => {
                    assert_eq!(cell.wait_timeout(Duration::ZERO), Err(OnceError::TimedOut));
                }
            },
        }
        assert!(semaphore.value() == self.value && self.value <= BOUND);
        assert_eq!(cell.get().copied(), self.made);
    }

    fn die(&mut self, _: usize) {}
}
