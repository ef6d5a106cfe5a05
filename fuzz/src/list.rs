//! Any bytes as a Python list, and operations on it: a list or an error, and nothing outside of it is touched.

use std::ptr::NonNull;

use shmkit::collections::{ListItem, ShareableList};
use shmkit_layout::Region;

use super::input::Input;

/// Bytes beside the list, which nobody may touch.
const BESIDE: usize = 64;

/// The first byte says how long the list is, and how much of the rest are operations.
///
/// # Panics
///
/// If the list does what it must not.
pub fn run(bytes: &[u8]) {
    let Some((&len, rest)) = bytes.split_first() else { return };
    let (list, operations) = rest.split_at(rest.len().min(2 * usize::from(len)));
    let mut memory = vec![0xA5A5_A5A5_A5A5_A5A5_u64; (list.len() + 2 * BESIDE).div_ceil(8)];
    let base = NonNull::from(memory.as_mut_slice()).cast();
    // SAFETY: the memory is this run's alone.
    let all = unsafe { Region::from_raw_parts(base, list.len() + 2 * BESIDE) };
    let region = all.sub(BESIDE as u64, list.len() as u64).expect("it lies inside");
    region.write_bytes(0, list).expect("it fits");
    if let Ok(list) = ShareableList::attach(region) {
        let mut input = Input::new(operations);
        let _ = (list.to_vec(), list.format(), format!("{list:?}"));
        while !input.is_empty() {
            step(&list, &mut input);
        }
    }
    for start in [0, (BESIDE + list.len()) as u64] {
        let mut beside = [0; BESIDE];
        all.read_bytes(start, &mut beside).expect("it lies inside");
        assert_eq!(beside, [0xA5; BESIDE], "written beside the list");
    }
}

fn step(list: &ShareableList<'_>, input: &mut Input<'_>) {
    let index = i64::from(input.byte() as i8);
    let text = "x".repeat(usize::from(input.byte() % 40));
    let item = match input.byte() % 6 {
        0 => ListItem::None,
        1 => true.into(),
        2 => (-1).into(),
        3 => 1.5.into(),
        4 => text.into(),
        _ => text.into_bytes().into(),
    };
    if list.set(index, item.clone()).is_err() {
        return;
    }
    // Slots of a damaged list may lie over each other, and over nothing else: this one was written last.
    assert_eq!(list.get(index), Ok(item), "item {index}");
}
