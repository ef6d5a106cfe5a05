//! Workers that die.

use std::collections::BTreeSet;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use shmkit_pool::{AfterDeath, Pool, PoolErrorKind, Retry, TaskError};
use shmkit_process::Status;
use shmkit_queue::Queue;

use super::*;

#[test]
fn pol_36_37_a_worker_that_dies_costs_one_call_and_it_says_how() {
    let pool = pool(2);
    let fates = [
        (Fate::IsKilled, Status::Signalled(9)),
        (Fate::Aborts, Status::Signalled(6)),
        (Fate::OverflowsItsStack, Status::Signalled(6)),
        (Fate::Exits(3), Status::Exited(3)),
        (Fate::Exits(0), Status::Exited(0)),
    ];
    for (how, expected) in fates {
        let answers =
            pool.starmap_each(fate, (0..100).map(|n| (n, if n == 41 { how } else { Fate::Lives })));
        for (n, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(x) => assert_eq!((x, n == 41), (n as u64, false)),
                Err(TaskError::WorkerDied(death) | TaskError::Exited(death)) => {
                    // A stack overflow that `main` did not prepare for is a bare SIGSEGV.
                    let is_overflow = matches!(how, Fate::OverflowsItsStack)
                        && death.status == Status::Signalled(11);
                    assert!(n == 41 && (death.status == expected || is_overflow), "{n}: {death}");
                    assert!(death.task.ends_with("fate") && death.ran_for.is_some(), "{death:?}");
                }
                Err(other) => panic!("{how:?}, {n}: {other}"),
            }
        }
    }
    until("others take their places", || {
        pool.pids().len() == 2 && pool.pids().into_iter().all(is_alive)
    });
}

#[test]
fn a_task_that_kills_its_worker_runs_again_as_often_as_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs");
    let pool = build(Pool::builder(2).retry(Retry::times(2)));
    let error = pool.submit(dies_noted, (path.clone(), u32::MAX)).wait().unwrap_err();
    assert!(matches!(error, TaskError::WorkerDied(_)), "{error}");
    assert_eq!(lines(&path).len(), 3);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(pool.submit(dies_noted, (path.clone(), 2)).wait().unwrap(), 3);
    // Of many calls that run as one, those behind it are called once.
    let all = folder.path().join("all");
    let inputs = (0..20).map(|n| (all.clone(), n, n == 7));
    let answers = pool.chunked(noted, inputs, 20);
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.is_err(), n == 7);
    }
    let ran = lines(&all);
    for n in 0..20 {
        let times = ran.iter().filter(|line| **line == n.to_string()).count();
        assert_eq!(times, if n == 7 { 3 } else { 1 }, "{n}: {ran:?}");
    }
}

/// Notes a line, and is killed unless there are more than so many.
#[task(crate = shmkit_process)]
fn dies_noted(path: PathBuf, times: u32) -> usize {
    append(&path, "run");
    let ran = lines(&path).len();
    if ran <= times as usize {
        kill(std::process::id(), "KILL");
    }
    ran
}

/// Notes its number, and is killed if it is to be.
#[task(crate = shmkit_process)]
fn noted(path: PathBuf, n: u32, dies: bool) -> u32 {
    append(&path, &n.to_string());
    if dies {
        kill(std::process::id(), "KILL");
    }
    n
}

#[test]
fn who_takes_too_long_is_killed_and_nobody_else() {
    let pool = build(Pool::builder(2).timeout(Duration::from_millis(200)));
    let hanging: Vec<_> = (0..4).map(|n| pool.submit(fate, (n, Fate::Hangs))).collect();
    let others = pool.starmap_each(fate, (0..50).map(|n| (n, Fate::Lives)));
    assert!(others.iter().all(Result::is_ok), "{others:?}");
    for task in hanging {
        match task.wait().unwrap_err() {
            TaskError::Overran(death) => {
                assert!(death.ran_for.unwrap() >= Duration::from_millis(200), "{death}")
            }
            other => panic!("{other}"),
        }
    }
    let one = pool.submit(sleep, (1000,)).timeout(LONG);
    assert_eq!(one.wait().unwrap(), 1000, "a task's own limit goes before the pool's");
}

