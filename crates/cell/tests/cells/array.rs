//! An array, its lock, and what a dead writer leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use shmkit_cell::{Array, ArrayError, ArraySpec, OutOfRange, SetError};
use shmkit_layout::{Object, Region, ShapeError, ShmSafe};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{LockError, LockFailure};

use crate::support::{Memory, attach, make};

const TEN: [i32; 10] = [680, 626, 934, 821, 150, 233, 548, 982, 714, 831];

fn two() -> [ModelJudge; 2] {
    ModelJudge::new(2).try_into().unwrap()
}

fn array<'a, T: ShmSafe>(
    region: Region<'a>,
    spec: impl Into<ArraySpec<T>>,
    judge: &'a ModelJudge,
) -> Array<T, &'a ModelJudge> {
    make(region, spec, judge)
}

fn out_of_range(index: usize, len: usize) -> ArrayError {
    ArrayError::OutOfRange(OutOfRange { index, len })
}

#[test]
fn arr_01_an_array_holds_what_it_was_made_of() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    assert_eq!(row.len(), 10);
    assert_eq!(row.get(3), Ok(821));
    assert_eq!(row.read_range(2..7).unwrap(), TEN[2..7]);
    assert_eq!(row.iter().unwrap().collect::<Vec<_>>(), TEN);
}

#[test]
fn arr_02_a_range_is_replaced_and_the_rest_stays() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    row.write_range(4..8, &[1, 2, 3, 4]).unwrap();
    assert_eq!(row.to_vec().unwrap(), [680, 626, 934, 821, 1, 2, 3, 4, 714, 831]);
    row.write_range(..=0, &[0]).unwrap();
    let mut two = [0; 2];
    row.read_into(..2, &mut two).unwrap();
    assert_eq!(two, [0, 626]);
}

#[test]
fn arr_07_an_index_out_of_range_is_named_with_the_length() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), [1_i64; 5], &me);
    assert_eq!(row.get(5), Err(out_of_range(5, 5)));
    assert_eq!(row.set(usize::MAX, 1), Err(out_of_range(usize::MAX, 5)));
    assert_eq!(row.update(6, |_| unreachable!("there is no element")), Err(out_of_range(6, 5)));
    assert_eq!(row.lock().unwrap().set(5, 1), Err(out_of_range(5, 5)));
    let error = row.read_range(3..6).unwrap_err();
    assert_eq!(error, ArrayError::NoSuchRange { start: 3, end: 6, len: 5 });
    assert!(row.read_range(..=usize::MAX).is_err());
    #[expect(clippy::reversed_empty_ranges, reason = "it must be refused")]
    let error = row.read_range(4..2).unwrap_err();
    assert_eq!(error, ArrayError::NoSuchRange { start: 4, end: 2, len: 5 });
    assert_eq!(row.read_range(5..).unwrap(), []);
}

#[test]
fn arr_08_steps_are_read_and_a_wrong_count_is_refused() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    assert_eq!(row.read_step(.., 2).unwrap(), [680, 934, 150, 548, 714]);
    assert_eq!(row.read_step(1..9, 3).unwrap(), [626, 150, 982]);
    assert_eq!(row.read_step(.., usize::MAX).unwrap(), [680]);
    assert_eq!(row.read_step(.., 0), Err(ArrayError::ZeroStep));
    let error = row.write_range(4..8, &[1, 2, 3]).unwrap_err();
    assert_eq!(error, ArrayError::Count { given: 3, expected: 4 });
    assert!(row.read_into(.., &mut [0; 9]).is_err());
    assert_eq!(row.to_vec().unwrap(), TEN);
}

