//! What a peer does with collections.

use shmkit::{DequeSpec, Objects, Segment, ShmDeque, ShmMap, ShmSet, ShmString, ShmVec};

use crate::Channel;

/// The script of a peer that has its segment; a forked one joins it first.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, segment: &Segment, channel: &mut Channel) {
    match script {
        "fill" => fill(segment),
        "change-for-ever" => change_for_ever(segment),
        "fill-map" => fill_map(segment, channel),
        "hold" => hold(segment, channel),
        _ => panic!("no script collections/{script}"),
    }
}

fn fill(segment: &Segment) {
    let list = segment.find::<ShmVec<u64>>("list").unwrap();
    assert_eq!(list.to_vec(), Ok(vec![1, 2]));
    let latest = segment.find::<ShmDeque<u64>>("latest").unwrap();
    for n in 3..=1000 {
        list.push(n).unwrap();
        latest.push_back(n).unwrap();
    }
    let text = segment.find::<ShmString>("text").unwrap();
    text.set("by a peer: größer").unwrap();
    text.replace_range(..2, "from").unwrap();
    let words = segment.find::<ShmSet<str>>("words").unwrap();
    let table = segment.find::<ShmMap<str, [u8]>>("table").unwrap();
    for n in 0..100_u8 {
        assert_eq!(words.insert(&format!("word {n}")), Ok(true));
        table.insert(&format!("row {n}"), &vec![n; usize::from(n) * 10]).unwrap();
    }
}

fn fill_map(segment: &Segment, channel: &mut Channel) {
    let table = segment.find::<ShmMap<u64, [u64; 64]>>("grows").unwrap();
    for key in 0..5000 {
        table.insert(&(2 * key + 1), &[key; 64]).unwrap();
    }
    channel.say("filled");
}

fn change_for_ever(segment: &Segment) {
    type Row = [u64; 64];
    let list = segment.find::<ShmVec<Row>>("list").unwrap();
    let spec = DequeSpec::bytes(1 << 20).max_len(20);
    let latest = segment.deque::<Row>("latest", spec).unwrap();
    let text = segment.find::<ShmString>("text").unwrap();
    let rounds = segment.atomic("rounds", 0_u64).unwrap();
    loop {
        let n = rounds.fetch_add(1);
        list.push([n; 64]).unwrap();
        list.update(0, |row| *row = [n; 64]).unwrap();
        list.insert(0, [n; 64]).unwrap();
        if n.is_multiple_of(50) {
            list.truncate(1).unwrap();
            text.clear().unwrap();
        }
        latest.push_back([n; 64]).unwrap();
        text.push_str("größer.").unwrap();
        list.swap_remove(0).unwrap();
    }
}

fn hold(segment: &Segment, channel: &mut Channel) {
    let list = segment.find::<ShmVec<u64>>("list").unwrap();
    let mut guard = list.lock().unwrap();
    guard.push(7).unwrap();
    channel.say("held");
    channel.hear();
}
