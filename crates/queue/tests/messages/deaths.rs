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

#[test]
fn a_message_that_so_many_died_with_is_a_dead_letter() {
    for len in [0, 100, 1000] {
        let scene = Scene::new(MessageSpec::new(2, BYTES).give_up_after(2), 2);
        let queue = scene.queue(2);
        queue.put(&message(len)).unwrap();
        for who in [0, 1] {
            let dead = scene.queue(who);
            forget(dead.take_timeout(LONG).unwrap());
            scene.judges[who].die();
        }
        assert_eq!(queue.join_timeout(LONG), Ok(()));
        assert_eq!(queue.get_timeout(SHORT), Err(QueueError::TimedOut));
        let letters = queue.dead_letters().unwrap();
        assert_eq!((letters.take_timeout(LONG).unwrap().len(), queue.stats().given_up), (len, 1));
        assert_eq!(letters.get(), Ok(message(len)));
        assert_eq!(blocks(&queue), 0, "the letter had a block of its own, and the slot none");
    }
}

#[test]
fn a_message_without_memory_for_a_letter_is_lost_and_counted() {
    let scene = Scene::new(MessageSpec::new(2, BYTES).give_up_after(1), 2);
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put(&message(LARGE)).unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    assert_eq!(queue.get_timeout(SHORT * 4), Err(QueueError::TimedOut));
    assert_eq!((queue.stats().lost, queue.stats().given_up, blocks(&queue)), (1, 0, 0));
}
