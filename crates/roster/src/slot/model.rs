//! The card of a place that goes from hand to hand, and people who read it meanwhile.

use loom::sync::Arc;
use loom::thread;
use shmkit_atomic::{AtomicU64, crash};

use super::*;

/// A card of two words, which are both the generation that it was signed for.
type Slot = RawSlot<[AtomicU64; 2]>;

fn slot() -> Arc<Slot> {
    let card = [AtomicU64::new(0), AtomicU64::new(0)];
    Arc::new(RawSlot { generation: AtomicU32::new(0), signed: AtomicU32::new(0), card })
}

fn numbering() -> Numbering {
    Numbering::new(1, OwnerId::LAST)
}

/// Joins, and leaves in good order. With the slot's lock.
fn live(slot: &Slot) {
    let generation = slot.begin(0, numbering()).unwrap().get();
    slot.write(|card| {
        for word in card {
            step();
            word.store(generation.into(), Relaxed);
        }
    });
    slot.leave(generation);
}

/// Returns whose card it is, and whether that one has left; none if it is nobody's.
fn read(slot: &Slot) -> Option<(u32, bool)> {
    let words = |card: &[AtomicU64; 2]| card.each_ref().map(|word| word.load(Relaxed));
    let (generation, person, has_left) = slot.read_by(words)?;
    if generation > 0 {
        assert_eq!(person, [u64::from(generation); 2], "a mixture, or another's");
    }
    Some((generation, has_left))
}

/// One joins and dies anywhere, or leaves; the kernel gives its lock to the next, who does the same. Somebody reads.
#[test]
fn a_card_is_whole_and_its_own_whoever_died_of_writing_it() {
    crash::everywhere("card", 2, |steps, lives| {
        let slot = slot();
        let reading = {
            let slot = slot.clone();
            thread::spawn(move || {
                let before = read(&slot);
                let after = read(&slot);
                if let (Some(before), Some(after)) = (before, after) {
                    // Who has left does not come back.
                    assert!(after >= before, "{before:?}, then {after:?}");
                }
            })
        };
        let mut generations = 2;
        if crash::after(steps, || live(&slot)).is_err() {
            lives.died();
            // Killed before its number was spent, it never had the name: the next has it.
            generations -= u32::from(steps == 0);
        }
        live(&slot);
        reading.join().unwrap();
        assert_eq!(read(&slot), Some((generations, true)));
    });
}

/// Who finds a name in a word finds it given out.
#[test]
fn a_name_that_was_published_has_been_given() {
    loom::model(|| {
        let (slot, word) = (slot(), Arc::new(AtomicU32::new(0)));
        let joining = {
            let (slot, word) = (slot.clone(), word.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    // Release: as every primitive stores an id.
                    word.store(slot.begin(0, numbering()).unwrap().get(), Release);
                }
            })
        };
        let found = word.load(Relaxed);
        assert!(slot.has_given(found), "{found} has not been given");
        joining.join().unwrap();
    });
}

/// A place begins anew, whoever dies of it: no card of the old era is taken for one of the new.
#[test]
fn an_era_ends_with_no_card_left() {
    crash::everywhere("era", 2, |steps, lives| {
        let slot = slot();
        let numbering = Numbering::new(1, 3);
        (0..3).for_each(|_| live(&slot));
        assert!(slot.is_spent(0, numbering));
        let reading = {
            let slot = slot.clone();
            thread::spawn(move || {
                read(&slot);
            })
        };
        let anew = || {
            slot.begin_anew();
            live(&slot);
        };
        if crash::after(steps, anew).is_err() {
            lives.died();
        }
        if slot.is_spent(0, numbering) {
            slot.begin_anew();
        }
        assert!(slot.has_given(3), "names of the old era are not known");
        live(&slot);
        reading.join().unwrap();
        assert!(read(&slot).is_some());
    });
}
