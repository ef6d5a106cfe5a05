//! Threads that take and free side by side.

use std::sync::mpsc;
use std::thread;

use crate::support::Memory;

#[test]
fn threads_reserve_and_free_each_others_blocks_and_none_is_given_twice() {
    let memory = Memory::new(1 << 24, 4);
    let made = memory.heap();
    let heaps: Vec<_> = (0..4).map(|n| memory.open(n).unwrap()).collect();
    thread::scope(|scope| {
        let (mut senders, mut receivers): (Vec<_>, Vec<_>) =
            (0..4).map(|_| mpsc::channel()).unzip();
        receivers.rotate_left(1);
        for (n, heap) in heaps.iter().enumerate() {
            let (sender, receiver) = (senders.remove(0), receivers.remove(0));
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(n as u64);
                for round in 0..20_000_u64 {
                    let mut block = heap.reserve_bytes(random.usize(8..3000)).unwrap();
                    let mark = round << 8 | n as u64;
                    block.as_mut_slice()[..8].copy_from_slice(&mark.to_ne_bytes());
                    sender.send((block.keep().unwrap(), mark)).unwrap();
                    if round < 50 {
                        continue;
                    }
                    let (id, mark): (_, u64) = receiver.recv().unwrap();
                    // SAFETY: it was sent to this thread alone.
                    let bytes = unsafe { heap.bytes(id) }.unwrap();
                    assert_eq!(bytes.read(shmkit_layout::Offset::ZERO), Ok(mark));
                    heap.free(id).unwrap();
                }
                drop(sender);
                while let Ok((id, _)) = receiver.recv() {
                    heap.free(id).unwrap();
                }
            });
        }
    });
    let account = made.check().unwrap();
    assert!(account.is_complete(), "{account}");
    assert_eq!((account.kept_blocks, account.reserved_blocks), (0, 0));
}
