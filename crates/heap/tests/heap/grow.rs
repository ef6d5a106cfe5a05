//! A heap that becomes larger as it is needed.

use std::sync::Mutex;

use shmkit_heap::{Heap, HeapError, HeapSpec};
use shmkit_layout::{Commit, CommitError, Object, Region};
use shmkit_roster::model::ModelJudge;
use shmkit_roster::{Judge, OwnerId, Verdict};

use crate::support::Memory;

/// Who remembers which memory was asked for, and has no more than some.
struct Keeper {
    judge: ModelJudge,
    most: u64,
    asked: Mutex<Vec<(u64, u64)>>,
}

impl Keeper {
    fn new(judge: &ModelJudge, most: u64) -> Self {
        Self { judge: judge.clone(), most, asked: Mutex::default() }
    }
}

// SAFETY: as the model's judge answers.
unsafe impl Judge for Keeper {
    fn me(&self) -> Option<OwnerId> {
        self.judge.me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.judge.verdict(owner)
    }

    fn places(&self) -> u32 {
        self.judge.places()
    }
}

// SAFETY: all the memory is there; some of it is not given out.
unsafe impl Commit for Keeper {
    fn commit(&self, _: Region<'_>, from: u64, to: u64) -> Result<(), CommitError> {
        self.asked.lock().unwrap().push((from, to));
        if to > self.most {
            return Err(CommitError::NoRoom { needed: to - from, left: Some(self.most - from) });
        }
        Ok(())
    }
}

const INITIAL: u64 = 1 << 17;
const LIMIT: u64 = 1 << 20;

fn growing<'k>(memory: &Memory, keeper: &'k Keeper) -> Heap<&'k Keeper> {
    let spec = HeapSpec::growing(INITIAL, LIMIT);
    // SAFETY: zero bytes that nobody else uses.
    unsafe { Heap::init(memory.region(), spec, keeper) }.unwrap()
}

#[test]
fn a_heap_touches_what_is_there_and_grows_to_its_limit() {
    let memory = Memory::new(LIMIT as usize, 2);
    let keepers = [0, 1].map(|n| Keeper::new(&memory.judges[n], LIMIT));
    let heap = growing(&memory, &keepers[0]);
    // SAFETY: made above.
    let other = unsafe { Heap::attach(memory.region(), LIMIT, &keepers[1]) }.unwrap();
    let spec = HeapSpec::growing(INITIAL, LIMIT);
    let shape = <Heap<&Keeper> as Object<&Keeper>>::shape(&spec, 2).unwrap();
    let mut end = <Heap<&Keeper> as Object<&Keeper>>::committed(&spec, &shape);
    assert!(end <= INITIAL && end > INITIAL - 4096 && shape.bytes == LIMIT, "{end}");
    let base = memory.region().base().as_ptr().addr() as u64;
    let mut kept = Vec::new();
    let error = loop {
        let heap = if kept.len() % 2 == 0 { &heap } else { &other };
        let block = match heap.reserve_bytes([100, 3000, 9000][kept.len() % 3]) {
            Ok(block) => block,
            Err(error) => break error,
        };
        for keeper in &keepers {
            for (from, to) in keeper.asked.lock().unwrap().drain(..) {
                assert_eq!(from, end, "from where it ended on");
                assert!(to > from && to <= LIMIT);
                end = to;
            }
        }
        let last = block.as_slice().as_ptr_range().end.addr() as u64 - base;
        assert!(last <= end, "{last} is not there yet: {end}");
        kept.push(block.keep().unwrap());
        let account = heap.check().unwrap();
        assert!(account.is_complete(), "{account}");
        assert!(account.uncommitted <= LIMIT - end && account.uncommitted + 4096 > LIMIT - end);
    };
    assert!(matches!(error, HeapError::Full { .. }), "{error}");
    assert_eq!(heap.check().unwrap().uncommitted, 0);
    kept.into_iter().for_each(|id| other.free(id).unwrap());
    let most = heap.check().unwrap();
    assert!(heap.reserve_bytes((most.free() + most.around) as usize).is_ok(), "in one piece");
}

#[test]
fn what_was_freed_is_used_before_the_heap_grows() {
    let memory = Memory::new(LIMIT as usize, 1);
    let keeper = Keeper::new(&memory.judges[0], LIMIT);
    let heap = growing(&memory, &keeper);
    for len in [40, 5000, 200, 3000, 20_000].into_iter().cycle().take(50) {
        let blocks: Vec<_> = (0..2).map(|_| heap.reserve_bytes(len).unwrap()).collect();
        drop(blocks);
    }
    assert_eq!(*keeper.asked.lock().unwrap(), []);
}

#[test]
fn memory_that_is_not_to_be_had_is_an_error_and_the_heap_goes_on() {
    let memory = Memory::new(LIMIT as usize, 1);
    let keeper = Keeper::new(&memory.judges[0], INITIAL + (1 << 15));
    let heap = growing(&memory, &keeper);
    let mut held = Vec::new();
    let error = loop {
        match heap.reserve_bytes(7000) {
            Ok(block) => held.push(block),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, HeapError::Memory(CommitError::NoRoom { .. })), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("bytes more"));
    // What there is was had all the same, by smaller steps.
    assert!(held.len() as u64 * 8192 > (1 << 15) + (1 << 16), "{}", held.len());
    assert!(heap.check().unwrap().is_complete());
    held.pop();
    drop(heap.reserve_bytes(7000).expect("one was freed"));
    let larger = heap.reserve_bytes(LIMIT as usize);
    assert!(matches!(larger, Err(HeapError::Memory(_) | HeapError::Full { .. })), "{larger:?}");
}
