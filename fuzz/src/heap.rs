//! Operations on a heap against a model of it; and on a heap whose words somebody else may have written.

use std::collections::BTreeMap;
use std::mem;
use std::ptr::NonNull;

use shmkit::heap::{Account, Heap, HeapError, HeapSpec};
use shmkit::{Block, BlockId};
use shmkit_layout::{Object, Offset, Region};
use shmkit_roster::model::ModelJudge;

use super::input::Input;

/// How many take part. The first one never dies.
const PARTICIPANTS: usize = 4;
/// Bytes of the heap.
const BYTES: usize = 1 << 17;
/// Lengths that are asked for: small, of a class that few others are of, whole pages.
const LENGTHS: [usize; 8] = [0, 24, 100, 130, 2000, 4096, 5000, 20_000];

#[repr(C, align(4096))]
struct Memory([u8; BYTES]);

/// Runs one input.
///
/// # Panics
///
/// If the heap does what the model does not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let judges = ModelJudge::new(PARTICIPANTS as u32);
    let mut memory = Box::new(Memory([0; BYTES]));
    // SAFETY: the memory is borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut memory.0).cast(), BYTES) };
    let kind = input.byte();
    let spec = HeapSpec::growing(if kind & 2 == 0 { BYTES as u64 } else { 0 }, BYTES as u64);
    // SAFETY: the memory is zero, and this run's alone.
    unsafe { Heap::init(region, spec, &judges[0]) }.expect("there is room for one");
    let heaps: Vec<_> = judges
        .iter()
        // SAFETY: made above.
        .map(|judge| unsafe { Heap::attach(region, BYTES as u64, judge) }.expect("as made"))
        .collect();
    let honest = kind.is_multiple_of(2);
    let mut scene = Scene {
        heaps: &heaps,
        judges: &judges,
        alive: [true; PARTICIPANTS],
        reserved: Vec::new(),
        kept: BTreeMap::new(),
        freed: Vec::new(),
        fill: 0,
    };
    while !input.is_empty() {
        if honest {
            scene.step(&mut input);
        } else {
            wrong(&mut input, region, &heaps);
        }
    }
    scene.reserved.drain(..).for_each(|(_, block)| drop(block));
    if honest {
        scene.check();
    }
}

struct Scene<'h> {
    heaps: &'h [Heap<&'h ModelJudge>],
    judges: &'h [ModelJudge],
    alive: [bool; PARTICIPANTS],
    reserved: Vec<(usize, Block<'h, &'h ModelJudge>)>,
    /// With what they are filled.
    kept: BTreeMap<BlockId, u8>,
    freed: Vec<BlockId>,
    fill: u8,
}

impl Scene<'_> {
    fn step(&mut self, input: &mut Input<'_>) {
        let who = input.below(PARTICIPANTS);
        if !self.alive[who] {
            return;
        }
        let heap = &self.heaps[who];
        match input.below(6) {
            0 | 1 => {
                let len = LENGTHS[input.below(LENGTHS.len())];
                match heap.reserve_bytes(len) {
                    Ok(mut block) => {
                        assert!(block.len() >= len);
                        self.fill = self.fill.wrapping_add(1);
                        block.as_mut_slice().fill(self.fill);
                        self.reserved.push((who, block));
                    }
                    Err(HeapError::Full { asked, .. }) => assert_eq!(asked, len as u64),
                    Err(error) => panic!("{error}"),
                }
            }
            2 => {
                let Some(at) = pick(input, self.reserved.len()) else { return };
                let (_, block) = self.reserved.swap_remove(at);
                if input.below(2) == 0 {
                    let fill = block.as_slice()[0];
                    assert!(block.as_slice().iter().all(|byte| *byte == fill), "{block:?}");
                    self.kept.insert(block.keep().expect("its owner lives"), fill);
                } else {
                    self.freed.push(block.id());
                }
            }
            3 => {
                let Some(at) = pick(input, self.kept.len()) else { return };
                let (&id, &fill) = self.kept.iter().nth(at).expect("below the length");
                // SAFETY: nobody frees it before the end of this.
                let bytes = unsafe { heap.bytes(id) }.expect("it is kept");
                // SAFETY: nobody writes to it.
                let bytes =
                    unsafe { std::slice::from_raw_parts(bytes.base().as_ptr(), bytes.len()) };
                assert!(bytes.iter().all(|byte| *byte == fill), "{id:?}");
                assert_eq!(heap.free(id), Ok(()));
                self.kept.remove(&id);
                self.freed.push(id);
            }
            4 => {
                let Some(at) = pick(input, self.freed.len()) else { return };
                let id = self.freed[at];
                assert_eq!(heap.free(id), Err(HeapError::Stale { id }));
            }
            _ if who != 0 && input.below(4) == 0 => {
                self.judges[who].die();
                self.alive[who] = false;
                let (dead, rest) =
                    mem::take(&mut self.reserved).into_iter().partition(|(of, _)| *of == who);
                self.reserved = rest;
                let dead: Vec<_> = dead;
                dead.into_iter().for_each(|(_, block)| mem::forget(block));
            }
            _ => self.check(),
        }
    }

    fn check(&self) {
        let account: Account = self.heaps[0].check().expect("nobody has damaged it");
        assert!(account.is_complete(), "{account}");
        let blocks = (account.kept_blocks, account.reserved_blocks);
        assert_eq!(blocks, (self.kept.len() as u64, self.reserved.len() as u64));
    }
}

/// Peers that write anywhere but into the heads that `attach` checks: answers may be wrong, and that is all.
fn wrong(input: &mut Input<'_>, region: Region<'_>, heaps: &[Heap<&ModelJudge>]) {
    let heap = &heaps[input.below(PARTICIPANTS)];
    match input.below(5) {
        0 | 1 => {
            // The tables lie in the first few thousand bytes, and slabs begin with their words.
            let word = if input.below(2) == 0 { input.below(512) } else { input.below(BYTES / 8) };
            let at = Offset::new(word.max(4) as u64 * 8).expect("a multiple of 8");
            let value = u64::from_le_bytes(std::array::from_fn(|_| input.byte()));
            region.write(at, value).expect("inside");
        }
        2 => drop(heap.reserve_bytes(LENGTHS[input.below(LENGTHS.len())])),
        3 => {
            let id = u64::from_le_bytes(std::array::from_fn(|_| input.byte()));
            let _ = (heap.free(BlockId::from_number(id)), heap.len_of(BlockId::from_number(id)));
        }
        _ => drop(heap.check()),
    }
}

fn pick(input: &mut Input<'_>, len: usize) -> Option<usize> {
    (len > 0).then(|| input.below(len))
}