#[test]
fn arr_09_an_absurd_length_is_refused_and_none_is_possible() {
    type Of<T> = Array<T, &'static ModelJudge>;
    fn shape<T: ShmSafe>(len: usize) -> Result<shmkit_layout::Shape, ShapeError> {
        <Of<T> as Object<_>>::shape(&ArraySpec::Zeroed(len), 2)
    }
    let max = (isize::MAX as u64 - 32 - 8) / 8;
    assert_eq!(
        shape::<u64>(usize::MAX),
        Err(ShapeError::Length { found: usize::MAX as u64, min: 0, max })
    );
    assert!(shape::<u64>(max as usize + 1).is_err());
    assert!(shape::<u64>(max as usize).unwrap().bytes <= isize::MAX as u64);
    assert_eq!(shape::<u16>(3).unwrap().to_string(), "array of u16 (2 bytes), length 3");

    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    // SAFETY: refused before anything is read.
    let error = unsafe { Array::<u64, _>::attach(region, u64::MAX, &me) }.unwrap_err();
    assert!(matches!(error, ShapeError::Length { .. }), "{error}");
    // SAFETY: as above.
    let error = unsafe { Array::<u64, _>::attach(region, 4096, &me) }.unwrap_err();
    assert!(matches!(error, ShapeError::Place(_)), "{error}");

    let none = array::<u64>(region, 0, &me);
    assert!(none.is_empty());
    assert_eq!(none.to_vec().unwrap(), []);
    none.fill(1).unwrap();
    assert_eq!(none.get(0), Err(out_of_range(0, 0)));
}

#[test]
fn arr_16_a_copy_keeps_the_old_values() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let rows = array(memory.region(), [[7_u32, 8], [9, 10]], &me);
    let (copy, all) = (rows.get(0).unwrap(), rows.to_vec().unwrap());
    rows.fill([0, 0]).unwrap();
    assert_eq!((copy, all), ([7, 8], vec![[7, 8], [9, 10]]));
}

#[test]
fn a_conversion_never_wraps() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), [5_u8; 3], &me);
    assert!(matches!(row.set_from(0, 256_i64), Err(SetError::Conversion(_))));
    assert!(matches!(row.set_from(3, 1_i64), Err(SetError::Failed(ArrayError::OutOfRange(_)))));
    row.set_from(1, 255_i64).unwrap();
    assert_eq!(row.to_vec().unwrap(), [5, 255, 5]);
}

#[test]
fn values_without_bytes_have_no_end_of_elements() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array::<[u8; 0]>(memory.region(), 1_000_000, &me);
    row.set(999_999, []).unwrap();
    assert_eq!(row.get(0), Ok([]));
}

#[test]
fn a_reader_who_dies_leaves_no_trace() {
    let [me, peer] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let guard = array(region, TEN, &peer).lock_owned().unwrap();
    assert_eq!(guard[9], 831);
    core::mem::forget(guard);
    peer.die();
    let ours: Array<i32, _> = attach(region, 10, &me);
    assert_eq!(*ours.lock().unwrap(), TEN);
}

#[test]
fn a_dead_bulk_writer_is_reported_until_somebody_answers_for_it() {
    let [me, peer] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let mut guard = array(region, TEN, &peer).lock_owned().unwrap();
    guard[0] = -1;
    core::mem::forget(guard);
    peer.die();

    let ours: Array<i32, _> = attach(region, 10, &me);
    assert_eq!(ours.get(5), Err(ArrayError::OwnerDied));
    assert_eq!(ours.set(5, 1), Err(ArrayError::OwnerDied));
    assert_eq!(ours.fill(1), Err(ArrayError::OwnerDied));
    assert_eq!(ours.to_vec(), Err(ArrayError::OwnerDied));
    let Err(LockError::OwnerDied(mut guard)) = ours.lock() else { panic!("it must be told") };
    guard[1] = -2;
    drop(guard);
    let Err(LockError::OwnerDied(mut guard)) = ours.lock() else { panic!("nobody answered") };
    assert_eq!(guard[..2], [-1, -2]);
    guard.copy_from_slice(&TEN);
    guard.make_consistent();
    drop(guard);
    assert_eq!(ours.to_vec().unwrap(), TEN);
}

#[test]
fn an_heir_who_dies_before_it_answers_leaves_the_report() {
    let [first, second, third] = ModelJudge::new(3).try_into().unwrap();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let mut guard = array(region, TEN, &first).lock_owned().unwrap();
    guard.reverse();
    core::mem::forget(guard);
    first.die();
    let heir: Array<i32, _> = attach(region, 10, &second);
    let Err(LockError::OwnerDied(guard)) = heir.lock() else { panic!("it must be told") };
    core::mem::forget(guard);
    second.die();
    let last: Array<i32, _> = attach(region, 10, &third);
    assert!(matches!(last.lock(), Err(LockError::OwnerDied(_))));
}

