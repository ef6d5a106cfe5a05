//! Elements come, change and go as in the standard vector.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

use shmkit_collections::{SeqError, ShmVec};
use shmkit_layout::{Object, ShapeError, ShmSafe};
use shmkit_roster::model::ModelJudge;

use crate::support::{Memory, whole};

type Vector<'m, T> = ShmVec<T, &'m ModelJudge>;

#[test]
fn what_one_puts_in_the_others_find() {
    let memory = Memory::new(1 << 18);
    let vec = memory.make::<Vector<'_, u32>>(1 << 18);
    let other = memory.open::<Vector<'_, u32>>(1).unwrap();
    assert_eq!((vec.pop(), vec.get(0), other.to_vec()), (Ok(None), Ok(None), Ok(Vec::new())));
    vec.push(4).unwrap();
    other.extend([5, 6, 7]).unwrap();
    assert_eq!((vec.len(), vec.to_vec()), (4, Ok(vec![4, 5, 6, 7])));
    assert_eq!(other.set(1, 50), Ok(5));
    assert_eq!(vec.update(1, |n| *n += 1), Ok(()));
    assert_eq!((other.get(1), other.pop()), (Ok(Some(51)), Ok(Some(7))));
    assert_eq!(vec.swap_remove(0), Ok(4));
    vec.insert(1, 9).unwrap();
    assert_eq!(other.to_vec(), Ok(vec![6, 9, 51]));
    assert_eq!(vec.remove(0), Ok(6));
    vec.update_all(|all| all.reverse()).unwrap();
    assert_eq!(other.lock().unwrap()[..], [51, 9]);
    vec.clear().unwrap();
    assert!(vec.is_empty());
    whole(vec.check().unwrap());
}

#[test]
fn an_index_that_is_none_is_an_error_that_names_it() {
    let memory = Memory::new(1 << 18);
    let vec = memory.make::<Vector<'_, u8>>(1 << 18);
    vec.extend([1, 2]).unwrap();
    let none = SeqError::OutOfRange { index: 2, len: 2 };
    assert_eq!(
        (vec.set(2, 0), vec.remove(2), vec.swap_remove(2)),
        (Err(none), Err(none), Err(none))
    );
    assert_eq!(vec.update(2, |_| ()), Err(none));
    assert_eq!(vec.insert(3, 0), Err(SeqError::NoSuchRange { start: 3, end: 3, len: 2 }));
    let mut guard = vec.lock().unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "what is refused")]
    let refused = guard.splice(2..1, &[]);
    assert_eq!(refused, Err(SeqError::NoSuchRange { start: 2, end: 1, len: 2 }));
    assert_eq!(guard[..], [1, 2]);
}

#[test]
fn operations_in_any_order_are_answered_as_the_standard_vector_does() {
    let memory = Memory::new(1 << 20);
    let vec = memory.make::<Vector<'_, [u32; 3]>>(1 << 20);
    let (mut model, mut random) = (Vec::new(), fastrand::Rng::with_seed(7));
    for step in 0..20_000_u32 {
        let (value, len) = ([step; 3], model.len());
        let at = random.usize(..=len);
        let mut guard = vec.lock().unwrap();
        match random.u32(..14) {
            0..4 => {
                model.push(value);
                guard.push(value).unwrap();
            }
            4 | 5 => assert_eq!(guard.pop(), model.pop()),
            6 => {
                model.insert(at, value);
                guard.insert(at, value).unwrap();
            }
            7 if at < len => assert_eq!(guard.remove(at), Ok(model.remove(at))),
            8 if at < len => assert_eq!(guard.swap_remove(at), Ok(model.swap_remove(at))),
            9 if at < len => {
                model[at][2] = 1;
                guard.update(at, |value| value[2] = 1).unwrap();
            }
            10 => {
                let (end, with) = (random.usize(at..=len), vec![value; random.usize(..20)]);
                model.splice(at..end, with.iter().copied());
                guard.splice(at..end, &with).unwrap();
            }
            11 if random.u32(..50) == 0 => {
                model.retain(|value| value[0] % 3 != 0);
                guard.retain(|value| value[0] % 3 != 0).unwrap();
            }
            12 if random.u32(..50) == 0 => {
                model.truncate(at);
                guard.truncate(at);
                guard.shrink_to_fit().unwrap();
            }
            _ => {
                model.extend_from_slice(&[value; 2]);
                guard.extend_from_slice(&[value; 2]).unwrap();
            }
        }
        assert_eq!(guard[..], model[..], "after step {step}");
        assert!(guard.capacity() >= guard.len());
        drop(guard);
        assert_eq!(vec.len(), model.len());
    }
    whole(vec.check().unwrap());
}

