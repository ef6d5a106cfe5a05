//! The event.

use std::time::Duration;

use shmkit::{Event, EventError};
use shmkit_roster::model::ModelJudge;

use super::{Input, Place};

pub(super) struct Subject<'a> {
    handles: Vec<Event<&'a ModelJudge>>,
    set: bool,
}

impl<'a> Subject<'a> {
    pub(super) fn new(place: Place<'a>) -> Self {
        Self { handles: place.make(1, ()), set: false }
    }
}

impl super::Subject for Subject<'_> {
    fn step(&mut self, who: usize, input: &mut Input<'_>) {
        let event = &self.handles[who];
        match input.below(3) {
            0 => {
                event.set().expect("joined");
                self.set = true;
            }
            1 => {
                event.clear().expect("joined");
                self.set = false;
            }
            _ => {
                let expected = if self.set { Ok(()) } else { Err(EventError::TimedOut) };
                assert_eq!(event.wait_timeout(Duration::ZERO), expected);
            }
        }
        assert_eq!(event.is_set(), self.set);
    }

    fn die(&mut self, _: usize) {}
}
