//! What the dead leave: messages, and the memory of those that nobody gets.

use std::mem::forget;

use super::*;

/// What fills the queue's memory so that no second one fits.
const LARGE: usize = 64_000;

#[test]
fn what_the_dead_had_taken_comes_again() {
    let scene = Scene::of(4);
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put(&message(LARGE)).unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    assert_eq!(queue.get_timeout(LONG), Ok(message(LARGE)));
    assert_eq!((queue.stats().redelivered, blocks(&queue)), (1, 0));
}

#[test]
fn the_memory_of_what_is_lost_is_free_for_who_needs_it() {
    let scene = Scene::new(MessageSpec::new(4, BYTES).delivery(Delivery::AtMostOnce), 4);
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put(&message(LARGE)).unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    // Its slot is not the next one's, so that this sweeps.
    queue.put_timeout(&message(LARGE), LONG).unwrap();
    assert_eq!(queue.stats().lost, 1);
    assert_eq!(queue.get(), Ok(message(LARGE)));
    assert_eq!(blocks(&queue), 0);
}

#[test]
fn who_puts_next_into_a_slot_frees_what_was_left_there() {
    let scene = Scene::new(MessageSpec::new(1, BYTES).delivery(Delivery::AtMostOnce), 1);
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put(&message(1000)).unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    queue.put_timeout(b"small", LONG).unwrap();
    assert_eq!(blocks(&queue), 0);
    assert_eq!(queue.get(), Ok(b"small".to_vec()));
}
