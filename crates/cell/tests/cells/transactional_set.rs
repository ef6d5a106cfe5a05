//! Several things under one lock, changed as a whole or not at all.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shmkit_cell::{
    MapMember, Member, SetTransaction, TransactionError, TransactionalSet, TransactionalSetSpec,
};
use shmkit_layout::{Object, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::LockFailure;

use crate::support::{Memory, attach, make};

type Set<'a> = TransactionalSet<&'a ModelJudge>;

const SPEC: TransactionalSetSpec = TransactionalSetSpec::new(8192, 2048).members(4);

fn two() -> [ModelJudge; 2] {
    ModelJudge::new(2).try_into().unwrap()
}

fn set<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Set<'a> {
    make(region, SPEC, judge)
}

#[derive(Clone, Copy)]
struct Shop {
    sum: Member<u64>,
    shelf: Member<[u32]>,
    orders: MapMember<u64, [u16; 3]>,
}

fn shop(set: &mut SetTransaction<'_>) -> Result<Shop, TransactionError> {
    Ok(Shop {
        sum: set.member("sum", 7)?,
        shelf: set.member("shelf", [9; 5].into())?,
        orders: set.map("orders", 40)?,
    })
}

fn sell(set: &mut SetTransaction<'_>, shop: &Shop, n: u64) -> Result<(), TransactionError> {
    let sum = set.change(&shop.sum, |sum| sum)?;
    *sum = sum.wrapping_add(n);
    let left = set.change(&shop.shelf, |shelf| &shelf[n as usize % 5])?;
    *left = left.wrapping_sub(1);
    set.insert(&shop.orders, &n, &[n as u16; 3])
}

/// The sum, the shelf, and the orders.
fn seen(set: &Set<'_>, shop: &Shop) -> (u64, Vec<u32>, HashMap<u64, [u16; 3]>) {
    set.read(|set| {
        let orders = set.entries(&shop.orders)?.map(|(key, value)| (*key, *value)).collect();
        Ok((*set.get(&shop.sum)?, set.get(&shop.shelf)?.to_vec(), orders))
    })
    .unwrap()
}

