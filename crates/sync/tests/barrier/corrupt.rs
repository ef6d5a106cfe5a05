//! What nobody writes.

use std::thread;

use shmkit_atomic::Ordering::SeqCst;
use shmkit_roster::OwnerId;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::BarrierError;

use crate::{Bytes, LONG, REGISTERED, barrier, cell, set_word, until};

#[test]
fn a_cell_that_names_nobody_is_corrupt() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    let cell = cell(region, 0);
    for word in [1, 1 << 63, 1 << 62, u64::MAX] {
        cell.store(word, SeqCst);
        assert_eq!(mine.wait(), Err(BarrierError::Corrupt { word }));
        assert_eq!(cell.load(SeqCst), word, "it is left as it was found");
        assert!(mine.is_broken());
        mine.reset().unwrap();
        assert_eq!(cell.load(SeqCst), 0);
    }
}

/// An id that the roster has not given out, wherever it stands.
#[test]
fn a_cell_that_names_nobody_of_this_roster_is_corrupt() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 1, &judges[0]);
    let nobody = u64::from(OwnerId::new(1023).unwrap().get());
    // Arrived, registered, passed.
    for lower in [1, REGISTERED, 3] {
        let word = nobody << 32 | lower;
        let corrupt = BarrierError::Corrupt { word: nobody };
        for registers in [false, true] {
            cell(region, 0).store(word, SeqCst);
            if registers {
                assert_eq!(mine.party().unwrap_err(), corrupt, "{word:#x}");
            } else {
                assert_eq!(mine.wait_timeout(LONG), Err(corrupt), "{word:#x}");
                assert!(mine.is_broken(), "{word:#x}");
            }
            mine.reset().unwrap();
            assert_eq!(mine.wait(), Ok(0), "{word:#x}");
            set_word(region, 0);
        }
    }
}

/// Who has arrived does not look at cells that its pass does not count on: it is told by who finds one.
#[test]
fn who_finds_nonsense_tells_those_who_wait() {
    let judges = ModelJudge::new(1);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    cell(region, 1).store(1 << 63, SeqCst);
    thread::scope(|scope| {
        let other = scope.spawn(|| mine.wait_timeout(LONG));
        until(|| mine.n_waiting() == 1);
        assert_eq!(mine.wait(), Err(BarrierError::Corrupt { word: 1 << 63 }));
        assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
    });
}
