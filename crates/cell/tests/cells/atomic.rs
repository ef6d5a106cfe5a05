//! Numbers without a lock.

use shmkit_cell::{Atomic, AtomicArray, AtomicNumber, OutOfRange, SetError};
use shmkit_layout::{Object, ShapeError};

use crate::support::{Memory, attach, make};

fn add<T: AtomicNumber>(first: T, n: T, sum: T) {
    let mut memory = Memory::<64>::new();
    let cell: Atomic<T, ()> = make(memory.region(), first, ());
    assert_eq!(cell.fetch_add(n), first);
    assert_eq!(cell.fetch_sub(n), sum);
    assert_eq!(cell.swap(n), first);
    assert_eq!(cell.fetch_max(sum), n);
    assert_eq!(cell.fetch_min(n), if sum > n { sum } else { n });
    assert_eq!(cell.load(), n);
    assert_eq!(cell.compare_exchange(n, first), Ok(n));
    assert_eq!(cell.compare_exchange(n, sum), Err(first));
    assert_eq!(format!("{cell:?}"), format!("Atomic({first:?})"));
}

#[test]
fn every_width_counts() {
    add(250_u8, 5, 255);
    add(250_u16, 7, 257);
    add(250_u32, 70_000, 70_250);
    add(250_u64, 1 << 33, 250 + (1 << 33));
    add(-5_i8, 100, 95);
    add(-232_i16, 300, 68);
    add(4343_i32, 1, 4344);
    add(1_i64 << 33, 1, (1 << 33) + 1);
    add(3.5_f32, 0.25, 3.75);
    add(3.625_f64, -4.25, -0.625);
}

#[test]
fn bits_are_changed_in_place() {
    let mut memory = Memory::<64>::new();
    let flags: Atomic<u16, ()> = make(memory.region(), 0b1100_u16, ());
    assert_eq!(flags.fetch_or(0b0011), 0b1100);
    assert_eq!(flags.fetch_and(0b1010), 0b1111);
    assert_eq!(flags.fetch_xor(0b0110), 0b1010);
    assert_eq!(flags.load(), 0b1100);
}

#[test]
fn val_09_a_conversion_never_wraps() {
    let mut memory = Memory::<64>::new();
    let cell: Atomic<i32, ()> = make(memory.region(), 5, ());
    assert!(matches!(cell.store_from(1_u64 << 31), Err(SetError::Conversion(_))));
    assert_eq!(cell.load(), 5);
    cell.store_from(6_u64).unwrap();
    assert_eq!(cell.load(), 6);
    assert_eq!(cell.fetch_update(|n| n.checked_add(i32::MAX)), Err(6));
    assert_eq!(cell.load(), 6);
}

#[test]
fn val_11_fresh_memory_is_zero() {
    let mut memory = Memory::<64>::new();
    let cell: Atomic<i64, ()> = attach(memory.region(), 1, ());
    assert_eq!(cell.load(), 0);
    let cells: AtomicArray<u8, ()> = make(memory.region(), 64, ());
    assert_eq!(cells.to_vec(), [0; 64]);
}

#[test]
fn an_array_is_many_cells() {
    let mut memory = Memory::<64>::new();
    let region = memory.region();
    let row: AtomicArray<i16, ()> = make(region, [1, -2, 3], ());
    assert_eq!((row.len(), row.is_empty()), (3, false));
    assert_eq!(row.at(1).unwrap().fetch_add(7), -2);
    assert_eq!(row.at(3).unwrap_err(), OutOfRange { index: 3, len: 3 });
    assert_eq!(format!("{row:?}"), "[1, 5, 3]");
    let ours: AtomicArray<i16, ()> = attach(region, 3, ());
    assert_eq!(ours.iter().map(|cell| cell.load()).collect::<Vec<_>>(), [1, 5, 3]);
}

#[test]
fn a_wrong_length_is_refused() {
    type Row = AtomicArray<u32, ()>;
    let shape = |len| <Row as Object<()>>::shape(&shmkit_cell::ArraySpec::Zeroed(len), 2);
    assert_eq!(shape(3).unwrap().bytes, 12);
    let max = isize::MAX as u64 / 4;
    assert_eq!(
        shape(usize::MAX),
        Err(ShapeError::Length { found: usize::MAX as u64, min: 0, max })
    );
    let mut memory = Memory::<64>::new();
    // SAFETY: refused before anything is read.
    let error = unsafe { <AtomicArray<u32, _> as Object<()>>::attach(memory.region(), 17, ()) };
    assert!(matches!(error, Err(ShapeError::Place(_))));
    // SAFETY: as above.
    let error = unsafe { <Atomic<u32, _> as Object<()>>::attach(memory.region(), 0, ()) };
    assert!(matches!(error, Err(ShapeError::Length { found: 0, min: 1, max: 1 })));
}

#[test]
fn threads_lose_no_update() {
    let mut memory = Memory::<64>::new();
    let (count, sum): (Atomic<u64, ()>, Atomic<f64, ()>) = {
        let region = memory.region();
        (make(region, 0_u64, ()), make(region.sub(8, 8).unwrap(), 0.0, ()))
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    count.fetch_add(1);
                    sum.fetch_add(0.5);
                }
            });
        }
    });
    assert_eq!((count.load(), sum.load()), (20_000, 10_000.0));
}
