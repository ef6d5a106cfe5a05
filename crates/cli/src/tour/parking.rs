//! Where workers are killed.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::unistd::{Pid, getppid};
use shmkit::Atomic;

use super::PATIENCE;

/// Where a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// With the mutex held, half-way through an update.
    Mutex,
    /// Half-way through filling its report pipe.
    Pipe,
}

/// Where a worker stops to be killed.
#[derive(Clone, Debug)]
pub(super) struct Parking {
    /// 1 more than the number of the worker that stands there.
    pub(super) parked: Atomic<u64>,
    pub(super) number: u64,
    pub(super) tour: Pid,
}

impl Parking {
    /// Announces that this process stands where it is to be killed, and waits for it.
    ///
    /// If a living tour does not kill it, it ends itself here, which is as good a death as any.
    ///
    /// # Errors
    ///
    /// If the tour is dead. Then the worker must leave in good order: it may be the last one out, who removes the
    /// segment.
    pub(super) fn stop(&self) -> Result<()> {
        self.parked.store(self.number + 1);
        let begun = Instant::now();
        while getppid() == self.tour {
            if begun.elapsed() > PATIENCE {
                std::process::exit(3);
            }
            thread::park_timeout(Duration::from_millis(50));
        }
        bail!("the tour is dead")
    }
}

#[cfg(test)]
mod tests {
    use shmkit::{Objects, Options};

    use super::*;

    /// It may be the last one out, whose drops remove the segment.
    #[test]
    fn who_stands_to_be_killed_by_a_dead_tour_goes_on_to_leave() {
        let segment = Options::new(1 << 14).anonymous().unwrap();
        let parked = segment.atomic("parked", 0).unwrap();
        // Nobody's parent.
        let tour = Pid::from_raw(i32::MAX);
        let error = Parking { parked: parked.clone(), number: 6, tour }.stop().unwrap_err();
        assert_eq!((error.to_string(), parked.load()), ("the tour is dead".into(), 7));
    }
}
