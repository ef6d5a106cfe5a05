//! What no peer writes is an error, and never a panic, a hang or a look outside.

use shmkit_layout::Offset;

use super::*;

/// Where the words are that are not slots', and the first slot's.
const CLOSED: u64 = 12;
const RETURNED: u64 = 32;
const HEAD: u64 = 128;
const TAIL: u64 = 256;
const SLOT: u64 = 384;

fn write(scene: &Scene, at: u64, word: u64) {
    scene.region().write(Offset::<u64>::new(at).unwrap(), word).unwrap();
}

fn is_corrupt(error: QueueError, expected: &str) -> bool {
    matches!(error, QueueError::Corrupt { field, .. } if field == expected)
}

#[test]
fn a_position_outside_is_told() {
    for word in [3, 1 << 63, u64::MAX] {
        let scene = Scene::new(3);
        write(&scene, HEAD, word);
        let queue = scene.queue(0);
        assert!(is_corrupt(queue.get().unwrap_err(), "head"), "{word:#x}");
        assert!(is_corrupt(queue.len().unwrap_err(), "head"), "{word:#x}");
        write(&scene, TAIL, word);
        assert!(is_corrupt(error(queue.put(1)), "tail"), "{word:#x}");
        assert!(is_corrupt(queue.is_full().unwrap_err(), "tail"), "{word:#x}");
    }
}

/// What somebody who was stopped in the middle of a put or a get stores when it goes on.
#[test]
fn a_position_that_is_taken_back_by_laps_is_moved_on_and_nothing_is_passed_over() {
    for passed in 0..12 {
        for back in 0..=passed {
            for waiting in 0..=3 {
                let scene = Scene::new(3);
                let queue = scene.queue(0);
                for number in 0..passed {
                    queue.put(number).unwrap();
                    assert_eq!(queue.get(), Ok(number));
                }
                queue.put_all(&[20, 21, 22][..waiting as usize]).unwrap();
                let position = |number: u64| ((number / 3) << 32) | (number % 3);
                write(&scene, HEAD, position(passed - back));
                write(&scene, TAIL, position(passed - back));
                assert_eq!(
                    (queue.len(), queue.is_full()),
                    (Ok(waiting as usize), Ok(waiting == 3))
                );
                for number in waiting..3 {
                    queue.try_put(20 + number).unwrap();
                }
                assert_eq!(error(queue.try_put(9)), QueueError::Full);
                write(&scene, HEAD, position(passed - back));
                assert_eq!(
                    [(); 4].map(|()| queue.try_get()),
                    [Ok(20), Ok(21), Ok(22), Err(QueueError::Empty)]
                );
            }
        }
    }
}

#[test]
fn a_slot_in_no_state_or_lap_is_told() {
    for (word, field) in
        [(7 << 30, "slot's word"), (7 << 30 | 1, "slot's word"), (9 << 33, "slot's lap")]
    {
        let scene = Scene::new(3);
        write(&scene, SLOT, word);
        let queue = scene.queue(0);
        assert!(is_corrupt(queue.get().unwrap_err(), field), "{word:#x}");
        assert!(is_corrupt(error(queue.put(1)), field), "{word:#x}");
    }
}

#[test]
fn a_slot_of_nobody_is_told() {
    for (state, owner) in [(1, 0), (1, 1000), (3, 1000), (5, 0), (5, 1000)] {
        let scene = Scene::new(3);
        write(&scene, SLOT, state << 30 | owner);
        let error = scene.queue(0).get_timeout(LONG).unwrap_err();
        assert!(is_corrupt(error, "slot's owner"), "{state} {owner}: {error}");
    }
}

#[test]
fn a_wrong_capacity_is_refused() {
    let scene = Scene::new(3);
    let attach = |len| {
        // SAFETY: made by `Scene::new`, but for the length, which is checked.
        unsafe { Queue::<u64, _>::attach(scene.region(), len, &scene.judges[0]) }.map(drop)
    };
    assert_eq!(attach(2), Err(ShapeError::Corrupt { field: "capacity", found: 3 }));
    assert!(matches!(attach(0), Err(ShapeError::Length { .. })));
    assert!(matches!(attach(1 << 20), Err(ShapeError::Place(_))), "it does not fit");
}

#[test]
fn garbage_in_any_word_ends_no_call_but_in_a_value_or_an_error() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..2000 {
        let scene = Scene::new(3);
        let queue = scene.queue(0);
        queue.put(1).unwrap();
        for _ in 0..1 + next() % 3 {
            let slot = SLOT + 16 * (next() % 3);
            let at = [HEAD, TAIL, RETURNED, slot, slot, slot][(next() % 6) as usize];
            // Near what a peer writes, most of the time.
            let word = match next() % 3 {
                0 => next(),
                1 => next() & (3 << 33 | 7 << 30 | 3),
                _ => next() & (3 << 32 | 3),
            };
            write(&scene, at, word);
        }
        if next() % 4 == 0 {
            scene.region().write(Offset::<u32>::new(CLOSED).unwrap(), 1).unwrap();
        }
        let _ = queue.try_put_batch(&[2, 3, 4, 5]);
        let _ = queue.try_get_batch(&mut [0; 4]);
        let _ = queue.try_take();
        let _ = (queue.len(), queue.is_full(), queue.try_join(), format!("{queue:?}"));
        for _ in 0..8 {
            let _ = (queue.try_get(), queue.try_put(1));
        }
    }
}
