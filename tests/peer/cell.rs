//! What a peer does with values and arrays.

use nix::sys::signal::{Signal, raise};
use shmkit::{
    Array, Atomic, AtomicArray, AtomicWord, MapMember, Member, ObjectError, Objects, RLock,
    Segment, SetTransaction, ShmSafe, Snapshot, Synchronized, TransactionError, Transactional,
    TransactionalSet, TransactionalSetSpec, Value,
};

use crate::Channel;

/// A value that takes so long to write that a kill often comes in the middle.
pub type Wide = [u64; 2048];

/// How often each process counts in a race.
pub const ROUNDS: u64 = 50_000;

/// A structure with a field of each size, as in the catalogue's ARR-14.
#[derive(Clone, Copy, Debug, PartialEq, ShmSafe)]
#[repr(C)]
pub struct Fields {
    /// An int.
    pub x: i32,
    /// So that there is no hidden padding.
    pub pad: i32,
    /// A double.
    pub y: f64,
    /// A long long.
    pub z: i64,
}

/// The script of a peer that has its segment; a forked one joins it first.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    match script {
        "values" => values(segment),
        "raw-values" => raw_values(segment),
        "count" => count(segment, channel),
        "count-by-rlock" => count_by_rlock(segment, channel),
        "hold-rlock" => hold_rlock(segment, channel),
        "flag" => flag(segment),
        "prefix-sums" => prefix_sums(segment),
        "raw-prefix-sums" => raw_prefix_sums(segment),
        "double" => double(segment),
        "raw-double" => raw_double(segment),
        "stop" => stop(args[0].as_str(), segment, channel),
        "get" => get(segment, channel),
        "write-for-ever" => write_for_ever(segment, channel),
        "snapshot-read" => snapshot_read(segment, channel),
        "snapshot-write-for-ever" => snapshot_write_for_ever(segment, channel),
        "snapshot-hold" => snapshot_hold(segment, channel),
        "snapshot-stand-by" => snapshot_stand_by(segment, channel),
        "transfer-for-ever" => transfer_for_ever(segment, channel),
        "trade-half-way" => trade_half_way(segment, channel),
        "transfer-half-way" => transfer_half_way(segment, channel),
        _ => panic!("no script cell/{script}"),
    }
}

/// Expects one value and stores another.
fn replace<T: ShmSafe + PartialEq + std::fmt::Debug>(
    segment: &Segment,
    name: &str,
    found: T,
    new: T,
) {
    let value = segment.find::<Value<T>>(name).unwrap();
    assert_eq!(value.get().unwrap(), found, "{name}");
    value.set(new).unwrap();
}

fn values(segment: &Segment) {
    replace(segment, "i", 4343_i32, 24234);
    replace(segment, "d", 3.625_f64, -4.25);
    replace(segment, "h", -232_i16, 234);
    replace(segment, "q", 1_i64 << 33, 1 << 34);
    replace(segment, "c", b'x', b'y');
}

fn replace_raw<T: AtomicWord>(segment: &Segment, name: &str, found: T, new: T) {
    let atomic = segment.find::<Atomic<T>>(name).unwrap();
    assert_eq!(atomic.load(), found, "{name}");
    atomic.store(new);
}

fn raw_values(segment: &Segment) {
    replace_raw(segment, "i", 4343_i32, 24234);
    replace_raw(segment, "d", 3.625_f64, -4.25);
    replace_raw(segment, "h", -232_i16, 234);
    replace_raw(segment, "q", 1_i64 << 33, 1 << 34);
    replace_raw(segment, "c", b'x', b'y');
}

/// Counts in step with the test, with a lock and without.
pub fn count(segment: &Segment, channel: &mut Channel) {
    let value = segment.value("value", 0_u64).unwrap();
    let atomic = segment.atomic("atomic", 0_u64).unwrap();
    channel.say("ready");
    assert_eq!(channel.hear(), "go");
    for _ in 0..ROUNDS {
        value.update(|n| *n += 1).unwrap();
        atomic.fetch_add(1);
    }
    channel.say("done");
}

/// A value and the recursive lock that it is given, which a port of Python's `Value` has.
///
/// # Errors
///
/// Those of the segment.
pub fn synchronized(segment: &Segment) -> Result<(Value<u64>, RLock), ObjectError> {
    Ok((segment.value("value", 0)?, segment.rlock("rlock")?))
}

fn count_by_rlock(segment: &Segment, channel: &mut Channel) {
    let (value, rlock) = synchronized(segment).unwrap();
    let v = Synchronized::new(value, rlock);
    channel.say("ready");
    assert_eq!(channel.hear(), "go");
    for _ in 0..ROUNDS {
        let _held = v.get_lock().lock().unwrap();
        v.set(v.get().unwrap() + 1).unwrap();
    }
    channel.say("done");
}

