//! A value, its lock, and what a dead writer leaves.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use shmkit_cell::{SetError, Value, ValueGuard};
use shmkit_layout::{InPlace, Object, Region, ShapeError, ShmSafe};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::LockFailure;

use crate::support::{Memory, attach, make};

fn two() -> [ModelJudge; 2] {
    ModelJudge::new(2).try_into().unwrap()
}

fn value<'a, T: ShmSafe>(
    region: Region<'a>,
    first: T,
    judge: &'a ModelJudge,
) -> Value<T, &'a ModelJudge> {
    make(region, first, judge)
}

#[test]
fn what_is_set_is_read() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 4343_i32, &me);
    assert_eq!(cell.get(), Ok(4343));
    cell.set(24234).unwrap();
    cell.set(-1).unwrap();
    assert_eq!(cell.get(), Ok(-1));
    assert_eq!(cell.update(|n| core::mem::replace(n, 7)), Ok(-1));
    assert_eq!(cell.try_get(), Ok(7));
    assert_eq!(cell.get_timeout(Duration::ZERO), Ok(7));
}

#[test]
fn a_structure_of_any_alignment_fits() {
    #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
    #[shm(crate = shmkit_layout)]
    #[repr(C, align(64))]
    struct Wide([u64; 8]);

    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let shape = <Value<Wide, ModelJudge> as Object<ModelJudge>>::shape(&Wide([0; 8]), 2).unwrap();
    assert_eq!((shape.bytes, shape.align), (64 + 2 * 64, 128));
    let cell = value(memory.region().sub(0, shape.bytes).unwrap(), Wide([1; 8]), &me);
    cell.set(Wide([2; 8])).unwrap();
    assert_eq!(cell.get(), Ok(Wide([2; 8])));
}

#[test]
fn a_region_that_is_too_small_is_refused() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let shape = <Value<u64, ModelJudge> as Object<ModelJudge>>::shape(&0, 2).unwrap();
    assert_eq!(shape.to_string(), "value of u64 (8 bytes)");
    let short = region.sub(0, shape.bytes - 1).unwrap();
    // SAFETY: fresh, zeroed bytes.
    let error = unsafe { Value::<u64, _>::init(short, 0, &me) }.unwrap_err();
    assert!(matches!(error, ShapeError::Place(_)), "{error}");
    // SAFETY: refused before anything is read.
    let error = unsafe { Value::<u64, _>::attach(region, 2, &me) }.unwrap_err();
    assert_eq!(error, ShapeError::Length { found: 2, min: 1, max: 1 });
}

#[test]
fn val_09_a_conversion_never_wraps() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 5_i32, &me);
    let error = cell.set_from(1_u64 << 31).unwrap_err();
    assert!(matches!(error, SetError::Conversion(_)), "{error:?}");
    assert_eq!(error.to_string(), "the number does not fit in the cell's type; nothing was stored");
    assert_eq!(cell.get(), Ok(5));
    cell.set_from((1_u64 << 31) - 1).unwrap();
    assert_eq!(cell.get(), Ok(i32::MAX));
}

#[test]
fn a_guard_commits_at_its_end_unless_it_is_discarded() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 1_u64, &me);
    let mut guard = cell.lock().unwrap();
    *guard = 2;
    assert_eq!(cell.try_get(), Err(LockFailure::WouldBlock));
    assert_eq!(cell.get_timeout(Duration::from_millis(5)), Err(LockFailure::TimedOut));
    drop(guard);
    assert_eq!(cell.get(), Ok(2));

    let mut guard = cell.lock().unwrap();
    *guard = 3;
    guard.commit().unwrap();
    *guard = 4;
    guard.discard();
    assert_eq!(cell.get(), Ok(3));
}

#[test]
fn a_panic_commits_nothing_and_releases_the_lock() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 1_u64, &me);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        cell.update(|n| {
            *n = 2;
            panic!("half-way");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(cell.try_get(), Ok(1));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = cell.lock().unwrap();
        *guard = 2;
        panic!("half-way");
    }));
    assert!(panicked.is_err());
    assert_eq!(cell.try_get(), Ok(1));
}

#[test]
fn a_guard_taken_while_panicking_commits() {
    struct Count<'a>(Value<u64, &'a ModelJudge>);
    impl Drop for Count<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 1, &me);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _count = Count(cell);
        panic!("somewhere else");
    }));
    assert!(panicked.is_err());
    assert_eq!(cell.get(), Ok(2));
}

#[test]
fn a_dead_writer_leaves_the_old_value_and_tells_nobody() {
    let [me, peer] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let theirs = value(region, [1_u64; 8], &peer);
    let ours: Value<[u64; 8], _> = attach(region, 1, &me);
    let mut guard = theirs.lock().unwrap();
    *guard = [2; 8];
    core::mem::forget(guard);
    assert_eq!(ours.try_get(), Err(LockFailure::WouldBlock), "it is still alive");
    peer.die();
    assert_eq!(ours.get(), Ok([1; 8]));
    ours.set([3; 8]).unwrap();
    assert_eq!(ours.try_get(), Ok([3; 8]));
}

#[test]
fn an_heir_who_dies_as_well_leaves_it_whole() {
    let [first, second, third] = ModelJudge::new(3).try_into().unwrap();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    core::mem::forget(value(region, 1_u64, &first).lock().unwrap());
    first.die();
    let heir: Value<u64, _> = attach(region, 1, &second);
    core::mem::forget(heir.lock().unwrap());
    second.die();
    let last: Value<u64, _> = attach(region, 1, &third);
    assert_eq!(last.get(), Ok(1));
}