#[test]
fn a_panic_in_a_bulk_write_poisons_and_one_in_an_update_does_not() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        row.update(0, |n| {
            *n = 0;
            panic!("half-way");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(row.get(0), Ok(680));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = row.lock().unwrap();
        guard[0] = 0;
        panic!("half-way");
    }));
    assert!(panicked.is_err());
    assert_eq!(row.get(0), Err(ArrayError::Poisoned));
    let Err(LockError::Poisoned(mut guard)) = row.lock() else { panic!("it must be told") };
    guard.set(0, 680).unwrap();
    guard.make_consistent();
    drop(guard);
    assert_eq!(row.get(0), Ok(680));
}

#[test]
fn a_forked_child_that_has_not_joined_is_refused() {
    let [me, _] = two();
    let child = me.forked();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let row = array(region, TEN, &me);
    let inherited: Array<i32, _> = attach(region, 10, &child);
    assert_eq!(inherited.set(0, 1), Err(ArrayError::Failed(LockFailure::NotJoined)));
    assert!(matches!(inherited.lock(), Err(LockError::Failed(LockFailure::NotJoined))));
    assert_eq!(row.get(0), Ok(680));
}

/// The words of an array, as bytes: see the picture in `journal.rs`.
const PENDING: usize = 16;
const JOURNAL: usize = 32;
const ELEMENTS: usize = JOURNAL + 8;

/// Lets a writer of element 2 die holding the lock; then `torn` writes into the memory what a kill there leaves.
fn killed_in_set(torn: impl FnOnce(&mut [u8])) -> Result<Vec<u64>, ArrayError> {
    let [me, peer] = two();
    let mut memory = Memory::<4096>::new();
    core::mem::forget(array(memory.region(), [1_u64, 2, 3, 4], &peer).lock().unwrap());
    torn(memory.bytes());
    peer.die();
    let ours: Array<u64, _> = attach(memory.region(), 4, &me);
    ours.to_vec()
}

#[test]
fn a_writer_killed_before_its_journal_counts_has_not_written() {
    let found = killed_in_set(|bytes| bytes[JOURNAL..ELEMENTS - 3].fill(0x77));
    assert_eq!(found.unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_writer_killed_after_its_journal_counts_has_written() {
    for written in 0..=8 {
        let found = killed_in_set(|bytes| {
            bytes[JOURNAL..ELEMENTS].fill(0x77);
            bytes[PENDING] = 3;
            bytes[ELEMENTS + 16..][..written].fill(0x77);
        });
        assert_eq!(found.unwrap(), [1, 2, 0x7777_7777_7777_7777, 4], "{written} bytes written");
    }
}

#[test]
fn a_journal_for_no_element_is_reported_and_nothing_is_written() {
    for pending in [5_u64, u64::MAX] {
        let found = killed_in_set(|bytes| {
            bytes[PENDING..PENDING + 8].copy_from_slice(&pending.to_ne_bytes());
        });
        assert_eq!(found, Err(ArrayError::OwnerDied));
    }
}

#[test]
fn a_mark_that_nobody_writes_is_reported() {
    assert_eq!(killed_in_set(|bytes| bytes[24] = 99), Err(ArrayError::OwnerDied));
}

#[test]
fn threads_of_one_process_exclude_each_other() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array::<u64>(memory.region(), 4, &me);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for _ in 0..500 {
                    row.update(thread, |n| *n += 1).unwrap();
                    row.lock().unwrap()[3] += 1;
                }
            });
        }
    });
    assert_eq!(row.to_vec().unwrap(), [500, 500, 500, 2500]);
}

