//! Parties that died, and parties that only left.

use std::thread;
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::SeqCst;
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};
use shmkit_sync::BarrierError;

use crate::{Before, Bytes, LONG, REGISTERED, arrived, attach, barrier, cell, set_word, until};

#[test]
fn bar_16_a_party_that_arrived_and_died_is_told_to_all() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    // As it stands there when it waits and is killed.
    let dead = judges[1].me().unwrap();
    cell(region, 0).store(arrived(&judges[1], 0), SeqCst);
    assert_eq!(mine.n_waiting(), 1);
    assert!(format!("{mine:?}").contains("arrived: [2: alive]"), "{mine:?}");
    judges[1].die();
    assert_eq!(mine.wait(), Err(BarrierError::PartyDied(dead)));
    assert_eq!(attach(region, 2, &judges[2]).wait(), Err(BarrierError::PartyDied(dead)));
    assert!(BarrierError::PartyDied(dead).is_broken());
    mine.reset().unwrap();
    // Its place is somebody else's now.
    thread::scope(|scope| {
        let other = scope.spawn(|| mine.wait_timeout(LONG));
        mine.wait_timeout(LONG).unwrap();
        other.join().unwrap().unwrap();
    });
}

#[test]
fn a_sleeper_notices_a_dead_party() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 3, &judges[0]);
    let theirs = attach(region, 3, &judges[1]);
    let dead = judges[1].me().unwrap();
    let party = theirs.party().unwrap();
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| mine.wait_timeout(LONG));
        until(|| mine.n_waiting() == 1);
        judges[1].die();
        assert_eq!(sleeper.join().unwrap(), Err(BarrierError::PartyDied(dead)));
    });
    assert_eq!(mine.wait(), Err(BarrierError::PartyDied(dead)));
    mine.reset().unwrap();
    std::mem::forget(party);
    assert_eq!(mine.wait_timeout(Duration::from_millis(60)), Err(BarrierError::TimedOut));
}

/// Nobody alive has a place, so that there is nobody but the newcomer to notice.
#[test]
fn who_finds_the_dead_in_every_place_is_told() {
    let judges = ModelJudge::new(2);
    let (dead, place) = (judges[1].me().unwrap(), arrived(&judges[1], 0));
    judges[1].die();
    for place in [place, place & !1 | REGISTERED, place | REGISTERED] {
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let mine = barrier(region, 2, &judges[0]);
        for wait in [Duration::ZERO, LONG] {
            cell(region, 0).store(place, SeqCst);
            cell(region, 1).store(place, SeqCst);
            let start = Instant::now();
            assert_eq!(mine.wait_timeout(wait), Err(BarrierError::PartyDied(dead)));
            assert!(
                start.elapsed() < LONG / 2,
                "told at the deadline, after {:?}",
                start.elapsed()
            );
            assert_eq!(mine.wait(), Err(BarrierError::PartyDied(dead)), "until it is reset");
            // The word moves by four, and the arrivals would be of another pass.
            mine.reset().unwrap();
            set_word(region, 0);
        }
        assert_eq!(mine.wait_timeout(Duration::ZERO), Err(BarrierError::TimedOut), "alone");
    }
}

#[test]
fn who_waits_for_a_place_notices_a_death() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 1, &judges[0]);
    let theirs = attach(region, 1, &judges[1]);
    let party = theirs.party().unwrap();
    thread::scope(|scope| {
        let newcomer = scope.spawn(|| mine.wait_timeout(LONG));
        // Several slices.
        thread::sleep(Duration::from_millis(20));
        judges[1].die();
        let dead = judges[1].me().unwrap();
        assert_eq!(newcomer.join().unwrap(), Err(BarrierError::PartyDied(dead)));
    });
    std::mem::forget(party);
    mine.reset().unwrap();
    assert_eq!(mine.wait(), Ok(0));
}

#[test]
fn who_cannot_register_because_of_the_dead_is_told() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let mine = barrier(region, 2, &judges[0]);
    let living = attach(region, 2, &judges[2]).party().unwrap();
    std::mem::forget(attach(region, 2, &judges[1]).party().unwrap());
    assert_eq!(mine.party().unwrap_err(), BarrierError::Full);
    assert!(!mine.is_broken());
    judges[1].die();
    let dead = BarrierError::PartyDied(judges[1].me().unwrap());
    assert_eq!(mine.party().unwrap_err(), dead);
    assert!(mine.is_broken());
    assert_eq!(mine.party().unwrap_err(), dead, "until it is reset");
    mine.reset().unwrap();
    let party = mine.party().unwrap();
    assert_eq!(attach(region, 2, &judges[2]).party().unwrap_err(), BarrierError::Full);
    drop((party, living));
}

