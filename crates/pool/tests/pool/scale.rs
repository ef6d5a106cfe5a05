//! How many workers there are, and where.

use std::collections::BTreeSet;

use shmkit_pool::{Pool, PoolErrorKind, TaskError};

use super::*;

/// Whether it has so many workers, all of which have come.
fn has(pool: &Pool, workers: usize) -> bool {
    let pids = pool.pids();
    pids.len() == workers && pids.into_iter().all(is_alive)
}

#[test]
fn a_pool_grows_and_shrinks_as_it_is_told_and_no_task_is_lost() {
    let pool = build(Pool::builder(1).most_workers(4));
    for wrong in [0, 5] {
        assert_eq!(pool.resize(wrong).unwrap_err().kind(), PoolErrorKind::Workers(wrong));
    }
    pool.resize(4).unwrap();
    assert_eq!(pool.workers(), 4);
    until("they come", || has(&pool, 4));
    let tasks: Vec<_> = (0..60).map(|_| pool.submit(sleep, (5,))).collect();
    pool.resize(1).unwrap();
    until("three of them go", || has(&pool, 1));
    assert!(tasks.into_iter().all(|task| task.wait().unwrap() == 5));
    let one: BTreeSet<_> = (0..8).map(|_| pool.submit(worker_pid, ()).wait().unwrap()).collect();
    assert_eq!(one.len(), 1);
    pool.resize(3).unwrap();
    until("others come", || has(&pool, 3));
    pool.close();
    pool.join_timeout(LONG).unwrap();
}

#[test]
fn a_pool_scales_by_what_there_is_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go] = ["began", "go"].map(|name| folder.path().join(name));
    let pool = build(Pool::builder(1).scale(3, SHORT));
    let tasks: Vec<_> =
        (0..5).map(|_| pool.submit(wait_for, (began.clone(), go.clone()))).collect();
    until("three run at a time", || lines(&began).len() == 3);
    assert!(has(&pool, 3) && pool.workers() == 3);
    std::fs::write(&go, "").unwrap();
    assert!(tasks.into_iter().all(|task| task.wait().is_ok()));
    until("two have nothing to do", || has(&pool, 1));
    assert_eq!(pool.submit(square, (3,)).wait().unwrap(), 9);
}

#[test]
fn workers_run_where_they_are_told_to() {
    let mine = allowed();
    let last = *mine.last().unwrap();
    let pool = build(Pool::builder(2).pin([last]));
    let mut seen: Vec<_> = (0..8).map(|_| pool.submit(runs_on, ()).wait().unwrap()).collect();
    seen.dedup();
    assert_eq!(seen, [vec![last]]);
    let nowhere = build(Pool::builder(1).pin([1000]));
    let error = nowhere.submit(square, (1,)).wait().unwrap_err();
    assert!(matches!(&error, TaskError::Broken(why) if why.contains("processor 1000")), "{error}");
}

#[task(crate = shmkit_process)]
fn runs_on() -> Vec<usize> {
    allowed()
}

/// The processors that this thread may use.
fn allowed() -> Vec<usize> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse::<usize>().unwrap()..=to.parse().unwrap()
    };
    list.trim().split(',').flat_map(range).collect()
}

#[test]
fn the_successor_of_a_worker_is_started_before_that_ends() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go] = ["began", "go"].map(|name| folder.path().join(name));
    let pool = build(Pool::builder(1).recycle_after(1));
    let last = pool.submit(wait_for, (began.clone(), go.clone()));
    let other = pool.submit(worker_pid, ()).wait().unwrap();
    assert_eq!(lines(&began).len(), 1);
    assert!(!last.is_done(), "the successor has come when there was nobody else any more");
    std::fs::write(&go, "").unwrap();
    assert_ne!(last.wait().unwrap(), other);
}

/// How often the workers have gone to sleep.
fn sleeps(pool: &Pool) -> u64 {
    let of = |pid: u32| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.unwrap().trim().parse().unwrap()
    };
    pool.pids().into_iter().map(of).sum()
}

#[test]
fn of_a_pool_that_has_nothing_to_do_hardly_anybody_wakes_and_all_do_who_are_to_leave() {
    let pool = Pool::new(16).unwrap();
    let deadline = Instant::now() + LONG;
    let rests = || {
        let (before, started) = (sleeps(&pool), Instant::now());
        std::thread::sleep(Duration::from_secs(2));
        // Each worker would wake twice a second if it asked for itself.
        (sleeps(&pool) - before) as f64 / started.elapsed().as_secs_f64() < 16.0
    };
    while !rests() {
        assert!(Instant::now() < deadline, "they do not come to rest");
    }
    pool.resize(1).unwrap();
    let began = Instant::now();
    while !has(&pool, 1) {
        std::thread::yield_now();
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(pool.submit(square, (7,)).wait().unwrap(), 49);
}