#[test]
fn whoever_waits_for_the_lock_can_give_up() {
    let (mut memory, judges) = (Memory::<1024>::new(), two());
    let here = array(memory.region(), [1_u64, 2, 3], &judges[0]);
    let (soon, now) = (Duration::from_millis(2), Instant::now());
    assert_eq!(here.try_set(0, 4), Ok(()));
    assert_eq!(here.get_timeout(0, soon), Ok(4));
    let held = here.lock().unwrap();
    let late = |end: Result<(), ArrayError>| assert_eq!(end, Err(LockFailure::TimedOut.into()));
    assert_eq!(here.try_get(0), Err(LockFailure::WouldBlock.into()));
    late(here.set_timeout(0, 5, soon));
    late(here.update_deadline(0, |_| unreachable!("it is locked"), now));
    late(here.read_range_deadline(.., now).map(drop));
    late(here.write_range_timeout(.., &[7; 3], soon));
    late(here.fill_deadline(7, now));
    late(here.update_all_deadline(|_| unreachable!("it is locked"), now));
    assert_eq!(here.get_timeout(9, soon), Err(out_of_range(9, 3)), "without the lock");
    assert_eq!(*held, [4, 2, 3]);
}

#[test]
fn an_element_is_exchanged_if_it_is_what_it_should_be() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    assert_eq!(row.compare_exchange(3, 821, 1), Ok(Ok(821)));
    assert_eq!(row.compare_exchange(3, 821, 2), Ok(Err(1)));
    assert_eq!(row.compare_exchange(10, 0, 0), Err(out_of_range(10, 10)));
    assert_eq!(row.get(3), Ok(1));
}

#[test]
fn a_guard_of_a_range_shows_and_changes_no_other_elements() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    let mut middle = row.lock_range(2..5).unwrap();
    assert_eq!(*middle, TEN[2..5]);
    assert_eq!(row.try_get(0), Err(LockFailure::WouldBlock.into()), "the lock is the array's");
    middle.fill(0);
    middle.set(2, 7).unwrap();
    assert_eq!(middle.set(3, 7), Err(out_of_range(3, 3)));
    assert_eq!(middle.into_whole()[..6], [680, 626, 0, 0, 7, 233]);
    let last = row.lock_owned().unwrap().into_range(8..).unwrap();
    assert_eq!(*last, [714, 831]);
    drop(last);
    let refused = row.lock_range(8..11).map(drop);
    assert_eq!(refused, Err(ArrayError::NoSuchRange { start: 8, end: 11, len: 10 }));
    assert!(row.lock().unwrap().into_range(11..).is_err());
    assert!(row.try_get(0).is_ok(), "who was refused has let the lock go");
}

#[test]
fn who_dies_in_a_range_is_reported_to_who_takes_another() {
    let [me, peer] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let here = array(region, TEN, &me);
    let there: Array<i32, _> = attach(region, 10, &peer);
    core::mem::forget({
        let mut range = there.lock_range(..2).unwrap();
        range[0] = 1;
        range
    });
    peer.die();
    assert_eq!(here.lock_range(5..).map(drop), Err(ArrayError::OwnerDied));
    drop(here.lock_or_repair(|all| all[0] = TEN[0]).unwrap());
    assert_eq!(*here.lock_range(5..).unwrap(), TEN[5..]);
}

#[test]
fn arr_08_steps_are_views_in_place_and_are_written() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let row = array(memory.region(), TEN, &me);
    let mut guard = row.lock().unwrap();
    let view = guard.strided(1.., 3).unwrap();
    assert_eq!((view.len(), view[2], view.get(3)), (3, TEN[7], None));
    assert!(view.iter().eq([&TEN[1], &TEN[4], &TEN[7]]));
    assert_eq!(guard.strided(3..3, 2).unwrap().len(), 0);
    assert_eq!(guard.strided(.., 0).map(drop), Err(ArrayError::ZeroStep));
    assert_eq!(guard.strided(.., usize::MAX).unwrap().len(), 1);
    let mut view = guard.strided_mut(.., 4).unwrap();
    view[1] = -1;
    view.iter_mut().for_each(|n| *n += 1);
    assert_eq!(view.get_mut(3), None);
    drop(guard);
    assert_eq!(row.read_step(.., 4).unwrap(), [681, 0, 715]);
    row.write_step(1..6, 2, &[1, 2, 3]).unwrap();
    assert_eq!(row.read_range(..7).unwrap(), [681, 1, 934, 2, 0, 3, 548]);
    let wrong = row.write_step(1..6, 2, &[1, 2]);
    assert_eq!(wrong, Err(ArrayError::Count { given: 2, expected: 3 }));
    assert_eq!(row.write_step(.., 0, &[]), Err(ArrayError::ZeroStep));
}
