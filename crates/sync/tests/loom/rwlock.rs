//! The readers-writer lock: readers share, a writer is alone, and whoever dies, the others get in and are told.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::Deadline;
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{
    HolderCell, LockFailure, Outcome, RawRwLock, Reading, RwLockFrame, Seating, crash,
};

use crate::{Lives, model, with_every_crash, with_every_crash_and};

/// Two numbers that are equal unless somebody is in the middle.
struct Pair {
    frame: RwLockFrame,
    cells: Vec<HolderCell>,
    numbers: UnsafeCell<(u32, u32)>,
}

// SAFETY: `numbers` is only touched by who is in the lock; that is the claim under test, and loom checks it.
unsafe impl Sync for Pair {}
// SAFETY: as above.
unsafe impl Send for Pair {}

/// What a participant does with the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Read,
    Write,
    /// Writes, then reads without letting anybody write in between.
    Downgrade,
}

use Use::{Downgrade, Read, Write};

/// As many preemptions as were asked for.
const ALL: usize = usize::MAX;

impl Pair {
    /// With two seats: a third participant looks for one.
    fn new() -> Arc<Self> {
        Self::seated(2)
    }

    fn seated(seats: u32) -> Arc<Self> {
        let cells = (0..Seating::spread(seats).cells()).map(|_| HolderCell::new()).collect();
        let numbers = UnsafeCell::new((0, 0));
        Arc::new(Self { frame: RwLockFrame::new(seats), cells, numbers })
    }

    fn lock(&self) -> RawRwLock<'_> {
        RawRwLock::new(&self.frame, &self.cells)
    }

    fn change(&self, change: impl FnOnce(&mut (u32, u32))) {
        // SAFETY: loom panics here if another thread has access.
        self.numbers.with_mut(|numbers| change(unsafe { &mut *numbers }));
    }

    fn look(&self) -> (u32, u32) {
        // SAFETY: loom panics here if another thread writes.
        self.numbers.with(|numbers| unsafe { *numbers })
    }

    /// One participant's use of the pair.
    fn play(&self, what: Use, judge: &ModelJudge) {
        let reading = if what == Read {
            let (reading, outcome) = self.lock().read(judge, Deadline::NEVER).unwrap();
            self.check_whole(outcome);
            reading
        } else {
            match self.lock().write(judge, Deadline::NEVER).unwrap() {
                Outcome::Clean => self.check_whole(Outcome::Clean),
                Outcome::OwnerDied => {
                    self.change(|n| n.1 = n.0);
                    self.lock().make_consistent(judge).unwrap();
                }
                Outcome::NotRecoverable => panic!("nobody gave up"),
            }
            crash::step();
            self.change(|n| n.0 += 1);
            crash::step();
            self.change(|n| n.1 += 1);
            if what == Write {
                // SAFETY: in as the writer, and nothing that it guards is borrowed.
                return unsafe { self.lock().unlock_write(judge) }.unwrap();
            }
            let written = self.look();
            // SAFETY: as above.
            let reading = unsafe { self.lock().downgrade(judge) }.unwrap();
            assert_eq!(self.look(), written, "somebody wrote in between");
            reading
        };
        crash::step();
        self.leave(judge, reading);
    }

    fn check_whole(&self, outcome: Outcome) {
        let (first, second) = self.look();
        assert!(first == second || outcome == Outcome::OwnerDied, "half-written, and not told");
    }

    fn leave(&self, judge: &ModelJudge, reading: Reading) {
        // SAFETY: from this lock, and nothing that it guards is borrowed.
        unsafe { self.lock().unlock_read(judge, reading) }.unwrap();
    }

    /// Everybody has ended: the lock is free for readers and writers, and the data whole or known not to be.
    fn check(&self, judge: &ModelJudge, least: u32) {
        let (reading, told) = self.lock().try_read(judge).unwrap();
        self.check_whole(told);
        self.leave(judge, reading);
        assert_eq!(self.lock().try_write(judge), Ok(told));
        assert!(self.look().0 >= least, "{:?} after {least} additions", self.look());
        self.lock().make_consistent(judge).unwrap();
        // SAFETY: in as the writer, and nothing that it guards is borrowed.
        unsafe { self.lock().unlock_write(judge) }.unwrap();
        assert_eq!((self.lock().readers(), self.lock().writer()), (0, None));
    }
}

