//! Scenes of a heap: whoever is killed, no block is lost, none has two owners, and a structure has one or the other.

use std::alloc::Layout;

use shmkit_atomic::{AtomicU64, Deadline, Ordering::Relaxed};
use shmkit_heap::{Block, BlockId, Heap, HeapSpec, Swap};
use shmkit_layout::{Object, Offset, Region};
use shmkit_sync::{Outcome, RawMutex};

use super::account::{self, Before};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Spread};

/// Bytes of the heap, tables included.
const HEAP: u64 = 96 << 10;

/// How many of a block's bytes are written and read.
const FILLED: usize = 24;

/// A structure that owns one block.
struct Owner<'a> {
    lock: &'a RawMutex,
    swap: &'a Swap,
    word: &'a AtomicU64,
}

impl<'a> Owner<'a> {
    fn new(region: Region<'a>) -> Result<Self, Fault> {
        let find = || {
            Ok(Self {
                lock: region.get(Offset::new(HEAP)?)?,
                swap: region.get(Offset::new(HEAP + 64)?)?,
                word: region.get(Offset::new(HEAP + 128)?)?,
            })
        };
        find().map_err(|e: shmkit_layout::OffsetError| Fault::broken(e.to_string()))
    }
}

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let small = "small blocks reserved and dropped, killed; no byte is lost";
    let whole = "whole pages reserved and dropped, killed; no byte is lost";
    let retire = "slabs given back for whole pages, killed; no byte is lost, and no slab stays without a use";
    let grow = "a heap that grows, killed; all pages are had, and every byte is accounted for";
    let replace = "a structure's block replaced, killed; it has the old or the new one, whole";
    let heir = "the heir of one killed as it replaces a block killed, too; as above";
    vec![
        scene("heap/small", small, 400, None, |heap, owner, _| use_some(heap, owner, 40)),
        scene("heap/whole", whole, 300, None, |heap, owner, _| use_some(heap, owner, 9000)),
        scene_after(prepare, HEAP, "heap/retire", retire, 800, None, |heap, owner, _| {
            use_some(heap, owner, 9000)
        }),
        scene_after(
            |_| Ok(Vec::new()),
            0,
            "heap/grow",
            grow,
            600,
            None,
            |heap, owner, _| use_some(heap, owner, 9000),
        ),
        scene("heap/replace", replace, 800, None, replace_some),
        scene("heap/heir", heir, 800, Some(Spread(5100)), replace_some),
    ]
}

fn use_some(heap: &Heap<Me<'_>>, _: &Owner<'_>, len: usize) -> Result<(), Fault> {
    for _ in 0..2 {
        let first = reserve(heap, len, 1)?;
        drop(reserve(heap, len, 2)?);
        drop(first);
    }
    Ok(())
}

/// All pages have something: two slabs of eight pages whose blocks are all free, and what is returned. There is room for what
/// a victim and a survivor have at a time, once they are given back.
fn prepare<'h, 'm>(heap: &'h Heap<Me<'m>>) -> Result<Blocks<'h, 'm>, Fault> {
    // Seven blocks are a slab.
    let slabs: Vec<_> = (0..8).map(|fill| reserve(heap, 4096, fill)).collect::<Result<_, _>>()?;
    let rest = core::iter::from_fn(|| heap.reserve(Layout::new::<Page>()).ok()).collect();
    drop(slabs);
    Ok(rest)
}

/// What is not small, and takes one page.
#[repr(align(256))]
struct Page;

fn replace_some(heap: &Heap<Me<'_>>, owner: &Owner<'_>, me: Me<'_>) -> Result<(), Fault> {
    for (len, fill) in [(100, 3), (5000, 4), (60, 5)] {
        replace(heap, owner, me, len, fill)?;
    }
    Ok(())
}

fn reserve<'h, 'm>(
    heap: &'h Heap<Me<'m>>,
    len: usize,
    fill: u8,
) -> Result<Block<'h, Me<'m>>, Fault> {
    let mut block = heap.reserve_bytes(len).map_err(hung)?;
    // Not all of them: each byte that is filled is an instruction to be killed at.
    block.as_mut_slice()[..FILLED].fill(fill);
    Ok(block)
}

/// Gives the structure another block, filled with `fill`.
fn replace(
    heap: &Heap<Me<'_>>,
    owner: &Owner<'_>,
    me: Me<'_>,
    len: usize,
    fill: u8,
) -> Result<(), Fault> {
    let block = reserve(heap, len, fill)?;
    locked(heap, owner, me, || heap.replace(owner.swap, 0, owner.word, Some(block)).map_err(hung))
}

