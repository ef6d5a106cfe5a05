//! Slots that refer to blocks: nobody frees what another has, and no block is lost with the dead.
//!
//! What the handle does, with blocks that are one word each: free, reserved or kept, and the how manieth.

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::crash::{everywhere, step};

use super::*;

const FREE: u64 = 0;
const RESERVED: u64 = 1;
const KEPT: u64 = 2;
/// One more block at a place.
const NEXT: u64 = 4;

/// A place for a block, and what is in it.
struct Block {
    word: AtomicU64,
    bytes: UnsafeCell<u64>,
}

/// A queue whose items are the numbers of blocks: `generation * NEXT`, and the place plus 1 in the upper half; 0 for none.
struct Post {
    queue: Arc<Queue>,
    notes: Vec<AtomicU64>,
    blocks: Vec<Block>,
}

// SAFETY: a block is touched by who has reserved it, or holds its slot; loom checks that.
unsafe impl Sync for Post {}
// SAFETY: as above.
unsafe impl Send for Post {}

impl Post {
    fn new(capacity: u32, delivery: Delivery, blocks: usize) -> Arc<Self> {
        let block = |_| Block { word: AtomicU64::new(FREE), bytes: UnsafeCell::new(0) };
        Arc::new(Self {
            queue: Queue::new(capacity, delivery),
            notes: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
            blocks: (0..blocks).map(block).collect(),
        })
    }

