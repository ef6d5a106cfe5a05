//! Leases: done, given back, left by the dead.

use std::mem::forget;

use super::*;

#[test]
fn an_item_that_is_given_back_comes_before_all_others() {
    let scene = Scene::new(3);
    let queue = scene.queue(0);
    queue.put_all(&[1, 2, 3]).unwrap();
    let first = queue.take().unwrap();
    assert_eq!((*first, queue.len(), queue.is_full()), (1, Ok(2), Ok(true)));
    drop(first);
    assert_eq!(queue.len(), Ok(3));
    assert_eq!(format!("{:?}", queue.take().unwrap()), "Lease(1)");
    queue.take().unwrap().give_back().unwrap();
    assert_eq!([queue.get(), queue.get(), queue.get()], [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(queue.stats().redelivered, 3);
}

#[test]
fn a_lease_keeps_its_place() {
    let scene = Scene::new(2);
    let queue = scene.queue(0);
    queue.put_all(&[1, 2]).unwrap();
    let lease = queue.take().unwrap();
    assert_eq!(queue.get(), Ok(2));
    assert_eq!(error(queue.try_put(3)), QueueError::Full, "it is the next one's turn");
    lease.done().unwrap();
    queue.put_all(&[3, 4]).unwrap();
    assert_eq!((queue.get(), queue.get()), (Ok(3), Ok(4)));
}

#[test]
fn a_panic_leaves_the_item_to_others() {
    let scene = Scene::new(2);
    let queue = scene.queue(0);
    queue.put(1).unwrap();
    let work = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lease = queue.take().unwrap();
        panic!("at work");
    }));
    assert!(work.is_err());
    assert_eq!(queue.get(), Ok(1));
}

#[test]
fn que_23_what_the_dead_had_comes_again() {
    let scene = Scene::new(2);
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put_all(&[1, 2]).unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    assert_eq!(queue.get_timeout(LONG), Ok(2));
    assert_eq!(queue.get_timeout(LONG), Ok(1));
    assert_eq!(queue.stats().redelivered, 1);
    assert_eq!(queue.join(), Ok(()));
}

#[test]
fn at_most_once_what_the_dead_had_is_lost_and_counted() {
    let scene = Scene::new(QueueSpec::new(1).delivery(Delivery::AtMostOnce));
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    assert_eq!(queue.delivery(), Delivery::AtMostOnce);
    queue.put(1).unwrap();
    forget(dead.take().unwrap());
    assert_eq!(queue.try_join(), Err(QueueError::TimedOut));
    scene.judges[0].die();
    queue.put_timeout(2, LONG).unwrap();
    assert_eq!(queue.stats().lost, 1);
    assert_eq!(queue.get(), Ok(2));
}

#[test]
fn who_never_waits_gets_what_the_dead_had_as_well() {
    let scene = Scene::new(1);
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put(1).unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    let end = Instant::now() + LONG;
    while queue.try_get() != Ok(1) {
        assert!(Instant::now() < end, "it never came");
    }
}

#[test]
fn a_closed_queue_waits_for_the_leases_of_others() {
    let scene = Scene::new(2);
    let (a, b) = (scene.queue(0), scene.queue(1));
    a.put_all(&[1, 2]).unwrap();
    let lease = a.take().unwrap();
    a.close().unwrap();
    assert_eq!(a.get(), Ok(2));
    assert_eq!(a.get(), Err(QueueError::Closed), "what it has itself is no reason to wait");
    assert_eq!(b.try_get(), Err(QueueError::Empty));
    assert_eq!(b.get_timeout(SHORT), Err(QueueError::TimedOut));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| b.get());
        lease.give_back().unwrap();
        assert_eq!(waiting.join().unwrap(), Ok(1));
    });
    assert_eq!((a.get(), b.get()), (Err(QueueError::Closed), Err(QueueError::Closed)));
}

#[test]
fn a_forked_copy_of_a_lease_does_nothing() {
    let scene = Scene::new(2);
    let queue = scene.queue(0);
    queue.put(1).unwrap();
    let child = scene.judges[0].forked();
    let lease = queue.take().unwrap();
    // SAFETY: as in `Scene::queue`.
    let copy = unsafe { Queue::<u64, _>::attach(scene.region(), 2, &child) }.unwrap();
    assert_eq!(copy.take().map(drop), Err(QueueError::NotJoined));
    assert_eq!(queue.try_join(), Err(QueueError::TimedOut));
    lease.done().unwrap();
    assert_eq!(queue.try_join(), Ok(()));
}

