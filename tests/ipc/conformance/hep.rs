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

/// From now on `membarrier` answers EPERM in this process.
fn refuse_membarrier() {
    const fn statement(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
        libc::sock_filter { code: code as u16, jt, jf, k }
    }
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let ret = libc::BPF_RET | libc::BPF_K;
    // `struct seccomp_data`: the call's number at 0.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(equal, 0, 1, libc::SYS_membarrier as u32),
        statement(ret, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(ret, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    nix::sys::prctl::set_no_new_privs().unwrap();
    // SAFETY: the program is live for the call, and the kernel checks it.
    let failed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(failed, 0, "{}", std::io::Error::last_os_error());
}

/// Gives small blocks all pages, and frees them.
fn leave_slabs(heap: &Heap) {
    let most = heap.size() as usize / 1000;
    let blocks: Vec<_> = (0..most).map_while(|_| heap.reserve_bytes(1000).ok()).collect();
    assert!(blocks.len() < most, "it was never full");
}

/// Who leaves its fences to the kernel needs the kernel's; who may not call it fences by itself, and is seen by all.
#[test]
fn slabs_are_given_back_without_membarrier_unless_somebody_relies_on_it() {
    let segment: Segment = Options::new(1 << 20).anonymous().unwrap();
    let heap = segment.heap("heap", 1 << 17).unwrap();
    let light = shmkit_atomic::barrier::register(); // Where this test may not, nobody relies on it.
    let mut peer = Peer::fork("child", |channel| {
        refuse_membarrier();
        segment.join_after_fork().unwrap();
        let alone = segment.heap("alone", 1 << 17).unwrap();
        leave_slabs(&alone);
        drop(alone.reserve_bytes(50_000).expect("nobody else is there"));
        channel.say("alone");
        channel.hear();
        leave_slabs(&heap);
        let full = matches!(heap.reserve_bytes(50_000), Err(HeapError::Full { .. }));
        assert_eq!(full, light, "the other one relies on the kernel");
        channel.say("full");
        channel.hear();
        drop(heap.reserve_bytes(50_000).expect("the other one has given them back"));
    });
    peer.expect("alone");
    drop(heap.reserve_bytes(8).unwrap());
    peer.say("I am there");
    peer.expect("full");
    drop(heap.reserve_bytes(50_000).expect("the kernel fences me, and the child itself"));
    peer.say("there they are");
    peer.join();
}