/// It leaves between the look at its cell and the question whether it lives.
#[test]
fn a_party_that_leaves_before_it_is_asked_about_is_not_missed() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let judge = Before::new(&judges[0]);
    let (mine, theirs) = (barrier(region, 2, &judge), attach(region, 2, &judges[2]));
    let party = attach(region, 2, &judges[1]).party().unwrap();
    judge.answer(|| {
        drop(party);
        judges[1].die();
    });
    thread::scope(|scope| {
        let early = scope.spawn(|| mine.wait_timeout(LONG));
        // Its place becomes free when the early one asks.
        until(|| cell(region, 0).load(SeqCst) == 0 || mine.is_broken());
        assert_eq!(theirs.wait_timeout(LONG), Ok(1));
        assert_eq!(early.join().unwrap(), Ok(0));
    });
}

#[test]
fn a_place_is_taken_from_a_party_that_leaves_before_it_is_asked_about() {
    for registers in [false, true] {
        let judges = ModelJudge::new(2);
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let judge = Before::new(&judges[0]);
        let mine = barrier(region, 1, &judge);
        let party = attach(region, 1, &judges[1]).party().unwrap();
        let other = &judges[1];
        judge.answer(move || {
            drop(party);
            other.die();
        });
        if registers {
            // It was full when it looked.
            assert_eq!(mine.party().unwrap_err(), BarrierError::Full);
        } else {
            assert_eq!(mine.wait_timeout(LONG), Ok(0));
        }
        assert!(!mine.is_broken());
    }
}

/// It gives up, leaves its cell and exits while it is asked about: broken, and nobody died.
#[test]
fn a_party_that_gave_up_and_left_has_not_died() {
    for broken_before in [false, true] {
        let judges = ModelJudge::new(2);
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let judge = Before::new(&judges[0]);
        let (mine, theirs) = (barrier(region, 2, &judge), attach(region, 2, &judges[1]));
        cell(region, 0).store(arrived(&judges[1], 0), SeqCst);
        if broken_before {
            theirs.abort().unwrap();
        }
        let other = &judges[1];
        judge.answer(move || {
            theirs.abort().unwrap();
            cell(region, 0).store(0, SeqCst);
            other.die();
        });
        assert_eq!(mine.wait_timeout(LONG), Err(BarrierError::Broken), "{broken_before}");
    }
}

/// Cannot tell about anybody else.
struct Blind(ModelJudge);

// SAFETY: it calls nobody dead.
unsafe impl Judge for Blind {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

#[test]
fn a_party_that_cannot_be_judged_is_not_missed() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let blind = Blind(judges[1].clone());
    let mine = barrier(region, 2, &judges[0]);
    let theirs = attach(region, 2, &blind);
    let party = mine.party().unwrap();
    let wait = Duration::from_millis(20);
    assert_eq!(theirs.wait_timeout(wait), Err(BarrierError::CannotJudge));
    mine.reset().unwrap();
    drop(party);
    thread::scope(|scope| {
        let other = scope.spawn(|| mine.wait_timeout(LONG));
        theirs.wait_timeout(LONG).unwrap();
        other.join().unwrap().unwrap();
    });
}

/// Of those who keep it from getting a place nobody knows whether they live: they wait, or have yet to leave.
#[test]
fn who_has_no_place_and_cannot_judge_says_so() {
    let judges = ModelJudge::new(2);
    for word in [0, 2] {
        let mut bytes = Bytes::new();
        let region = bytes.region();
        let blind = Blind(judges[1].clone());
        let theirs = barrier(region, 1, &blind);
        cell(region, 0).store(arrived(&judges[0], word), SeqCst);
        for wait in [Duration::ZERO, Duration::from_millis(20)] {
            assert_eq!(theirs.wait_timeout(wait), Err(BarrierError::CannotJudge), "{word}");
            assert!(theirs.is_broken());
            set_word(region, 0);
        }
    }
}