fn hold_rlock(segment: &Segment, channel: &mut Channel) {
    let (value, rlock) = synchronized(segment).unwrap();
    let v = Synchronized::new(value, rlock);
    let _held = v.get_lock().lock().unwrap();
    v.set(7).unwrap();
    channel.say("half-way");
    channel.hear();
}

fn flag(segment: &Segment) {
    let flag = segment.find::<Atomic<bool>>("flag").unwrap();
    assert_eq!(flag.compare_exchange(false, true), Ok(false));
    segment.find::<Atomic<usize>>("size").unwrap().store(usize::MAX);
}

fn prefix_sums(segment: &Segment) {
    let row = segment.find::<Array<i32>>("row").unwrap();
    row.update_all(|row| {
        for i in 1..row.len() {
            row[i] += row[i - 1];
        }
    })
    .unwrap();
}

fn raw_prefix_sums(segment: &Segment) {
    let row = segment.find::<AtomicArray<i32>>("row").unwrap();
    for i in 1..row.len() {
        row.at(i).unwrap().fetch_add(row.at(i - 1).unwrap().load());
    }
}

fn double(segment: &Segment) {
    segment.find::<Value<i32>>("x").unwrap().update(|x| *x *= 2).unwrap();
    segment.find::<Value<f64>>("y").unwrap().update(|y| *y *= 2.0).unwrap();
    segment.find::<Value<i64>>("z").unwrap().update(|z| *z *= 2).unwrap();
    segment
        .find::<Value<Fields>>("fields")
        .unwrap()
        .update(|f| *f = Fields { x: f.x * 2, pad: 0, y: f.y * 2.0, z: f.z * 2 })
        .unwrap();
    let row = segment.find::<Array<f64>>("row").unwrap();
    for i in 0..row.len() {
        row.update(i, |n| *n *= 2.0).unwrap();
    }
    let text = segment.find::<Array<u8>>("text").unwrap();
    let hello = text.read_range(..5).unwrap();
    text.write_range(5..10, &hello).unwrap();
}

fn raw_double(segment: &Segment) {
    let x = segment.find::<Atomic<i32>>("x").unwrap();
    x.fetch_update(|x| x.checked_mul(2)).unwrap();
    let y = segment.find::<Atomic<f64>>("y").unwrap();
    y.fetch_add(y.load());
    let z = segment.find::<Atomic<i64>>("z").unwrap();
    z.fetch_update(|z| z.checked_mul(2)).unwrap();
    for n in segment.find::<AtomicArray<f64>>("row").unwrap().iter() {
        n.fetch_add(n.load());
    }
    let text = segment.find::<AtomicArray<u8>>("text").unwrap();
    for i in 0..5 {
        text.at(5 + i).unwrap().store(text.at(i).unwrap().load());
    }
}

/// Stops in the middle of an operation, to be killed there.
fn stop(place: &str, segment: &Segment, channel: &mut Channel) {
    let mut here = || {
        channel.say("inside");
        raise(Signal::SIGSTOP).unwrap();
    };
    let value = segment.find::<Value<[u64; 64]>>("value").unwrap();
    let row = segment.find::<Array<u64>>("row").unwrap();
    match place {
        "update" => value
            .update(|n| {
                n[..32].fill(2);
                here();
            })
            .unwrap(),
        "value-guard" => {
            let mut guard = value.lock().unwrap();
            guard.fill(2);
            here();
        }
        "element" => row
            .update(3, |n| {
                *n = 2;
                here();
            })
            .unwrap(),
        "bulk" => row
            .update_all(|row| {
                row[..2].fill(2);
                here();
            })
            .unwrap(),
        "reader" => {
            let guard = row.lock().unwrap();
            assert_eq!(guard[0], 1);
            here();
        }
        _ => panic!("no place {place}"),
    }
    panic!("killed at {place} before this");
}

/// Waits for the value's lock.
fn get(segment: &Segment, channel: &mut Channel) {
    let value = segment.find::<Value<[u64; 64]>>("value").unwrap();
    channel.say("ready");
    channel.say(&format!("{:?}", value.get().unwrap()[0]));
}

/// Writes wide values and elements until it is killed.
fn write_for_ever(segment: &Segment, channel: &mut Channel) {
    let value = segment.find::<Value<Wide>>("value").unwrap();
    let rows = segment.find::<Array<Wide>>("rows").unwrap();
    let rounds = segment.atomic("rounds", 0_u64).unwrap();
    channel.say("ready");
    for n in 1.. {
        value.set([n; 2048]).unwrap();
        rows.set(n as usize % rows.len(), [n; 2048]).unwrap();
        rounds.fetch_add(1);
    }
}

