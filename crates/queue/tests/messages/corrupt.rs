//! Words that no peer writes.

use shmkit_layout::Offset;

use super::*;

/// Where the slots begin, and what one takes.
const SLOTS: u64 = 128 + 384;

impl Scene {
    fn write(&self, at: u64, word: u64) {
        self.region().write(Offset::new(at).unwrap(), word).unwrap();
    }
}

#[test]
fn a_message_of_nonsense_is_corrupt_and_the_next_one_is_not_concerned() {
    for (at, word) in [(16, 105), (16, u64::MAX), (8, 77), (8, u64::MAX), (8, 1 << 40 | 3 << 16)] {
        let scene = Scene::of(4);
        let queue = scene.queue(0);
        queue.put(b"inside").unwrap();
        queue.put(&message(1000)).unwrap();
        scene.write(SLOTS + at, word);
        let got = queue.get();
        assert!(matches!(got, Err(QueueError::Corrupt { .. })), "{at} {word:#x}: {got:?}");
        assert_eq!(queue.get(), Ok(message(1000)));
        assert_eq!(queue.try_get(), Err(QueueError::Empty));
    }
}

#[test]
fn a_length_beyond_its_block_is_corrupt() {
    let scene = Scene::of(4);
    let queue = scene.queue(0);
    queue.put(&message(1000)).unwrap();
    scene.write(SLOTS + 16, 5000);
    let corrupt = QueueError::Corrupt { field: "message's length", found: 5000 };
    assert_eq!(queue.take().map(drop), Err(corrupt));
    assert_eq!(blocks(&queue), 0);
}

#[test]
fn a_heap_of_another_size_is_refused() {
    let scene = Scene::of(4);
    for bytes in [0, 1 << 15, BYTES * 2, u64::MAX] {
        scene.write(0, bytes);
        // SAFETY: made by `Scene`, but for a number.
        let found = unsafe { MessageQueue::attach(scene.region(), 4, &scene.judges[0]) };
        let error = found.map(drop).unwrap_err();
        assert!(matches!(error, ShapeError::Corrupt { .. } | ShapeError::Place(_)), "{error:?}");
    }
    scene.write(0, BYTES);
    // SAFETY: as above, but for the capacity.
    let found = unsafe { MessageQueue::attach(scene.region(), 5, &scene.judges[0]) };
    assert!(found.is_err());
}
