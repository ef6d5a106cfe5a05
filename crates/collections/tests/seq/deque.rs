//! Elements come, change and go as in the standard deque, and as in Python's where there may be so many only.

use std::collections::VecDeque;

use shmkit_collections::{DequeSpec, SeqError, ShmDeque};
use shmkit_roster::model::ModelJudge;

use crate::support::{Memory, whole};

type Deque<'m, T> = ShmDeque<T, &'m ModelJudge>;

#[test]
fn what_is_pushed_where_there_may_be_no_more_pushes_another_out() {
    let memory = Memory::new(1 << 18);
    let deque = memory.make::<Deque<'_, u8>>(DequeSpec::bytes(1 << 18).max_len(3));
    let other = memory.open::<Deque<'_, u8>>(1).unwrap();
    assert_eq!(other.max_len(), Some(3));
    deque.extend(1..=2).unwrap();
    deque.extend(3..=5).unwrap();
    assert_eq!(other.to_vec(), Ok(vec![3, 4, 5]));
    other.push_front(2).unwrap();
    assert_eq!(deque.to_vec(), Ok(vec![2, 3, 4]));
    deque.push_back(9).unwrap();
    assert_eq!((deque.get(0), deque.len()), (Ok(Some(3)), 3));
    assert_eq!(deque.insert(1, 0), Err(SeqError::Bounded { most: 3 }));
    deque.extend(0..100).unwrap();
    assert_eq!(deque.to_vec(), Ok(vec![97, 98, 99]));
    deque.clear().unwrap();
    assert_eq!((deque.pop_front(), deque.pop_back()), (Ok(None), Ok(None)));
    whole(deque.check().unwrap());
}

#[test]
fn where_there_may_be_none_there_is_none() {
    let memory = Memory::new(1 << 18);
    let deque = memory.make::<Deque<'_, u8>>(DequeSpec::bytes(1 << 18).max_len(0));
    deque.push_back(1).unwrap();
    deque.push_front(1).unwrap();
    deque.extend(0..9).unwrap();
    assert_eq!((deque.to_vec(), deque.pop_back()), (Ok(Vec::new()), Ok(None)));
}

#[test]
fn operations_in_any_order_are_answered_as_the_standard_deque_does() {
    let mut random = fastrand::Rng::with_seed(9);
    for most in [None, Some(1), Some(7), Some(100)] {
        let memory = Memory::new(1 << 20);
        let spec = DequeSpec::bytes(1 << 20);
        let deque = memory.make::<Deque<'_, [u16; 3]>>(most.map_or(spec, |n| spec.max_len(n)));
        let most = most.map_or(usize::MAX, |most| most as usize);
        let mut model = VecDeque::new();
        for step in 0..8000_u16 {
            let (value, at) = ([step; 3], random.usize(..=model.len()));
            let mut guard = deque.lock().unwrap();
            match random.u32(..16) {
                0..4 => {
                    model.push_back(value);
                    if model.len() > most {
                        model.pop_front();
                    }
                    guard.push_back(value).unwrap();
                }
                4..6 => {
                    model.push_front(value);
                    model.truncate(most);
                    guard.push_front(value).unwrap();
                }
                6 | 7 => assert_eq!(guard.pop_back(), model.pop_back()),
                8 | 9 => assert_eq!(guard.pop_front(), model.pop_front()),
                10 if model.len() < most => {
                    model.insert(at, value);
                    guard.insert(at, value).unwrap();
                }
                11 if at < model.len() => assert_eq!(guard.remove(at).ok(), model.remove(at)),
                12 if at < model.len() => {
                    model[at][1] = 0;
                    guard.update(at, |value| value[1] = 0).unwrap();
                }
                13 => {
                    let values = vec![value; random.usize(..20)];
                    model.extend(&values);
                    model.drain(..model.len().saturating_sub(most));
                    guard.extend_from_slice(&values).unwrap();
                }
                14 if random.u32(..40) == 0 => {
                    model.retain(|value| value[0] % 3 != 0);
                    guard.retain(|value| value[0] % 3 != 0).unwrap();
                    guard.update_all(|all| all.reverse()).unwrap();
                    model = model.into_iter().rev().collect();
                    guard.shrink_to_fit().unwrap();
                }
                _ => {
                    let set = guard.set(at, value);
                    assert_eq!(
                        set.ok(),
                        model.get_mut(at).map(|old| std::mem::replace(old, value))
                    );
                }
            }
            assert!(guard.iter().eq(&model), "{guard:?} after step {step}, not {model:?}");
            assert_eq!((guard.front(), guard.back()), (model.front(), model.back()));
            drop(guard);
            assert_eq!(deque.len(), model.len());
        }
        whole(deque.check().unwrap());
    }
}