#[test]
fn a_vector_grows_until_its_memory_is_full_and_keeps_what_it_has() {
    let memory = Memory::new(1 << 20);
    let vec = memory.make::<Vector<'_, u64>>(1 << 20);
    let mut copies = 0;
    let mut capacity = 0;
    let full = (0..).find_map(|n| {
        let mut guard = vec.lock().unwrap();
        let error = guard.push(n).err();
        copies += usize::from(guard.capacity() != capacity);
        capacity = guard.capacity();
        error
    });
    let Some(SeqError::Full { len, .. }) = full else { panic!("{full:?}") };
    assert!(copies <= 20, "{copies} blocks for {len} elements");
    assert!(len * 8 > (1 << 20) / 3, "{len}");
    assert_eq!(vec.to_vec(), Ok((0..len as u64).collect::<Vec<_>>()));
    whole(vec.check().unwrap());
    vec.clear().unwrap();
    vec.lock().unwrap().shrink_to_fit().unwrap();
    assert_eq!(vec.check().unwrap().kept_blocks, 0);
    vec.push(1).unwrap();
}

#[test]
fn a_change_that_panics_changes_nothing() {
    let memory = Memory::new(1 << 18);
    let vec = memory.make::<Vector<'_, u64>>(1 << 18);
    vec.extend([1, 2, 3]).unwrap();
    let one = catch_unwind(AssertUnwindSafe(|| {
        vec.update(1, |value| {
            *value = 6;
            resume_unwind(Box::new(()));
        })
    }));
    let all = catch_unwind(AssertUnwindSafe(|| {
        vec.update_all(|values| {
            values.fill(6);
            resume_unwind(Box::new(()));
        })
    }));
    assert!(one.is_err() && all.is_err());
    assert_eq!(vec.to_vec(), Ok(vec![1, 2, 3]));
    whole(vec.check().unwrap());
}

#[test]
fn elements_are_aligned_as_they_ask() {
    #[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
    #[shm(crate = shmkit_layout)]
    #[repr(C, align(64))]
    struct Line([u8; 64]);
    let memory = Memory::new(1 << 18);
    let vec = memory.make::<Vector<'_, Line>>(1 << 18);
    for n in 0..100 {
        vec.push(Line([n; 64])).unwrap();
    }
    let guard = vec.lock().unwrap();
    assert!(guard.as_ptr().cast::<u8>().addr().is_multiple_of(64));
    assert!(guard.iter().enumerate().all(|(n, line)| *line == Line([n as u8; 64])));
}

#[test]
fn who_waits_for_the_lock_waits_no_longer_than_was_said() {
    let memory = Memory::new(1 << 18);
    let vec = memory.make::<Vector<'_, u8>>(1 << 18);
    let other = memory.open::<Vector<'_, u8>>(1).unwrap().time_limit(Duration::from_millis(2));
    let guard = vec.lock().unwrap();
    assert!(other.push(1).unwrap_err().is_timeout());
    assert!(other.lock_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
    assert!(matches!(other.try_lock().map(drop), Err(SeqError::Lock(_))));
    drop(guard);
    assert_eq!(other.push(1), Ok(()));
}

#[test]
fn pushes_of_many_threads_are_all_there() {
    const ROUNDS: u64 = 3000;
    let memory = Memory::new(1 << 20);
    let vec = memory.make::<Vector<'_, [u64; 2]>>(1 << 20);
    vec.push([0; 2]).unwrap();
    thread::scope(|scope| {
        for n in 0..4 {
            let mine = memory.open::<Vector<'_, [u64; 2]>>(n).unwrap();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    mine.update(0, |sum| *sum = [sum[0] + 1; 2]).unwrap();
                    mine.push([n as u64, round]).unwrap();
                    mine.lock().unwrap().iter().for_each(|value| assert!(value[1] <= 4 * ROUNDS));
                    if round % 3 == 0 {
                        mine.pop().unwrap().unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(vec.get(0), Ok(Some([4 * ROUNDS; 2])));
    assert_eq!(vec.len() as u64, 1 + 4 * (ROUNDS - ROUNDS / 3));
    whole(vec.check().unwrap());
}

#[test]
fn a_size_that_no_vector_can_have_is_refused() {
    for bytes in [0, 1 << 16, (1 << 40) + 1, u64::MAX] {
        let shape = <Vector<'_, u8> as Object<&ModelJudge>>::shape(&bytes, 64);
        assert!(matches!(shape, Err(ShapeError::Length { .. })), "{bytes}");
    }
}
