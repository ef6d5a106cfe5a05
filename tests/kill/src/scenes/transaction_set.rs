//! Scenes of transactions over several things: whoever is killed, all of them are as before one or as after it.

use std::collections::BTreeMap;

use shmkit_cell::{
    MapMember, Member, SetTransaction, SetView, TransactionError, TransactionalSet,
    TransactionalSetSpec,
};
use shmkit_layout::Object;

use super::account::{self, Before};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Spread};

type Set<'a> = TransactionalSet<Me<'a>>;

const SPEC: TransactionalSetSpec = TransactionalSetSpec::new(1024, 1024).members(4);
/// What is in each stock at the beginning.
const FIRST: i64 = 100;

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let committed = "a transaction over several things killed; all of it was done or nothing";
    let heir =
        "the heir of one killed in a transaction over several things killed as it rolls back";
    vec![
        scene("transaction/set", committed, 200, None),
        scene("transaction/set-heir", heir, 200, Some(Spread(2000))),
    ]
}

/// What is there from the beginning.
#[derive(Clone, Copy)]
struct Shop {
    /// How many transactions there were.
    count: Member<u64>,
    stocks: Member<[i64]>,
    orders: MapMember<u64, u64>,
}

fn shop(set: &mut SetTransaction<'_>) -> Result<Shop, TransactionError> {
    Ok(Shop {
        count: set.member("count", 0)?,
        stocks: set.member("stocks", [FIRST; 3].into())?,
        orders: set.map("orders", 4)?,
    })
}

/// Changes all that there is, and the first one makes a member, too.
fn trade(set: &mut SetTransaction<'_>, shop: &Shop) -> Result<(), TransactionError> {
    let n = *set.get(&shop.count)?;
    let late: Member<u64> = set.member("late", 5)?;
    let at = |n: u64| n as usize % 3;
    *set.change(&shop.stocks, |all| &all[at(n)])? -= 10;
    set.insert(&shop.orders, &(n % 4), &n)?;
    *set.change(&shop.stocks, |all| &all[at(n + 1)])? += 10;
    set.remove(&shop.orders, &((n + 1) % 4))?;
    *set.change(&late, |late| late)? += 1;
    *set.change(&shop.count, |count| count)? = n + 1;
    Ok(())
}

/// What as many transactions leave.
fn expected(count: u64) -> (Vec<i64>, BTreeMap<u64, u64>, Option<u64>) {
    let (mut stocks, mut orders) = (vec![FIRST; 3], BTreeMap::new());
    for n in 0..count {
        stocks[n as usize % 3] -= 10;
        stocks[(n + 1) as usize % 3] += 10;
        orders.insert(n % 4, n);
        orders.remove(&((n + 1) % 4));
    }
    (stocks, orders, (count > 0).then_some(5 + count))
}

fn hung(error: TransactionError) -> Fault {
    Fault::hung(error.to_string())
}

/// One is killed in a transaction; one survivor waits for the lock at that moment, another comes later.
fn scene(name: &str, about: &str, floor: u32, before: Before) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { TransactionalSet::init(arena.object(), SPEC, &NOBODY) };
        let made = made.map(drop).map_err(|e| Fault::broken(e.to_string()));
        made?;
        open(&arena, |set| set.transaction(shop).map(drop).map_err(hung))?;
        let user = |actor: &Actor<'_>| {
            open(&arena, |set| {
                let shop = set.transaction(shop).map_err(hung)?;
                actor.mark();
                set.transaction(|set| trade(set, &shop)).map_err(hung)?;
                actor.mark();
                Ok(())
            })
        };
        let survivor = |actor: &Actor<'_>| {
            open(&arena, |set| {
                account::begin(actor)?;
                check(set)?;
                let shop = set.transaction(shop).map_err(hung)?;
                set.transaction(|set| trade(set, &shop)).map_err(hung)?;
                check(set)?;
                actor.through();
                Ok(())
            })
        };
        let end = |_: &Actor<'_>| open(&arena, check);
        account::play(stage, point, before, (&user, &survivor, &end))
    })
}

fn open(arena: &Arena, then: impl FnOnce(&Set<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let me = arena.join()?;
    let len = <Set<'_> as Object<Me<'_>>>::shape(&SPEC, 0).map(|shape| shape.len);
    // SAFETY: the scene made it here.
    let set = len.and_then(|len| unsafe { Set::attach(arena.object(), len, &me) });
    then(&set.map_err(|e| Fault::broken(e.to_string()))?)
}

/// Looks whether all is as so many whole transactions leave it.
fn check(set: &Set<'_>) -> Result<(), Fault> {
    set.read(|set| Ok(look(set))).map_err(hung)?.map_err(hung)?
}

fn look(set: &SetView<'_>) -> Result<Result<(), Fault>, TransactionError> {
    let found =
        |name| set.find::<u64>(name).and_then(|at| at.map(|at| set.get(&at).copied()).transpose());
    let count = found("count")?.unwrap_or(u64::MAX);
    let stocks = set.find::<[i64]>("stocks")?.ok_or(TransactionError::Corrupt)?;
    let orders = set.find_map::<u64, u64>("orders")?.ok_or(TransactionError::Corrupt)?;
    let orders = set.entries(&orders)?.map(|(key, value)| (*key, *value)).collect();
    let all = (set.get(&stocks)?.to_vec(), orders, found("late")?);
    if count < 10 && all == expected(count) {
        return Ok(Ok(()));
    }
    Ok(Err(Fault::torn(format!("after {count} transactions there is {all:?}"))))
}