#[test]
fn a_task_is_called_off_before_it_begins_or_killed() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go, ran] = ["began", "go", "ran"].map(|name| folder.path().join(name));
    let pool = pool(1);
    let first = pool.submit(wait_for, (began.clone(), go.clone()));
    until("it begins", || lines(&began).len() == 1);
    let mut second = pool.submit(note, (ran.clone(), "second".into()));
    let third = pool.submit(square, (3,));
    assert!(second.cancel() && !second.cancel() && !first.cancel());
    assert!(matches!(second.wait_timeout(LONG), Err(TaskError::Cancelled)));
    assert!(first.kill());
    assert!(matches!(first.wait(), Err(TaskError::Cancelled)));
    assert_eq!(third.wait().unwrap(), 9);
    assert!(!ran.exists(), "what is called off never runs");
}

#[test]
fn pol_40_a_pool_whose_workers_do_not_come_says_so() {
    let pool = build(Pool::builder(2).initializer(fate, (0, Fate::Panics)));
    let error = pool.submit(square, (2,)).wait().unwrap_err();
    let TaskError::Broken(why) = &error else { panic!("{error}") };
    assert!(why.contains("because of 0"), "{why}");
    assert!(matches!(pool.map(square, [1]), Err(TaskError::Broken(_))));
    let killed = build(Pool::builder(3).initializer(fate, (0, Fate::IsKilled)));
    assert!(matches!(killed.submit(square, (2,)).wait(), Err(TaskError::Broken(_))));
}

#[test]
fn pol_25_26_29_workers_are_replaced_after_so_many_tasks_and_begin_with_the_initializer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("begun");
    let pool =
        build(Pool::builder(3).recycle_after(10).initializer(note, (path.clone(), "here".into())));
    let before: BTreeSet<_> = pool.pids().into_iter().collect();
    let pids: Vec<_> =
        pool.chunked(worker_pid, (0..100).map(|_| ()), 1).into_iter().map(Result::unwrap).collect();
    let counts = |pid: &u32| pids.iter().filter(|other| *other == pid).count();
    let all: BTreeSet<_> = pids.iter().copied().collect();
    assert!(all.iter().all(|pid| counts(pid) <= 10), "{pids:?}");
    assert!(all.len() >= 10 && all.iter().any(|pid| !before.contains(pid)));
    assert!(lines(&path).len() >= all.len());
    let once = build(Pool::builder(2).recycle_after(1));
    let tasks: Vec<_> = (0..6).map(|_| once.submit(sleep, (20,))).collect();
    once.close();
    once.join_timeout(LONG).unwrap();
    assert!(tasks.into_iter().all(|task| task.wait().is_ok()));
}