#[test]
fn members_are_found_by_others_and_changed_together() {
    let [me, peer] = two();
    let mut memory = Memory::<16384>::new();
    let region = memory.region();
    let here = set(region, &me);
    let made = here.transaction(shop).unwrap();
    let len = <Set<'_> as Object<&ModelJudge>>::shape(&SPEC, 2).unwrap().len;
    let there: Set<'_> = attach(region, len, &peer);
    let found = there.transaction(shop).unwrap();
    here.transaction(|set| sell(set, &made, 3)).unwrap();
    assert_eq!(seen(&there, &found), (10, vec![9, 9, 9, 8, 9], HashMap::from([(3, [3; 3])])));
    let names = there.read(|set| set.names()).unwrap();
    assert_eq!(names, ["sum", "shelf", "orders"]);
    there
        .read(|set| {
            assert_eq!(set.find::<u64>("sum")?.map(|sum| sum.len()), Some(1));
            assert!(set.find::<u64>("none")?.is_none());
            assert_eq!(set.find::<u32>("sum").map(drop), Err(TransactionError::OtherType));
            assert_eq!(set.find::<u32>("shelf").map(drop), Err(TransactionError::OtherType));
            assert_eq!(
                set.find_map::<u64, u64>("orders").map(drop),
                Err(TransactionError::OtherType)
            );
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_fails_panics_or_dies_has_changed_no_member() {
    let [me, peer] = two();
    let mut memory = Memory::<16384>::new();
    let region = memory.region();
    let here = set(region, &me);
    let made = here.transaction(shop).unwrap();
    here.transaction(|set| sell(set, &made, 1)).unwrap();
    let before = seen(&here, &made);
    let change = |set: &mut SetTransaction<'_>| {
        sell(set, &made, 2)?;
        sell(set, &made, 1)?;
        set.remove(&made.orders, &1)?;
        set.member::<[u8]>("new", [1; 100].into())
    };
    let refused = here.transaction(|set| change(set).and(Err::<(), _>(TransactionError::Aborted)));
    assert_eq!(refused, Err(TransactionError::Aborted));
    assert_eq!(seen(&here, &made), before);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        here.transaction::<()>(|set| {
            change(set)?;
            std::panic::resume_unwind(Box::new(()))
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(seen(&here, &made), before);
    // Whose lock is inherited by who knows no member.
    let len = <Set<'_> as Object<&ModelJudge>>::shape(&SPEC, 2).unwrap().len;
    let there: Set<'_> = attach(region, len, &peer);
    let died = catch_unwind(AssertUnwindSafe(|| {
        there.transaction::<()>(|set| {
            change(set)?;
            peer.die();
            std::panic::resume_unwind(Box::new(()))
        })
    }));
    assert!(died.is_err());
    assert_eq!(here.read(|set| set.names()).unwrap(), ["sum", "shelf", "orders"]);
    assert_eq!(seen(&here, &made), before);
    // The bytes of the member that never was are zeros for the next one.
    let next = here.transaction(|set| set.member::<[u8]>("next", 100.into())).unwrap();
    assert_eq!(here.read(|set| set.get(&next).map(<[u8]>::to_vec)), Ok(vec![0; 100]));
}

#[test]
fn a_member_that_cannot_be_made_is_refused() {
    let [me, _] = two();
    let mut memory = Memory::<16384>::new();
    let here = set(memory.region(), &me);
    here.transaction(shop).unwrap();
    let refuse = |name: &str, len: usize| {
        here.transaction(|set| set.member::<[u64]>(name, len.into())).unwrap_err()
    };
    for name in ["", "a\0b", &"n".repeat(65)] {
        assert_eq!(refuse(name, 1), TransactionError::Name);
    }
    let TransactionError::NoRoom { needed, left } = refuse("much", 1000) else { panic!("it fits") };
    assert!(needed == 8000 && left < 8000, "{left}");
    assert!(matches!(refuse("all", usize::MAX), TransactionError::NoRoom { .. }));
    assert_eq!(refuse("shelf", 5), TransactionError::OtherType);
    let length = here.transaction(|set| set.member::<[u32]>("shelf", 6.into())).unwrap_err();
    assert_eq!(length, TransactionError::OtherLength { found: 5, asked: 6 });
    let length = here.transaction(|set| set.map::<u64, [u16; 3]>("orders", 41)).unwrap_err();
    assert_eq!(length, TransactionError::OtherLength { found: 40, asked: 41 });
    let maps = [0, 1 << 40, u64::MAX].map(|most| {
        here.transaction(|set| set.map::<u64, u64>("map", most).and(Err(TransactionError::Aborted)))
    });
    assert_eq!(maps[0], Err::<(), _>(TransactionError::Aborted), "a map of nothing is possible");
    assert!(maps[1..].iter().all(|end| matches!(end, Err(TransactionError::NoRoom { .. }))));
    here.transaction(|set| set.member::<u8>("four", 1)).unwrap();
    assert_eq!(refuse("five", 1), TransactionError::TooManyMembers { most: 4 });
    let shape = |spec| <Set<'_> as Object<&ModelJudge>>::shape(&spec, 2);
    assert!(matches!(
        shape(TransactionalSetSpec::new(u64::MAX, 64)),
        Err(ShapeError::Length { .. })
    ));
    assert!(matches!(shape(TransactionalSetSpec::new(64, 0)), Err(ShapeError::Length { .. })));
}

#[test]
fn a_member_of_another_set_is_refused() {
    let [me, _] = two();
    let (mut first, mut second) = (Memory::<16384>::new(), Memory::<16384>::new());
    let (here, there) = (set(first.region(), &me), set(second.region(), &me));
    let made = here.transaction(shop).unwrap();
    there.transaction(shop).unwrap();
    let elsewhere = TransactionError::Elsewhere;
    assert_eq!(there.transaction(|set| sell(set, &made, 1)), Err(elsewhere));
    assert_eq!(there.read(|set| set.get(&made.sum).copied()), Err(elsewhere));
    assert_eq!(there.read(|set| set.value(&made.orders, &1).map(|_| 0)), Err(elsewhere));
    let outside = here.transaction(|set| {
        let all = [1_u32; 5];
        // SAFETY: not used: it is refused.
        let strange: &'static [u32] = unsafe { core::slice::from_raw_parts(all.as_ptr(), 5) };
        set.change(&made.shelf, |_| strange).map(drop)
    });
    assert_eq!(outside, Err(elsewhere));
}

#[test]
fn a_map_answers_as_the_standard_one_does() {
    let [me, _] = two();
    let mut memory = Memory::<16384>::new();
    let here = set(memory.region(), &me);
    let made = here.transaction(shop).unwrap();
    let mut model = HashMap::new();
    let mut random = fastrand::Rng::with_seed(9);
    for round in 0..3000_u64 {
        let (key, value) = (random.u64(..60), [round as u16; 3]);
        let aborts = random.u8(..) < 30;
        let mut after = model.clone();
        let result = here.transaction(|set| {
            for _ in 0..random.u8(1..4) {
                match random.u8(..3) {
                    0 => assert_eq!(set.remove(&made.orders, &key)?, after.remove(&key)),
                    1 if after.len() == 40 && !after.contains_key(&key) => {
                        let full = set.insert(&made.orders, &key, &value);
                        assert_eq!(full, Err(TransactionError::MapFull { most: 40 }));
                    }
                    1 => {
                        set.insert(&made.orders, &key, &value)?;
                        after.insert(key, value);
                    }
                    _ => {
                        let (ours, theirs) =
                            (set.value_mut(&made.orders, &key)?, after.get_mut(&key));
                        assert_eq!(ours.is_some(), theirs.is_some());
                        if let (Some(ours), Some(theirs)) = (ours, theirs) {
                            (ours[0], theirs[0]) = (7, 7);
                        }
                    }
                }
            }
            if aborts { Err(TransactionError::Aborted) } else { Ok(()) }
        });
        match result {
            Ok(()) => model = after,
            Err(error) => assert_eq!(error, TransactionError::Aborted),
        }
        here.read(|set| {
            assert_eq!(set.len_of(&made.orders)?, model.len() as u64);
            assert_eq!(set.value(&made.orders, &key)?, model.get(&key));
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(seen(&here, &made).2, model);
}

#[test]
fn a_table_that_was_written_over_is_refused_and_leads_nowhere() {
    let [me, peer] = two();
    let len = <Set<'_> as Object<&ModelJudge>>::shape(&SPEC, 2).unwrap().len;
    let table = (len as usize) * 64;
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..300 {
        let mut memory = Memory::<16384>::new();
        let made = {
            let region = memory.region();
            let here = set(region, &me);
            here.transaction(shop).unwrap();
            <Set<'_> as Object<&ModelJudge>>::shape(&SPEC, 2).unwrap().bytes as usize
        };
        let head = made - table;
        for _ in 0..4 {
            let at = head + random.usize(..1000);
            memory.bytes()[at] = random.u8(..);
        }
        // SAFETY: made above, and damaged, which is what this is about.
        let found = unsafe { Set::attach(memory.region(), len, &peer) };
        let Ok(found) = found else { continue };
        let _ = found.transaction(|set| {
            let shop = shop(set)?;
            sell(set, &shop, 3)?;
            set.remove(&shop.orders, &3)
        });
        let _ = found.read(|set| set.names());
    }
}

#[test]
fn whoever_waits_for_the_lock_of_a_set_can_give_up() {
    let [me, _] = two();
    let mut memory = Memory::<16384>::new();
    let here = set(memory.region(), &me);
    here.transaction(|_| {
        let busy = Err(TransactionError::Failed(LockFailure::WouldBlock));
        assert_eq!(here.try_transaction(|_| Ok(())), busy);
        assert_eq!(here.try_read(|_| Ok(())), busy);
        let late = Err(TransactionError::Failed(LockFailure::TimedOut));
        let soon = std::time::Duration::from_millis(2);
        assert_eq!(here.transaction_timeout(|_| Ok(()), soon), late);
        assert_eq!(here.read_deadline(|_| Ok(()), std::time::Instant::now()), late);
        Ok(())
    })
    .unwrap();
}