/// The first dies after `steps` steps; the others get in, and see whole data or are told.
fn everybody_gets_in(uses: &'static [Use], steps: u32, lives: &Lives) {
    let pair = Pair::new();
    let mut players = uses.iter().copied().zip(ModelJudge::new(uses.len() as u32));
    let (first, mortal) = players.next().unwrap();
    let threads: Vec<_> = players
        .map(|(what, judge)| {
            let pair = pair.clone();
            thread::spawn(move || {
                pair.play(what, &judge);
                judge
            })
        })
        .collect();
    if crash::after(steps, || pair.play(first, &mortal)).is_err() {
        lives.died();
        // A writer that has released is missed by nobody: the others do not even need the end of a slice.
        if first != Write || pair.lock().writer() == mortal.me() {
            mortal.die();
        }
    }
    let judges: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let writers = uses[1..].iter().filter(|&&what| what != Read).count() as u32;
    pair.check(&judges[0], writers);
}

/// A model for each cast, with a bound of its own on the preemptions; the first dies.
macro_rules! casts {
    ($($name:ident: $($what:ident),+; at most $preemptions:expr;)+) => {$(
        #[test]
        fn $name() {
            let name = concat!("rwlock, ", stringify!($($what)+));
            with_every_crash_and(name, $preemptions, |steps, lives| {
                everybody_gets_in(&[$($what),+], steps, lives)
            });
        }
    )+};
}

casts! {
    a_writer_gets_in_whenever_a_reader_dies: Read, Write; at most ALL;
    a_reader_gets_in_whenever_a_writer_dies: Write, Read; at most ALL;
    a_writer_gets_in_whenever_a_writer_dies: Write, Write; at most ALL;
    a_writer_gets_in_whenever_a_downgrader_dies: Downgrade, Write; at most ALL;
    a_reader_and_a_writer_get_in_whenever_a_writer_dies: Write, Read, Write; at most 2;
    a_reader_and_a_writer_get_in_whenever_a_reader_dies: Read, Read, Write; at most 2;
    two_readers_get_in_whenever_a_writer_dies: Write, Read, Read; at most 1;
    a_reader_and_a_writer_get_in_whenever_a_downgrader_dies: Downgrade, Read, Write; at most 1;
}

/// A writer died in the middle; its heir, of whatever kind, dies too; a reader and a writer come.
fn heirs(name: &str, heir: Use) {
    with_every_crash(name, move |steps, lives| {
        let pair = Pair::new();
        let [dead, mortal, third] = ModelJudge::new(3).try_into().unwrap();
        pair.lock().write(&dead, Deadline::NEVER).unwrap();
        pair.change(|n| n.0 += 1);
        dead.die();
        let thread = {
            let pair = pair.clone();
            thread::spawn(move || {
                let other = if heir == Read { Write } else { Read };
                pair.play(other, &third);
                third
            })
        };
        if crash::after(steps, || pair.play(heir, &mortal)).is_err() {
            lives.died();
            mortal.die();
        }
        let third = thread.join().unwrap();
        assert!((1..=3).contains(&pair.lock().epoch()));
        let (reading, told) = pair.lock().try_read(&third).unwrap();
        pair.check_whole(told);
        pair.leave(&third, reading);
    });
}

#[test]
fn a_reading_heir_that_dies_has_heirs() {
    heirs("rwlock, a reader is the heir", Read);
}

#[test]
fn a_writing_heir_that_dies_has_heirs() {
    heirs("rwlock, a writer is the heir", Write);
}

/// Two seats, both taken: the third reader is told so, or has the seat of somebody who left or died, and the writer gets in
/// after all of them.
#[test]
fn a_reader_without_a_seat_is_told_and_one_of_the_dead_serves() {
    with_every_crash("rwlock, no seat", |steps, lives| {
        let pair = Pair::new();
        let judges: [ModelJudge; 4] = ModelJudge::new(4).try_into().unwrap();
        let (reading, _) = pair.lock().try_read(&judges[0]).unwrap();
        let writer = {
            let (pair, judge) = (pair.clone(), judges[3].clone());
            thread::spawn(move || pair.play(Write, &judge))
        };
        let read = |judge: &ModelJudge| match pair.lock().try_read(judge) {
            Ok((reading, _)) => {
                pair.look();
                crash::step();
                pair.leave(judge, reading);
            }
            Err(LockFailure::WouldBlock | LockFailure::TooManyReaders { seats: 2 }) => {}
            Err(other) => panic!("{other:?}"),
        };
        let second = crash::after(steps, || {
            read(&judges[1]);
            // Be there for a death at the end, too.
            (0..4).for_each(|_| crash::step());
        });
        if second.is_err() {
            lives.died();
            judges[1].die();
        }
        read(&judges[2]);
        pair.look();
        pair.leave(&judges[0], reading);
        writer.join().unwrap();
        pair.check(&judges[0], 1);
    });
}

