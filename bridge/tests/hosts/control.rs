//! What can be done about tasks that are under way on other hosts, and about the hosts' pools: as with a pool of this machine.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use shmkit::{Patience, PoolErrorKind, TaskError, task};
use shmkit_bridge::{Node, RemotePool};

use crate::support::{Host, LIMIT, MOST_WORKERS, Proxy, again, client, once, wait_until};

/// Longer than any test: such a task ends because it is killed.
const LONG: u64 = 600_000_000;

/// Two hosts with so many workers each, and a pool of both.
fn two(workers: u32) -> (Host, Host, Node, RemotePool) {
    let (one, two) = (Host::start("one", workers), Host::start("two", workers));
    let node = client(&[one.port, two.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    wait_until("both have come", || pool.hosts().len() == 2);
    (one, two, node, pool)
}

#[test]
fn a_task_that_runs_is_killed_and_no_other_is_hit() {
    let (one, two, _node, pool) = two(1);
    let runs = |n| one.counts.of(n) + two.counts.of(n);
    let first = pool.submit(once, (0, LONG));
    let mut second = pool.submit(once, (1, LONG));
    wait_until("both run", || runs(0) == 1 && runs(1) == 1);
    assert!(first.is_running() && second.is_running());
    let third = pool.submit(once, (2, 0));
    assert!(!third.is_running() && !third.is_done());
    // What runs is not called off, what waits is.
    assert!(!first.cancel() && third.cancel());
    assert!(matches!(third.wait(), Err(TaskError::Cancelled)));
    assert!(first.kill());
    wait_until("it is told", || first.is_done());
    assert!(!first.kill() && !first.cancel() && !first.is_running());
    assert!(matches!(first.wait(), Err(TaskError::Cancelled)));
    // There is another worker in the place of that one, and the other task goes on.
    assert_eq!(pool.submit(once, (3, 0)).wait().unwrap(), 3);
    assert!(second.is_running());
    assert_eq!(pool.replaced(), 1);
    assert!(matches!(second.try_wait(), Err(TaskError::TimedOut)));
    assert!(second.kill());
    assert!(matches!(second.wait(), Err(TaskError::Cancelled)));
    assert_eq!((runs(0), runs(1), runs(2), runs(3)), (1, 1, 0, 1));
    assert_eq!(pool.completed(), 4);
}

#[test]
fn a_task_that_takes_longer_than_it_may_is_killed_on_its_host() {
    const LIMIT_OF_ONE: Duration = Duration::from_millis(500);
    let (one, two, node, pool) = two(1);
    let overran = |answer| matches!(answer, Err(TaskError::Overran(_)));
    // Said when it is given, and when it runs.
    let first = pool.submit(once, (0, LONG)).timeout(LIMIT_OF_ONE);
    assert!(overran(first.wait()));
    let second = pool.submit(once, (1, LONG));
    wait_until("it runs", || one.counts.of(1) + two.counts.of(1) == 1);
    assert!(overran(second.timeout(LIMIT_OF_ONE).wait()));
    // Of all, and each call of a chunk for itself; what is quick enough is done.
    let quick = RemotePool::builder(&node, "test").timeout(LIMIT_OF_ONE).connect().unwrap();
    let each = quick.chunked(again, [(2, 0), (3, LONG), (4, 0)], 3);
    assert!(matches!(each[0], Ok(2)) && matches!(each[2], Ok(4)), "{each:?}");
    assert!(matches!(each[1], Err(TaskError::Overran(_))), "{each:?}");
    // One that is given more than all may take it.
    let longer = quick.submit(once, (5, 800_000)).timeout(LIMIT);
    assert_eq!(longer.wait().unwrap(), 5);
}

#[test]
fn workers_are_dealt_out_to_the_hosts_and_no_more_than_their_pools_were_made_for() {
    let (one, two, _node, pool) = two(1);
    assert_eq!(pool.workers(), 2);
    pool.resize(6).unwrap();
    assert_eq!(pool.workers(), 6);
    let all: Vec<_> = (0..6).map(|n| pool.submit(once, (n, LONG))).collect();
    wait_until("six run at a time, three on each host", || {
        one.counts.sum() == 3 && two.counts.sum() == 3
    });
    assert!(all.iter().all(|pending| pending.kill()));
    for (workers, why) in [(0, "none"), (1, "fewer than hosts"), (2 * MOST_WORKERS + 1, "more")] {
        let error = pool.resize(workers).unwrap_err();
        assert_eq!(error.kind(), PoolErrorKind::Workers(workers), "{why}");
    }
    assert_eq!(pool.workers(), 6);
    pool.resize(2).unwrap();
    assert_eq!(pool.workers(), 2);
    assert!(all.into_iter().all(|pending| matches!(pending.wait(), Err(TaskError::Cancelled))));
    assert_eq!(pool.submit(once, (7, 0)).wait().unwrap(), 7);
}

#[test]
fn a_pool_that_is_terminated_kills_what_it_has_given_and_nothing_of_others() {
    let (one, two, node, pool) = two(2);
    let runs = |n| one.counts.of(n) + two.counts.of(n);
    let others = RemotePool::connect(&node, "test").unwrap();
    wait_until("both have come", || others.hosts().len() == 2);
    let theirs = others.submit(once, (100, LONG));
    wait_until("it runs", || runs(100) == 1);
    // Three run, the rest waits.
    let ours: Vec<_> = (0..10).map(|n| pool.submit(once, (n, LONG))).collect();
    wait_until("as many run as can", || (0..10).map(runs).sum::<u64>() == 3);
    let began = Instant::now();
    pool.terminate();
    pool.join_timeout(LIMIT).unwrap();
    for (n, mut pending) in ours.into_iter().enumerate() {
        let answer = pending.wait_timeout(LIMIT);
        assert!(matches!(answer, Err(TaskError::Closed)), "task {n}: {answer:?}");
    }
    println!("ten tasks were called off or killed within {:?}", began.elapsed());
    assert_eq!(pool.completed(), 10);
    assert!(matches!(pool.submit(once, (11, 0)).wait(), Err(TaskError::Closed)));
    assert!(theirs.is_running());
    assert_eq!(others.submit(once, (101, 0)).wait().unwrap(), 101);
    assert!((0..10).map(runs).sum::<u64>() == 3 && runs(100) == 1 && theirs.kill());
}

#[test]
fn what_has_no_room_when_its_pool_ends_is_told_so() {
    // As many workers as fill the host by one client's tasks.
    let host = Host::start("one", 16);
    let node = client(&[host.port]);
    let full = RemotePool::connect(&node, "test").unwrap();
    let _tasks: Vec<_> = (0..1024).map(|n| full.submit(once, (n, LONG))).collect();
    wait_until("they run", || host.counts.sum() == 16);
    let proxy = Proxy::start(host.port, Duration::ZERO);
    let slow = client(&[proxy.port]);
    let pool = RemotePool::connect(&slow, "test").unwrap();
    let mut pending = pool.submit(once, (2000, 0));
    let early = pending.wait_timeout(Duration::from_millis(100));
    assert!(matches!(early, Err(TaskError::TimedOut)), "{early:?}");
    // It is asked again and again, so that it is on its way soon, and comes back when the pool has ended.
    proxy.hold(true);
    thread::sleep(Duration::from_millis(50));
    pool.terminate();
    proxy.hold(false);
    let answer = pending.wait_timeout(LIMIT);
    assert!(matches!(answer, Err(TaskError::Closed)), "{answer:?}");
    pool.join_timeout(LIMIT).unwrap();
    assert_eq!(host.counts.of(2000), 0);
}

#[test]
fn who_waits_may_be_interrupted_and_a_pool_is_joined_when_all_is_answered() {
    let (one, two, _node, pool) = two(1);
    let mut long = pool.submit(once, (0, LONG));
    wait_until("it runs", || one.counts.of(0) + two.counts.of(0) == 1);
    let stop = || ControlFlow::Break(());
    let interrupted = long.wait_deadline(Patience::ENDLESS.interruptible(&stop));
    assert!(matches!(interrupted, Err(TaskError::Interrupted)), "{interrupted:?}");
    assert!(matches!(long.wait_deadline(Instant::now()), Err(TaskError::TimedOut)));
    assert_eq!(pool.join().unwrap_err().kind(), PoolErrorKind::Open);
    pool.close();
    for early in [
        pool.try_join(),
        pool.join_timeout(Duration::from_millis(20)),
        pool.join_deadline(Patience::ENDLESS.interruptible(&stop)),
    ] {
        assert_eq!(early.unwrap_err().kind(), PoolErrorKind::TimedOut);
    }
    assert!(long.kill());
    assert!(matches!(long.wait(), Err(TaskError::Cancelled)));
    pool.join_timeout(LIMIT).unwrap();
    pool.try_join().unwrap();
    assert_eq!(pool.completed(), 1);
}

/// Counts, and takes its time.
#[task]
fn slowly(n: u64) -> u64 {
    crate::support::count(n, 50_000)
}

#[test]
fn answers_that_nobody_asks_for_any_more_are_called_off() {
    let (one, two, _node, pool) = two(1);
    let mut answers = pool.imap_unordered(slowly, 0..1000).window(40);
    assert!(matches!(answers.try_next(), Some(Err(TaskError::TimedOut))));
    assert!(answers.next_timeout(LIMIT).unwrap().is_ok());
    drop(answers);
    let ran = || one.counts.sum() + two.counts.sum();
    let then = ran();
    // Behind all that it has given.
    assert_eq!(pool.chunked(once, [(2000, 0), (2001, 0)], 1).len(), 2);
    pool.close();
    pool.join_timeout(LIMIT).unwrap();
    // Two more have begun before their hosts heard of it; on a machine that stands still, some more.
    assert!(ran() < 30, "{} of 40 have run, {then} when they were called off", ran() - 2);
}

#[test]
fn a_callback_may_give_tasks_to_a_pool_that_is_full() {
    let host = Host::start("one", 1);
    let node = client(&[host.port]);
    let pool = Arc::new(RemotePool::connect(&node, "test").unwrap());
    // As many as one host is given for one worker; the first is answered when all are given.
    let all = (0..64).map(|n| pool.submit(once, (n, if n == 0 { 600_000 } else { 0 })));
    let all: Vec<_> = all.collect();
    assert_eq!(host.counts.of(1), 0);
    let (tell, told) = channel();
    let all = all.into_iter().zip(100..).map(|(pending, next)| {
        let (pool, tell) = (pool.clone(), tell.clone());
        pending.then(move |_| tell.send(pool.submit(once, (next, 0))).unwrap())
    });
    let all: Vec<_> = all.collect();
    for _ in 0..all.len() {
        let mut next = told.recv_timeout(LIMIT).unwrap();
        assert!(next.wait_timeout(LIMIT).is_ok_and(|n| host.counts.of(n as usize) == 1));
    }
}

#[test]
fn a_callback_may_call_others_off_and_waits_for_nobody() {
    let (one, two, _node, pool) = two(1);
    let long: Vec<_> = (0..2).map(|n| pool.submit(once, (n, LONG))).collect();
    wait_until("both run", || (0..2).all(|n| one.counts.of(n) + two.counts.of(n) == 1));
    let first = pool.submit(once, (2, 0));
    let second = pool.submit(once, (3, 0));
    let (tell, told) = channel();
    // Brought by the thread that brings all answers.
    let first = first.then(move |answer| {
        let called_off = matches!(answer, Err(TaskError::Cancelled));
        let _ = tell.send((called_off, second.cancel(), second));
    });
    assert!(first.cancel());
    let (called_off, is_known, mut second) = told.recv_timeout(LIMIT).unwrap();
    assert!(called_off && !is_known);
    assert!(matches!(second.wait_timeout(LIMIT), Err(TaskError::Cancelled)));
    assert!(long.iter().all(|pending| pending.kill()));
    assert_eq!(one.counts.of(3) + two.counts.of(3), 0);
}