    fn ring(&self) -> Ring<'_> {
        self.queue.ring()
    }

    fn change(&self, id: u64, from: u64, to: u64) -> bool {
        let Some(place) = (id >> 32).checked_sub(1) else { return false };
        let generation = id & u64::from(u32::MAX);
        step();
        self.blocks[place as usize]
            .word
            .compare_exchange(generation | from, generation | to, AcqRel, Relaxed)
            .is_ok()
    }

    /// Reserves a block and fills it.
    fn reserve(&self, value: u64) -> Option<u64> {
        for (place, block) in (1..).zip(&self.blocks) {
            let found = block.word.load(Relaxed);
            let next = found + NEXT + RESERVED;
            step();
            if found & 3 == FREE
                && block.word.compare_exchange(found, next, AcqRel, Relaxed).is_ok()
            {
                // SAFETY: reserved; loom checks that nobody else touches it.
                block.bytes.with_mut(|bytes| unsafe { *bytes = value });
                return Some(place << 32 | (next - RESERVED));
            }
        }
        None
    }

    /// What the dead had reserved is free: as the heap does.
    fn gather(&self) {
        for block in &self.blocks {
            let found = block.word.load(Relaxed);
            if found & 3 == RESERVED {
                let _ = block.word.compare_exchange(found, found - RESERVED, AcqRel, Relaxed);
            }
        }
    }

    /// Frees what the dead have left in empty slots.
    fn sweep(&self) {
        for slot in 0..self.notes.len() {
            let read = || self.notes[slot].load(Acquire);
            if let Some(id) = self.ring().read_empty(slot as u32, read).unwrap() {
                self.change(id, KEPT, FREE);
            }
        }
    }

    /// Puts a message whose block is reserved.
    fn put(&self, judge: &ModelJudge, id: u64) {
        let claim = self.ring().claim(judge, 1, Deadline::NEVER).unwrap();
        let note = &self.notes[claim.first() as usize];
        let left = note.load(Acquire);
        if left != 0 {
            self.change(left, KEPT, FREE);
        }
        step();
        note.store(id, Release);
        assert!(self.change(id, RESERVED, KEPT), "it is ours");
        self.ring().commit(claim).unwrap();
    }

    fn read(&self, held: &Held) -> u64 {
        let id = self.notes[held.first() as usize].load(Acquire);
        let block = &self.blocks[(id >> 32) as usize - 1];
        assert_eq!(block.word.load(Acquire), (id & u64::from(u32::MAX)) | KEPT, "freed under us");
        // SAFETY: held; loom checks that nobody writes to it.
        block.bytes.with(|bytes| unsafe { *bytes })
    }

    fn done(&self, held: Held) {
        let note = &self.notes[held.first() as usize];
        let id = note.load(Acquire);
        self.ring().leave(&held).unwrap();
        self.change(id, KEPT, FREE);
        step();
        note.store(0, Release);
        self.ring().left(held).unwrap();
    }

    fn drain(&self, judge: &ModelJudge) -> Vec<u64> {
        let mut got = Vec::new();
        loop {
            match self.ring().take(judge, 1, Deadline::NEVER) {
                Ok(held) => {
                    got.push(self.read(&held));
                    self.done(held);
                }
                Err(QueueError::Closed) => return got,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Nobody has anything: every block is free when the dead are seen off.
    fn account(&self) {
        self.gather();
        self.sweep();
        for block in &self.blocks {
            assert_eq!(block.word.load(Acquire) & 3, FREE, "a block is lost");
        }
    }
}

#[test]
fn who_is_done_frees_a_block_before_its_slot() {
    model(2, || {
        let [a, b] = judges();
        let post = Post::new(1, Delivery::AtLeastOnce, 1);
        post.put(&a, post.reserve(1).unwrap());
        let taking = {
            let post = post.clone();
            thread::spawn(move || {
                let held = post.ring().take(&b, 1, Deadline::NEVER).unwrap();
                assert_eq!(post.read(&held), 1);
                post.done(held);
            })
        };
        // The slot is free when its block is.
        let claim = post.ring().claim(&a, 1, Deadline::NEVER).unwrap();
        assert!(post.reserve(2).is_some(), "it is free by then");
        post.ring().give_up(claim);
        taking.join().unwrap();
    });
}

#[test]
fn a_block_of_a_dead_taker_goes_with_its_message() {
    for delivery in [Delivery::AtLeastOnce, Delivery::AtMostOnce] {
        everywhere("take a message", 1, move |steps, lives| {
            let [mortal, b, c] = judges();
            let post = Post::new(2, delivery, 2);
            post.put(&c, post.reserve(1).unwrap());
            let second = post.reserve(2).unwrap();
            let working = {
                let post = post.clone();
                thread::spawn(move || {
                    post.put(&c, second);
                    post.queue.raw.close();
                    post.drain(&c)
                })
            };
            let done = Arc::new(StdMutex::new(false));
            let life = crash::after(steps, || {
                if let Ok(held) = post.ring().take(&mortal, 1, Deadline::NEVER) {
                    post.read(&held);
                    post.done(held);
                    *done.lock().unwrap() = true;
                }
            });
            if life.is_err() {
                lives.died();
                mortal.die();
            }
            let mut got = working.join().unwrap();
            got.extend(post.drain(&b));
            got.sort();
            assert!(got.windows(2).all(|two| two[0] != two[1]), "{got:?}");
            let least = usize::from(life.is_err() || !*done.lock().unwrap());
            assert!(got.len() <= 2 && got.len() + 1 >= 1 + least, "{got:?}");
            post.account();
        });
    }
}

#[test]
fn a_block_of_a_dead_putter_is_a_message_or_free() {
    everywhere("put a message", 2, |steps, lives| {
        let [mortal, b] = judges();
        let post = Post::new(1, Delivery::AtLeastOnce, 1);
        let taking = {
            let post = post.clone();
            thread::spawn(move || post.drain(&b))
        };
        let life = crash::after(steps, || {
            let id = post.reserve(1).unwrap();
            post.put(&mortal, id);
        });
        if life.is_err() {
            lives.died();
            mortal.die();
        }
        post.queue.raw.close();
        let got = taking.join().unwrap();
        assert!(got == [1] || (life.is_err() && got.is_empty()), "{got:?}");
        post.account();
    });
}

#[test]
fn who_sweeps_frees_nothing_that_was_put_meanwhile() {
    model(3, || {
        let [dead, b, c] = judges();
        let post = Post::new(1, Delivery::AtMostOnce, 2);
        post.put(&b, post.reserve(1).unwrap());
        let _ = post.ring().take(&dead, 1, Deadline::NEVER).unwrap();
        dead.die();
        let sweeping = {
            let post = post.clone();
            thread::spawn(move || {
                // Empties the slot, if the other one has not.
                let _ = post.ring().take(&c, 1, Deadline::PASSED).map(|held| post.done(held));
                post.sweep();
            })
        };
        post.put(&b, post.reserve(2).unwrap());
        sweeping.join().unwrap();
        post.queue.raw.close();
        let got = post.drain(&b);
        assert!(got == [2] || got.is_empty(), "{got:?}");
        post.account();
    });
}