#[test]
fn que_09_who_joins_waits_until_all_are_done() {
    let scene = Scene::new(4);
    let queue = scene.queue(0);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Ok(lease) = queue.take() {
                    if *lease == 0 {
                        return lease.done().unwrap();
                    }
                    done.fetch_add(1, Relaxed);
                    lease.done().unwrap();
                }
            });
        }
        queue.put_all(&[1; 10]).unwrap();
        queue.join().unwrap();
        assert_eq!(done.load(Relaxed), 10);
        queue.put_all(&[0; 4]).unwrap();
    });
    assert_eq!(queue.join_timeout(LONG), Ok(()));
}

#[test]
fn what_so_many_died_with_is_a_dead_letter() {
    let scene = Scene::new(QueueSpec::new(2).give_up_after(2));
    let queue = scene.queue(2);
    queue.put(1).unwrap();
    for who in [0, 1] {
        let dead = scene.queue(who);
        let lease = dead.take_timeout(LONG).unwrap();
        assert_eq!(*lease, 1);
        forget(lease);
        scene.judges[who].die();
    }
    queue.put(2).unwrap();
    let letters = queue.dead_letters().unwrap();
    assert!(letters.dead_letters().is_none(), "they are not given up");
    assert_eq!((queue.get_timeout(LONG), queue.join_timeout(LONG)), (Ok(2), Ok(())));
    let (looked_at, stats) = (letters.take_timeout(LONG).unwrap(), queue.stats());
    assert_eq!((*looked_at, stats.given_up, stats.redelivered, stats.lost), (1, 1, 1, 0));
    looked_at.give_back().unwrap();
    assert_eq!(
        (letters.len(), letters.get(), letters.try_get()),
        (Ok(1), Ok(1), Err(QueueError::Empty))
    );
    // Their places are free.
    queue.put_all_timeout(&[3, 4], LONG).unwrap();
    assert_eq!([queue.get(), queue.get()], [Ok(3), Ok(4)]);
}

#[test]
fn who_looks_at_the_dead_letters_moves_what_is_to_go_there() {
    let scene = Scene::new(QueueSpec::new(1).give_up_after(1));
    let (dead, queue) = (scene.queue(0), scene.queue(1));
    queue.put(1).unwrap();
    queue.close().unwrap();
    forget(dead.take().unwrap());
    scene.judges[0].die();
    assert_eq!(queue.join_timeout(LONG), Ok(()), "nobody is waited for who would work on it");
    let end = Instant::now() + LONG;
    while queue.dead_letters().unwrap().try_get() != Ok(1) {
        assert!(Instant::now() < end, "it never came");
    }
    assert_eq!((queue.get(), queue.stats().given_up), (Err(QueueError::Closed), 1));
}

#[test]
fn who_gives_an_item_back_has_not_died_with_it() {
    let scene = Scene::new(QueueSpec::new(1).give_up_after(1));
    let queue = scene.queue(0);
    queue.put(1).unwrap();
    for _ in 0..20 {
        queue.take().unwrap().give_back().unwrap();
    }
    assert_eq!((queue.get(), queue.stats().given_up), (Ok(1), 0));
}

#[test]
fn what_finds_no_room_among_the_dead_letters_is_lost_and_counted() {
    let scene = Scene::new(QueueSpec::new(1).give_up_after(1));
    for (who, value) in [(0, 1), (1, 2)] {
        let dead = scene.queue(who);
        dead.put_timeout(value, LONG).unwrap();
        forget(dead.take().unwrap());
        scene.judges[who].die();
        assert_eq!(scene.queue(2).get_timeout(SHORT * 4), Err(QueueError::TimedOut));
    }
    let queue = scene.queue(2);
    assert_eq!((queue.stats().given_up, queue.stats().lost), (1, 1));
    assert_eq!(queue.dead_letters().unwrap().get(), Ok(1));
}

#[test]
fn a_queue_that_does_not_give_up_has_no_dead_letters() {
    assert!(Scene::new(1).queue(0).dead_letters().is_none());
}
