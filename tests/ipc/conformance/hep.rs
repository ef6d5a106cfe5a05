//! The allocator. HEP-01 and HEP-04 need one process only, and stand with the heap.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shmkit::{BlockId, Heap, HeapError, Objects, Options, Segment};
use shmkit_atomic::{AtomicU32, AtomicU64};

use crate::support::Peer;

/// Blocks that the handler is to free.
static PENDING: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
static HEAP: OnceLock<Heap> = OnceLock::new();
static FREED: AtomicU32 = AtomicU32::new(0);
static FAILED: AtomicU32 = AtomicU32::new(0);

extern "C" fn free_pending(_: libc::c_int) {
    let Some(heap) = HEAP.get() else { return };
    for pending in &PENDING {
        let id = BlockId::from_number(pending.swap(0, SeqCst));
        if !id.is_none() {
            let counter = if heap.free(id).is_ok() { &FREED } else { &FAILED };
            counter.fetch_add(1, SeqCst);
        }
    }
}

/// HEP-03: a handler frees what its thread has reserved, wherever it interrupts that thread: it waits for nothing. The heap
/// is full again and again, so that slabs are given back beside it.
#[test]
fn hep_03_a_block_is_freed_in_the_middle_of_a_reservation() {
    let segment: Segment = Options::new(1 << 20).anonymous().unwrap();
    let heap = HEAP.get_or_init(|| segment.heap("heap", 1 << 17).unwrap());
    let action =
        SigAction::new(SigHandler::Handler(free_pending), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler uses atomic words and the heap, whose `free` takes no lock and no memory of the process.
    unsafe { sigaction(Signal::SIGUSR2, &action) }.unwrap();
    // SAFETY: it only says which thread this is.
    let me = unsafe { libc::pthread_self() };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                // SAFETY: that thread waits for this one before it ends.
                assert_eq!(unsafe { libc::pthread_kill(me, libc::SIGUSR2) }, 0);
                thread::yield_now();
            }
        });
        let mut reserved = 0_u32;
        for round in 0_usize.. {
            let place = &PENDING[round % PENDING.len()];
            if place.load(SeqCst) == 0 {
                match heap.reserve_bytes([40, 3000, 5000, 200][round / 100 % 4]) {
                    Ok(block) => {
                        place.store(block.keep().unwrap().get(), SeqCst);
                        reserved += 1;
                    }
                    Err(HeapError::Full { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            if reserved == 5000 {
                break;
            }
        }
        done.store(true, SeqCst);
    });
    free_pending(0);
    assert_eq!((FREED.load(SeqCst), FAILED.load(SeqCst)), (5000, 0));
    let account = heap.check().unwrap();
    assert!(account.is_complete() && account.kept_blocks == 0, "{account}");
}

/// HEP-06: a forked child has nothing of what its parent had reserved; once it has joined it has blocks of its own.
#[test]
fn hep_06_a_forked_child_has_blocks_of_its_own() {
    let segment: Segment = Options::new(1 << 20).anonymous().unwrap();
    let heap = segment.heap("heap", 1 << 17).unwrap();
    let (reserved, kept) = (heap.reserve_bytes(100).unwrap(), heap.reserve_bytes(5000).unwrap());
    let kept = kept.keep().unwrap();
    let mut peer = Peer::fork("child", |channel| {
        assert_eq!(heap.reserve_bytes(8).unwrap_err(), HeapError::NotJoined);
        assert_eq!(heap.free(kept), Err(HeapError::NotJoined));
        segment.join_after_fork().unwrap();
        let id = reserved.id();
        assert_eq!(heap.free(id), Err(HeapError::NotReserved { id }), "it is the parent's");
        let mut mine = heap.reserve_bytes(100).unwrap();
        assert_ne!(mine.id(), id);
        mine.as_mut_slice().fill(7);
        channel.say(&mine.keep().unwrap().get().to_string());
        // Of what a structure has anybody frees; and what is reserved goes with the child.
        heap.free(kept).unwrap();
        std::mem::forget(heap.reserve_bytes(9000).unwrap());
    });
    let id = BlockId::from_number(peer.hear().parse().unwrap());
    peer.join();
    // SAFETY: nobody frees it meanwhile.
    let bytes = unsafe { heap.bytes(id) }.unwrap();
    assert_eq!(bytes.read::<u8>(shmkit_layout::Offset::ZERO), Ok(7));
    assert_eq!(heap.free(kept), Err(HeapError::Stale { id: kept }));
    let account = heap.check().unwrap();
    assert_eq!((account.reserved_blocks, account.kept_blocks), (1, 1), "{account}");
    assert!(account.is_complete(), "{account}");
    drop(reserved);
    heap.free(id).unwrap();
}