#[test]
fn a_forked_child_that_has_not_joined_is_refused() {
    let [me, _] = two();
    let child = me.forked();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    let cell = value(region, 1_u64, &me);
    let inherited: Value<u64, _> = attach(region, 1, &child);
    assert_eq!(inherited.get(), Err(LockFailure::NotJoined));
    assert_eq!(inherited.set(2), Err(LockFailure::NotJoined));
    assert_eq!(cell.get(), Ok(1));
}

#[test]
fn threads_of_one_process_exclude_each_other() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 0_u64, &me);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    cell.update(|n| *n += 1).unwrap();
                }
            });
        }
    });
    assert_eq!(cell.get(), Ok(4000));
}

#[test]
fn nonsense_in_the_slot_number_still_means_a_slot() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    value(memory.region(), 9_u64, &me).set(9).unwrap();
    memory.bytes()[16..20].fill(0xff);
    let cell: Value<u64, _> = attach(memory.region(), 1, &me);
    assert_eq!(cell.get(), Ok(9));
    cell.set(10).unwrap();
    assert_eq!(cell.get(), Ok(10));
}

#[test]
fn peeking_takes_no_lock_and_sees_what_was_committed() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), [1_u64; 8], &me);
    assert_eq!(cell.peek(), Ok([1; 8]));
    let mut guard = cell.lock().unwrap();
    assert_eq!(cell.peek(), Ok([1; 8]), "it is locked");
    guard[3] = 2;
    assert_eq!(cell.peek(), Ok([1; 8]), "nothing was committed");
    guard.commit().unwrap();
    assert_eq!(cell.peek(), Ok([1, 1, 1, 2, 1, 1, 1, 1]));
    guard[3] = 3;
    assert_eq!(guard[3], 3);
    guard.discard();
    assert_eq!(cell.peek(), cell.get());
}

#[test]
fn who_peeks_beside_a_writer_sees_whole_values() {
    let [me, _] = two();
    // So big that a writer overtakes who peeks.
    let mut memory = Memory::<32768>::new();
    let cell = value(memory.region(), [0_u64; 1024], &me);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1.. {
                cell.update(|all| all.fill(n)).unwrap();
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        let mut last = 0;
        let mut looks = || -> Result<(), String> {
            for _ in 0..20_000 {
                let Ok(all) = cell.peek() else { continue };
                if let Some(other) = all.iter().find(|&&n| n != all[0]) {
                    return Err(format!("torn: {} and {other}", all[0]));
                }
                if all[0] < last {
                    return Err(format!("{} after {last}", all[0]));
                }
                last = all[0];
            }
            Ok(())
        };
        let found = looks();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        found.unwrap();
    });
}

#[test]
fn a_try_does_not_wait() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 1_u64, &me);
    let guard = cell.lock().unwrap();
    assert_eq!(cell.try_set(2), Err(LockFailure::WouldBlock));
    assert_eq!(cell.try_update(|n| *n = 2), Err(LockFailure::WouldBlock));
    drop(guard);
    cell.try_set(3).unwrap();
    assert_eq!(cell.try_update(|n| core::mem::replace(n, 4)), Ok(3));
    assert_eq!(cell.get(), Ok(4));
}

#[test]
fn a_value_is_made_where_it_lies() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let region = memory.region();
    // SAFETY: fresh, zeroed bytes that nobody else uses.
    let made = unsafe { Value::<[u64; 8], _>::init_with(region, (), |all| all[7] = 7, &me) };
    assert_eq!(made.unwrap().get(), Ok([0, 0, 0, 0, 0, 0, 0, 7]));
    let found: Value<[u64; 8], _> = attach(region, 1, &me);
    assert_eq!(found.get().unwrap()[7], 7);
}

#[test]
fn handles_and_guards_can_be_shown() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 9_u64, &me);
    assert_eq!(format!("{cell:?}"), "Value { type: u64 (8 bytes), owner: None }");
    let guard: ValueGuard<'_, u64, _> = cell.lock().unwrap();
    assert_eq!(format!("{guard:?}"), "ValueGuard(9)");
    assert!(format!("{cell:?}").contains("OwnerId(1)"));
}

#[test]
fn a_value_is_exchanged_if_it_is_what_it_should_be() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), [1_u64, 2], &me);
    assert_eq!(cell.compare_exchange([1, 2], [3, 4]), Ok(Ok([1, 2])));
    assert_eq!(cell.compare_exchange([1, 2], [5, 6]), Ok(Err([3, 4])));
    assert_eq!(cell.get(), Ok([3, 4]));
    let guard = cell.lock().unwrap();
    assert_eq!(cell.try_compare_exchange([3, 4], [5, 6]), Err(LockFailure::WouldBlock));
    let late = cell.compare_exchange_timeout([3, 4], [5, 6], Duration::from_millis(2));
    assert_eq!(late, Err(LockFailure::TimedOut));
    drop(guard);
    assert_eq!(cell.get(), Ok([3, 4]));
}

#[test]
fn threads_that_exchange_lose_no_update() {
    let [me, _] = two();
    let mut memory = Memory::<4096>::new();
    let cell = value(memory.region(), 0_u64, &me);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..500 {
                    let mut seen = cell.get().unwrap();
                    while let Err(found) = cell.compare_exchange(seen, seen + 1).unwrap() {
                        seen = found;
                    }
                }
            });
        }
    });
    assert_eq!(cell.get(), Ok(2000));
}