fn snapshot(segment: &Segment) -> Snapshot<Wide> {
    segment.find("snapshot").unwrap()
}

/// Waits for changes, and sees whole values whose versions go up, until the last one.
fn snapshot_read(segment: &Segment, channel: &mut Channel) {
    let snapshot = snapshot(segment);
    channel.say("ready");
    let mut seen = 0;
    loop {
        let changed = snapshot.wait_changed(seen).unwrap();
        let (version, found) = snapshot.load_with_version().unwrap();
        assert!(version >= changed && changed > seen);
        assert!(found.iter().all(|n| *n == found[0]), "a torn value");
        seen = version;
        if found[0] == u64::MAX {
            break;
        }
        assert_eq!(found[0], version);
    }
    channel.say("seen the end");
}

fn snapshot_write_for_ever(segment: &Segment, channel: &mut Channel) {
    let mut writer = snapshot(segment).writer().unwrap();
    channel.say("ready");
    for n in 1.. {
        writer.store([n; 2048]).unwrap();
    }
}

fn snapshot_hold(segment: &Segment, channel: &mut Channel) {
    let _writer = snapshot(segment).writer().unwrap();
    channel.say("ready");
    channel.hear();
}

/// Takes over from a writer that is killed.
fn snapshot_stand_by(segment: &Segment, channel: &mut Channel) {
    let snapshot = snapshot(segment);
    channel.say("ready");
    snapshot.writer().unwrap().update(|all| all.fill(7)).unwrap();
}

/// Accounts of a bank, each of which has 100 at the beginning.
pub const ACCOUNTS: usize = 32;

/// The accounts, and a log for four changes of one.
///
/// # Errors
///
/// Those of the segment.
pub fn bank(segment: &Segment) -> Result<Transactional<[i64]>, ObjectError> {
    segment.transactional::<[i64]>("bank", [100; ACCOUNTS], 96)
}

fn transfer(
    accounts: &Transactional<[i64]>,
    [from, to]: [usize; 2],
    between: impl FnOnce(),
) -> Result<(), TransactionError> {
    accounts.transaction(|all| {
        *all.change(|all| &all[from])? -= 7;
        between();
        *all.change(|all| &all[to])? += 5;
        *all.change(|all| &all[to])? += 2;
        Ok(())
    })
}

fn transfer_for_ever(segment: &Segment, channel: &mut Channel) {
    let accounts = bank(segment).unwrap();
    let transfers = segment.atomic("transfers", 0_u64).unwrap();
    channel.say("ready");
    for n in 0.. {
        transfer(&accounts, [n % ACCOUNTS, n * 7 % ACCOUNTS], || ()).unwrap();
        transfers.fetch_add(1);
    }
}

/// A set of several things that are changed together.
///
/// # Errors
///
/// Those of the segment.
pub fn shop(segment: &Segment) -> Result<TransactionalSet, ObjectError> {
    segment.transactional_set("shop", TransactionalSetSpec::new(4096, 1024))
}

/// What is in it: takings, a shelf, and orders.
pub type Stock = (Member<u64>, Member<[u32]>, MapMember<u64, u32>);

/// Finds or makes what is in it.
///
/// # Errors
///
/// Those of the set.
pub fn stock(shop: &mut SetTransaction<'_>) -> Result<Stock, TransactionError> {
    Ok((shop.member("takings", 0)?, shop.member("shelf", [5; 8].into())?, shop.map("orders", 10)?))
}

/// Stops with some of it changed, to be killed there.
fn trade_half_way(segment: &Segment, channel: &mut Channel) {
    let shop = shop(segment).unwrap();
    let end = shop.transaction(|shop| {
        let (takings, shelf, orders) = stock(shop)?;
        *shop.change(&takings, |sum| sum)? += 7;
        shop.change(&shelf, |all| &all[2..5])?.fill(0);
        shop.insert(&orders, &1, &3)?;
        channel.say("inside");
        raise(Signal::SIGSTOP).unwrap();
        Ok(())
    });
    panic!("it was to be killed: {end:?}");
}

/// Stops between the two sides of a transfer, to be killed there.
fn transfer_half_way(segment: &Segment, channel: &mut Channel) {
    let accounts = bank(segment).unwrap();
    transfer(&accounts, [0, 1], || {
        channel.say("inside");
        raise(Signal::SIGSTOP).unwrap();
    })
    .unwrap();
}