#[test]
fn workers_that_are_killed_while_they_work_cost_their_calls_alone() {
    let pool = pool(4);
    let tasks: Vec<_> = (0..400).map(|_| pool.submit(sleep, (2,))).collect();
    let mut killed = BTreeSet::new();
    let start = Instant::now();
    while killed.len() < 20 && start.elapsed() < LONG {
        if let Some(pid) = pool.pids().into_iter().find(|pid| !killed.contains(pid)) {
            killed.insert(pid);
            // It may have ended already.
            let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
        // Three that end before they have come would be another thing.
        let before = pool.completed();
        until("tasks are answered", || pool.completed() > before || before == 400);
    }
    let mut dead = 0;
    for task in tasks {
        match task.wait() {
            Ok(2) => {}
            Err(TaskError::WorkerDied(death)) => {
                assert!(killed.contains(&death.pid), "{death}");
                dead += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(dead <= killed.len(), "{dead} calls for {} kills", killed.len());
    assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
}

#[test]
fn a_stopped_worker_holds_up_its_own_task_only() {
    let folder = tempfile::tempdir().unwrap();
    let [began, go] = ["began", "go"].map(|name| folder.path().join(name));
    let pool = pool(2);
    let held = pool.submit(wait_for, (began.clone(), go.clone()));
    until("it begins", || lines(&began).len() == 1);
    let stopped: u32 = lines(&began)[0].parse().unwrap();
    kill(stopped, "STOP");
    std::fs::write(&go, "").unwrap();
    let others: Vec<_> = (0..50).map(|n| pool.submit(square, (n,))).collect();
    assert!(others.into_iter().all(|task| task.wait().is_ok()));
    kill(stopped, "CONT");
    assert_eq!(held.wait().unwrap(), stopped);
}

#[test]
fn a_pool_in_a_task_is_refused_with_the_reason() {
    let pool = pool(1);
    let why = pool.submit(makes_a_pool, ()).wait().unwrap();
    assert!(why.contains("daemon"), "{why}");
}

#[task(crate = shmkit_process)]
fn makes_a_pool() -> String {
    let error = Pool::new(1).unwrap_err();
    assert_eq!(error.kind(), PoolErrorKind::Spawn);
    std::error::Error::source(&error).unwrap().to_string()
}

/// Whoever is asked after each death says what becomes of the task; who panics then has said nothing.
#[test]
fn somebody_is_asked_after_each_death() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs");
    let told = Arc::<Mutex<Vec<_>>>::default();
    let tell = told.clone();
    let pool = build(Pool::builder(2).on_death(move |death| {
        assert!(death.task.ends_with("dies_noted") && death.ran_for.is_some());
        tell.lock().unwrap().push((death.attempt, death.status));
        match death.attempt {
            1 | 2 => AfterDeath::Again,
            3 => AfterDeath::Fail,
            more => panic!("{more} attempts"),
        }
    }));
    let killed = |attempt| (attempt, Status::Signalled(9));
    assert_eq!(pool.submit(dies_noted, (path.clone(), 2)).wait().unwrap(), 3);
    assert_eq!(*told.lock().unwrap(), [killed(1), killed(2)]);
    std::fs::remove_file(&path).unwrap();
    let error = pool.submit(dies_noted, (path.clone(), u32::MAX)).wait().unwrap_err();
    assert!(error.to_string().contains("at attempt 3"), "{error}");
    assert_eq!(lines(&path).len(), 3);
    // Of something else than its task, nobody is asked: the hook would have panicked.
    let called_off = pool.submit(fate, (0, Fate::Hangs));
    until("it begins", || called_off.kill());
    assert!(matches!(called_off.wait(), Err(TaskError::Cancelled)));
    let panics = build(Pool::builder(1).on_death(|_| panic!("not to be asked")));
    let answer = panics.submit(fate, (0, Fate::IsKilled)).wait();
    assert!(matches!(answer, Err(TaskError::WorkerDied(_))), "{answer:?}");
    assert_eq!(panics.map(square, [3]).unwrap(), [9]);
}

/// Says where it has begun.
#[task(crate = shmkit_process)]
fn says_where(who: Queue<u32>) {
    who.put(std::process::id()).unwrap();
}

#[test]
fn the_initializer_has_handles_in_every_worker() {
    let segment = shmkit_segment::Options::new(1 << 16).anonymous().unwrap();
    let who = segment.make::<Queue<u32>>("who", 64.into()).unwrap();
    let pool = build(Pool::builder(2).initializer(says_where, (who.clone(),)).recycle_after(1));
    let pids: BTreeSet<_> = (0..4).map(|_| pool.submit(worker_pid, ()).wait().unwrap()).collect();
    pool.close();
    pool.join_timeout(LONG).unwrap();
    let begun: BTreeSet<_> = std::iter::from_fn(|| who.try_get().ok()).collect();
    assert!(begun.is_superset(&pids), "{begun:?} of {pids:?}");
}

#[test]
fn who_is_called_with_a_death_may_wait_for_what_the_next_worker_does() {
    let pool = Arc::new(build(Pool::builder(1).capacity(1)));
    let (theirs, (say, heard)) = (pool.clone(), channel());
    let task = pool.submit(fate, (0, Fate::Aborts)).then(move |answer| {
        assert!(matches!(answer, Err(TaskError::WorkerDied(_))));
        say.send(theirs.submit(square, (7,)).wait()).unwrap();
    });
    task.detach();
    assert_eq!(heard.recv_timeout(LONG).unwrap().unwrap(), 49);
}