/// Readers share the word: who frees it wakes them all.
#[test]
fn readers_that_sleep_are_all_woken() {
    model(|| {
        let pair = Pair::new();
        let [a, b, c] = ModelJudge::new(3).try_into().unwrap();
        pair.lock().write(&a, Deadline::NEVER).unwrap();
        let readers = [b, c].map(|judge| {
            let pair = pair.clone();
            thread::spawn(move || pair.play(Read, &judge))
        });
        // SAFETY: in as the writer, and nothing that it guards is borrowed.
        unsafe { pair.lock().unlock_write(&a) }.unwrap();
        for reader in readers {
            reader.join().unwrap();
        }
        pair.check(&a, 0);
    });
}

/// Who reads, and reads again, is let in beside a writer that waits, or told that it is just looking; and beside a writer that
/// writes nobody is.
#[test]
fn a_reader_gets_in_again_beside_a_writer_that_waits_and_no_other() {
    model(|| {
        let pair = Pair::new();
        let [a, b, c] = ModelJudge::new(3).try_into().unwrap();
        let again = |judge: &ModelJudge| match pair.lock().try_read_recursive(judge) {
            Ok((reading, told)) => {
                pair.check_whole(told);
                pair.leave(judge, reading);
            }
            Err(failure) => assert_eq!(failure, LockFailure::WouldBlock),
        };
        let writer = {
            let pair = pair.clone();
            thread::spawn(move || pair.play(Write, &b))
        };
        let other = {
            let pair = pair.clone();
            thread::spawn(move || pair.play(Write, &c))
        };
        match pair.lock().try_read(&a) {
            Ok((reading, _)) => {
                let before = pair.look();
                again(&a);
                assert_eq!(pair.look(), before, "it changes under a reader");
                pair.leave(&a, reading);
            }
            Err(_) => again(&a),
        }
        writer.join().unwrap();
        other.join().unwrap();
        pair.check(&a, 2);
    });
}

/// The writer dies in the middle, wherever: who comes in beside its heir, which waits, is told.
#[test]
fn who_gets_in_beside_an_heir_that_waits_is_told() {
    with_every_crash("rwlock, beside a waiting heir", |steps, lives| {
        let pair = Pair::new();
        let [mortal, heir, reader] = ModelJudge::new(3).try_into().unwrap();
        let died = crash::after(steps, || pair.play(Write, &mortal)).is_err();
        if died {
            lives.died();
            mortal.die();
        }
        let heir = {
            let pair = pair.clone();
            thread::spawn(move || pair.play(Write, &heir))
        };
        if let Ok((reading, told)) = pair.lock().try_read_recursive(&reader) {
            pair.check_whole(told);
            pair.leave(&reader, reading);
        }
        heir.join().unwrap();
        pair.check(&reader, 1);
    });
}

/// A try that comes to nothing sends nobody to sleep for ever.
#[test]
fn tries_that_fail_leave_nothing_behind() {
    model(|| {
        let pair = Pair::new();
        let [a, b, c] = ModelJudge::new(3).try_into().unwrap();
        let reader = {
            let pair = pair.clone();
            thread::spawn(move || pair.play(Read, &b))
        };
        let writer = {
            let pair = pair.clone();
            thread::spawn(move || pair.play(Write, &c))
        };
        match pair.lock().try_write(&a) {
            Ok(outcome) => {
                assert_eq!(outcome, Outcome::Clean);
                pair.change(|n| *n = (n.0 + 1, n.1 + 1));
                // SAFETY: in as the writer, and nothing that it guards is borrowed.
                unsafe { pair.lock().unlock_write(&a) }.unwrap();
            }
            Err(failure) => assert_eq!(failure, LockFailure::WouldBlock),
        }
        reader.join().unwrap();
        writer.join().unwrap();
        pair.check(&a, 1);
    });
}