/// Does something under the structure's lock, after what a dead one has left was put right.
fn locked(
    heap: &Heap<Me<'_>>,
    owner: &Owner<'_>,
    me: Me<'_>,
    work: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    if owner.lock.lock(me, Deadline::NEVER).map_err(|e| Fault::hung(e.to_string()))?
        != Outcome::Clean
    {
        heap.recover(owner.swap, |_| Some(owner.word)).map_err(hung)?;
        owner.lock.make_consistent(me).map_err(|e| Fault::hung(e.to_string()))?;
    }
    work()?;
    // SAFETY: locked once, above; what it guards is not borrowed beyond `work`.
    unsafe { owner.lock.unlock(me) }.map_err(|e| Fault::hung(e.to_string()))
}

fn hung(error: shmkit_heap::HeapError) -> Fault {
    Fault::hung(error.to_string())
}

type Blocks<'h, 'm> = Vec<Block<'h, Me<'m>>>;
type Prepares = for<'h, 'm> fn(&'h Heap<Me<'m>>) -> Result<Blocks<'h, 'm>, Fault>;
type Does = fn(&Heap<Me<'_>>, &Owner<'_>, Me<'_>) -> Result<(), Fault>;

/// One uses the heap and is killed; one survivor uses it at that moment, another comes later.
fn scene(name: &str, about: &str, floor: u32, before: Before, does: Does) -> Scene {
    scene_after(|_| Ok(Vec::new()), HEAP, name, about, floor, before, does)
}

/// A [`scene`] whose victim has prepared the heap, of `initial` bytes at first, before it may be killed.
fn scene_after(
    prepare: Prepares,
    initial: u64,
    name: &str,
    about: &str,
    floor: u32,
    before: Before,
    does: Does,
) -> Scene {
    Scene::new(name, about, floor, move |stage, point| {
        let arena = Arena::new()?;
        let region = arena.object().sub(0, HEAP).map_err(|e| Fault::broken(e.to_string()))?;
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Heap::init(region, HeapSpec::growing(initial, HEAP), &NOBODY) };
        made.map(drop).map_err(|e| Fault::broken(e.to_string()))?;
        let user = |actor: &Actor<'_>| {
            open(&arena, |heap, owner, me| {
                let _held = prepare(heap)?;
                actor.mark();
                does(heap, owner, me)?;
                actor.mark();
                Ok(())
            })
        };
        let survivor = |actor: &Actor<'_>| {
            open(&arena, |heap, owner, me| {
                account::begin(actor)?;
                survive(actor, heap, owner, me)
            })
        };
        // Nobody is there any more: what is left is the structure's.
        let end = |_: &Actor<'_>| open(&arena, count);
        account::play(stage, point, before, (&user, &survivor, &end))
    })
}

fn open(
    arena: &Arena,
    then: impl FnOnce(&Heap<Me<'_>>, &Owner<'_>, Me<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    let region = arena.object().sub(0, HEAP).map_err(|e| Fault::broken(e.to_string()))?;
    // SAFETY: the scene made a heap of so many bytes here.
    let heap =
        unsafe { Heap::attach(region, HEAP, &me) }.map_err(|e| Fault::broken(e.to_string()))?;
    then(&heap, &Owner::new(arena.object())?, &me)
}

/// Finds the structure whole, gives it another block, and uses the heap as the victim does.
fn survive(
    actor: &Actor<'_>,
    heap: &Heap<Me<'_>>,
    owner: &Owner<'_>,
    me: Me<'_>,
) -> Result<(), Fault> {
    locked(heap, owner, me, || whole(heap, owner))?;
    use_some(heap, owner, 40)?;
    use_some(heap, owner, 9000)?;
    replace(heap, owner, me, 70, 6)?;
    actor.through();
    Ok(())
}

/// Under the structure's lock: its block is there, and its bytes are alike.
fn whole(heap: &Heap<Me<'_>>, owner: &Owner<'_>) -> Result<(), Fault> {
    let id = BlockId::from_number(owner.word.load(Relaxed));
    if id.is_none() {
        return Ok(());
    }
    // SAFETY: under the structure's lock, nobody frees it.
    let bytes =
        unsafe { heap.bytes(id) }.map_err(|e| Fault::torn(format!("the structure's: {e}")))?;
    // SAFETY: nobody writes to a kept block.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.base().as_ptr(), bytes.len()) };
    if bytes[..FILLED].iter().all(|byte| *byte == bytes[0]) {
        return Ok(());
    }
    Err(Fault::torn(format!("{id:?} holds different bytes")))
}

/// Nobody else is there: every byte is free, or the structure's.
fn count(heap: &Heap<Me<'_>>, owner: &Owner<'_>, me: Me<'_>) -> Result<(), Fault> {
    locked(heap, owner, me, || {
        whole(heap, owner)?;
        let account = heap.check().map_err(hung)?;
        let kept = u64::from(owner.word.load(Relaxed) != 0);
        if account.is_complete() && account.kept_blocks == kept && account.reserved_blocks == 0 {
            return Ok(());
        }
        Err(Fault::leaked(format!("{account}; the structure has {kept}")))
    })
}
