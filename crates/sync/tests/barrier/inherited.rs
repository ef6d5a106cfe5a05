//! Who is nobody, and who has lost its place.

use std::thread;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::BarrierError;

use crate::{Bytes, LONG, attach, barrier, until};

#[test]
fn who_has_not_joined_is_refused() {
    let judges = ModelJudge::new(1);
    let child = judges[0].forked();
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let parents = barrier(region, 1, &judges[0]);
    let party = parents.party().unwrap();
    let barrier = attach(region, 1, &child);
    assert_eq!(barrier.wait(), Err(BarrierError::NotJoined));
    assert_eq!(barrier.abort(), Err(BarrierError::NotJoined));
    assert_eq!(barrier.reset(), Err(BarrierError::NotJoined));
    assert_eq!(barrier.party().unwrap_err(), BarrierError::NotJoined);
    assert!(!barrier.is_broken());
    drop(party);
}

/// Finds out, when it is asked about somebody, that it has lost its own place: it is dead to the others.
struct Lost(ModelJudge, AtomicU32);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Lost {
    fn me(&self) -> Option<OwnerId> {
        self.0.me().filter(|_| self.1.load(Relaxed) == 0)
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        self.1.store(1, Relaxed);
        self.0.die();
        Verdict::Unknown
    }
}

#[test]
fn who_loses_its_place_while_it_waits_passes_nothing() {
    for last in [false, true] {
        let judges = ModelJudge::new(2);
        let dead = BarrierError::PartyDied(judges[1].me().unwrap());
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let lost = Lost(judges[1].clone(), AtomicU32::new(0));
        let mine = barrier(region, 2, &judges[0]);
        let party = mine.party().unwrap();
        let theirs = attach(region, 2, &lost);
        thread::scope(|scope| {
            if last {
                let mut party = party;
                let other = scope.spawn(move || party.wait_timeout(LONG));
                until(|| mine.n_waiting() == 1);
                assert_eq!(theirs.wait(), Err(BarrierError::NotJoined));
                assert_eq!(other.join().unwrap(), Err(dead));
            } else {
                assert_eq!(theirs.wait(), Err(BarrierError::NotJoined));
                assert!(!mine.is_broken(), "others find its place");
            }
        });
        assert_eq!(mine.wait_timeout(LONG), Err(dead));
    }
}
