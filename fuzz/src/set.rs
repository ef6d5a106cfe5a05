//! Transactions over several things against a model of them; and over a set whose words somebody else may have written.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::time::Duration;

use shmkit::{
    MapMember, Member, SetTransaction, SetView, TransactionError, TransactionalSet,
    TransactionalSetSpec,
};
use shmkit_layout::{Object, Offset, Region};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// Bytes of a set: so few that its log and its maps get full.
const BYTES: usize = 1 << 14;
/// Most entries of the map.
const MOST: u64 = 12;
const SPEC: TransactionalSetSpec = TransactionalSetSpec::new(4096, 700).members(5);

#[repr(C, align(4096))]
struct Memory([u8; BYTES]);

type Set<'m> = TransactionalSet<&'m ModelJudge>;

/// What is in the set.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    sum: u64,
    shelf: Vec<u32>,
    orders: BTreeMap<u8, [u16; 3]>,
    names: Vec<String>,
}

/// How to come to it.
struct Members {
    sum: Member<u64>,
    shelf: Member<[u32]>,
    orders: MapMember<u8, [u16; 3]>,
}

/// Runs one input.
///
/// # Panics
///
/// If a set does what its model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(1);
    let mut memory = Box::new(Memory([0; BYTES]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), BYTES) };
    let honest = input.byte().is_multiple_of(2);
    // SAFETY: the memory is zero, and this run's alone.
    let set: Set<'_> = unsafe { Set::init(region, SPEC, &judges[0]) }.expect("there is room");
    let members = set
        .transaction(|set| {
            Ok(Members {
                sum: set.member("sum", 1)?,
                shelf: set.member("shelf", [2; 9].into())?,
                orders: set.map("orders", MOST)?,
            })
        })
        .expect("there is room for these");
    let names = ["sum", "shelf", "orders"].map(str::to_owned).into();
    let mut model = Model { sum: 1, shelf: vec![2; 9], orders: BTreeMap::new(), names };
    while !input.is_empty() {
        if !honest && input.byte().is_multiple_of(3) {
            // Any word but the lock's, which would be waited for.
            let at =
                2 + (usize::from(input.byte()) << 8 | usize::from(input.byte())) % (BYTES / 8 - 2);
            let at = Offset::new(at as u64 * 8).expect("a multiple of 8");
            region.write(at, input.number()).expect("inside");
        }
        let mut next = model.clone();
        let limit = Duration::from_millis(1);
        let change = |set: &mut SetTransaction<'_>| {
            for _ in 0..input.below(8) {
                step(set, &members, &mut next, &mut input, honest)?;
            }
            if input.byte().is_multiple_of(4) { Err(TransactionError::Aborted) } else { Ok(()) }
        };
        let done = set.transaction_timeout(change, limit);
        match done {
            Ok(()) => model = next,
            // Room has an end, and what was begun never was.
            Err(
                TransactionError::Aborted
                | TransactionError::TooLong { .. }
                | TransactionError::NoRoom { .. }
                | TransactionError::TooManyMembers { .. }
                | TransactionError::MapFull { .. },
            ) => {}
            Err(error) => {
                assert!(!honest, "{error}");
                return;
            }
        }
        let seen = set.read_timeout(|set| look(set, &members), limit);
        if honest {
            assert_eq!(seen.expect("nobody damages it"), model);
        }
    }
}

/// One change, to the set and to the model.
fn step(
    set: &mut SetTransaction<'_>,
    members: &Members,
    model: &mut Model,
    input: &mut Input<'_>,
    honest: bool,
) -> Result<(), TransactionError> {
    let (key, value) = (input.byte() % 16, input.number());
    match input.below(7) {
        0 => {
            *set.change(&members.sum, |sum| sum)? = value;
            model.sum = value;
        }
        1 => {
            let at = usize::from(key) % 9;
            *set.change(&members.shelf, |shelf| &shelf[at])? = value as u32;
            model.shelf[at] = value as u32;
        }
        2 => {
            let to = usize::from(key) % 9;
            set.change(&members.shelf, |shelf| &shelf[..to])?.fill(value as u32);
            model.shelf[..to].fill(value as u32);
        }
        3 => {
            set.insert(&members.orders, &key, &[value as u16; 3])?;
            model.orders.insert(key, [value as u16; 3]);
        }
        4 => {
            let found = set.remove(&members.orders, &key)?;
            let expected = model.orders.remove(&key);
            assert!(!honest || found == expected, "{found:?} instead of {expected:?}");
        }
        5 => {
            if let Some(order) = set.value_mut(&members.orders, &key)? {
                order[1] = value as u16;
            }
            if let Some(order) = model.orders.get_mut(&key) {
                order[1] = value as u16;
            }
        }
        _ => {
            let name = format!("new {}", key % 4);
            let len = (value % 700) as usize;
            // A name that is there already, of another length, is refused.
            if !model.names.contains(&name) {
                set.member::<[u8]>(&name, len.into())?;
                model.names.push(name);
            }
        }
    }
    Ok(())
}

/// What a reader finds.
fn look(set: &SetView<'_>, members: &Members) -> Result<Model, TransactionError> {
    Ok(Model {
        sum: *set.get(&members.sum)?,
        shelf: set.get(&members.shelf)?.to_vec(),
        orders: set.entries(&members.orders)?.map(|(key, value)| (*key, *value)).collect(),
        names: set.names()?,
    })
}
