//! How a pool ends.

use std::os::fd::FromRawFd;

use shmkit_pool::{Pool, PoolErrorKind, TaskError};

use super::*;

#[test]
fn pol_16_a_pool_ends_its_workers_whatever_they_do() {
    let pool = build(Pool::builder(2).capacity(2000));
    let tasks: Vec<_> = (0..1000).map(|_| pool.submit(sleep, (600_000,))).collect();
    let pids = pool.pids();
    let start = Instant::now();
    pool.terminate();
    pool.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(tasks.into_iter().all(|task| matches!(task.wait(), Err(TaskError::Closed))));
    assert!(!pids.into_iter().any(is_alive));
}

#[test]
fn pol_18_41_a_closed_pool_does_what_it_has_and_takes_nothing_more() {
    let pool = pool(2);
    assert_eq!(pool.join().unwrap_err().kind(), PoolErrorKind::Open);
    let tasks: Vec<_> = (0..40).map(|n| pool.submit(square, (n,))).collect();
    pool.close();
    assert!(matches!(pool.submit(square, (1,)).wait(), Err(TaskError::Closed)));
    let pids = pool.pids();
    pool.join_timeout(LONG).unwrap();
    assert!(!pids.into_iter().any(is_alive));
    for (n, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.wait().unwrap(), (n * n) as u64);
    }
    assert!(matches!(pool.map(square, [1]), Err(TaskError::Closed)));
}

#[test]
fn a_closed_pool_replaces_a_worker_that_dies_before_all_is_done() {
    let pool = pool(1);
    let dies = pool.submit(fate, (1, Fate::IsKilled));
    let lives = pool.submit(fate, (2, Fate::Lives));
    pool.close();
    pool.join_timeout(LONG).unwrap();
    assert!(matches!(dies.wait(), Err(TaskError::WorkerDied(_))));
    assert_eq!(lives.wait().unwrap(), 2);
}

#[test]
fn pol_22_a_dropped_pool_leaves_no_process() {
    let pool = pool(3);
    let pids = pool.pids();
    let task = pool.submit(sleep, (600_000,));
    drop(pool);
    assert!(!pids.into_iter().any(is_alive));
    assert!(matches!(task.wait(), Err(TaskError::Closed)));
}

/// The parent of a pool: its workers' numbers are its answer's first part, and then it waits to be killed.
#[task(crate = shmkit_process)]
fn has_a_pool(path: PathBuf) {
    let pool = pool(3);
    for pid in pool.pids() {
        append(&path, &pid.to_string());
    }
    let _ = pool.submit(sleep, (600_000,)).wait();
}

#[test]
fn a_killed_parent_leaves_no_worker_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pids");
    let parent = shmkit_process::Process::spawn(has_a_pool, (path.clone(),)).unwrap();
    until("its workers are there", || lines(&path).len() == 3);
    let pids: Vec<u32> = lines(&path).iter().map(|line| line.parse().unwrap()).collect();
    assert!(pids.iter().all(|&pid| is_alive(pid)));
    parent.kill().unwrap();
    assert!(parent.join().is_err());
    until("they end with it", || !pids.iter().any(|&pid| is_alive(pid)));
}

/// Ends with a pool that nobody drops and that has something to do.
#[task(crate = shmkit_process)]
fn leaves_a_pool() -> Vec<u32> {
    static POOL: std::sync::OnceLock<Pool> = std::sync::OnceLock::new();
    let pool = POOL.get_or_init(|| pool(2));
    pool.submit(sleep, (600_000,)).detach();
    pool.pids()
}

#[test]
fn pol_28_a_program_ends_well_with_a_pool_that_nobody_drops() {
    let mut program = shmkit_process::Process::spawn(leaves_a_pool, ()).unwrap();
    let pids = program.join_timeout(LONG).unwrap();
    assert_eq!(program.status(), Some(shmkit_process::Status::Exited(0)));
    until("its workers end with it", || !pids.iter().any(|&pid| is_alive(pid)));
}

/// Has no standard files.
#[task(crate = shmkit_process)]
fn works_in_silence() -> Vec<u64> {
    for file in 0..3 {
        // SAFETY: numbers of files that nothing here owns.
        let file = unsafe { std::os::fd::OwnedFd::from_raw_fd(file) };
        drop(file);
    }
    pool(2).map(square, 1..=4).unwrap()
}

#[test]
fn pol_32_a_pool_works_where_the_standard_files_are_closed() {
    let process = shmkit_process::Process::spawn(works_in_silence, ()).unwrap();
    assert_eq!(process.join().unwrap(), [1, 4, 9, 16]);
}

#[test]
fn pol_30_a_pool_that_cannot_start_a_worker_leaves_none() {
    // The fourth: the first three found room.
    let error = shmkit_process::Process::spawn(short_of_descriptors, ()).unwrap().join().unwrap();
    assert!(error.contains("was not started"), "{error}");
}

#[task(crate = shmkit_process)]
fn short_of_descriptors() -> String {
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
        if hoard.len() > 100_000 {
            return "the limit is too high".into();
        }
    }
    // As many as the pool and three of its workers need.
    hoard.truncate(hoard.len() - 24);
    match Pool::new(30) {
        Ok(_) => "the pool is there".into(),
        Err(error) => format!("{error}, {}", shmkit_process::active_children().len()),
    }
}
