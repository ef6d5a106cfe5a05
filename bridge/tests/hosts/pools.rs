//! Tasks on other hosts: answered once, and run at most once, whoever is killed.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use shmkit::{Failure, New, TaskError, Value, task};
use shmkit_bridge::{BridgeError, RemotePending, RemotePool};
use shmkit_process::Process;

use crate::support::{Counts, Host, LIMIT, Proxy, again, client, once, wait_until};

#[task]
fn divide(a: i64, b: i64) -> Result<i64, Failure> {
    if b == 0 { Err(Failure::new("by nothing")) } else { Ok(a / b) }
}

#[task]
fn square(n: u64) -> u64 {
    n * n
}

#[task]
fn panics(text: String) -> u8 {
    panic!("{text}")
}

#[task]
fn exits(code: i32) -> u8 {
    std::process::exit(code)
}

#[task]
fn abort(_: u8) -> u8 {
    std::process::abort()
}

#[task]
fn keep(value: Value<u64>) -> u64 {
    value.get().unwrap_or(0)
}

#[task]
fn measure(bytes: Vec<u8>) -> u64 {
    bytes.len() as u64
}

#[task]
fn fill(len: usize) -> Vec<u8> {
    vec![7; len]
}

#[test]
fn a_remote_pool_answers_as_one_of_this_machine_does() {
    let host = Host::start("one", 2);
    let node = client(&[host.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    assert_eq!((pool.hosts(), pool.workers()), (vec!["one".to_owned()], 2));

    assert_eq!(pool.submit(once, (7, 0)).wait().unwrap(), 7);
    let all = pool.starmap(once, (0..500).map(|n| (n, 0))).unwrap();
    assert!(all.into_iter().eq(0..500));
    let lengths = pool.map(measure, (0..20).map(|n| vec![0; n * 1000])).unwrap();
    assert!(lengths.into_iter().eq((0..20).map(|n| n * 1000)));
    let imap: Vec<_> = pool.imap(square, 0..50).map(Result::unwrap).collect();
    assert!(imap.into_iter().eq((0..50).map(|n| n * n)));
    for chunk in [1, 7] {
        let unordered = pool.imap_unordered(square, 0..50).chunk(chunk).window(20).with_index();
        let found: HashMap<_, _> = unordered.map(|(n, answer)| (n, answer.unwrap())).collect();
        assert!(found.len() == 50 && found.iter().all(|(n, answer)| (n * n) as u64 == *answer));
    }

    // What a task says, and what keeps it from saying anything.
    assert_eq!(pool.submit(divide, (7, 2)).wait().unwrap().unwrap(), 3);
    let error = pool.submit(divide, (7, 0)).wait().unwrap().unwrap_err();
    assert_eq!(error.message(), "by nothing");
    let error = pool.submit(panics, ("oh".into(),)).wait().unwrap_err();
    assert!(
        matches!(&error, TaskError::Panicked { panic, .. } if panic.message == "oh"),
        "{error}"
    );
    let error = pool.submit(exits, (3,)).wait().unwrap_err();
    assert!(
        matches!(&error, TaskError::Exited(death) if death.status.code() == Some(3)),
        "{error}"
    );
    let error = pool.submit(abort, (0,)).wait().unwrap_err();
    assert!(
        matches!(&error, TaskError::WorkerDied(death) if death.task.ends_with("abort")),
        "{error}"
    );
    // Of many calls in one chunk, only that one.
    let each = pool.chunked(divide, [(1, 1), (6, 0), (8, 2)], 3);
    assert!(matches!(&each[..], [Ok(Ok(1)), Ok(Err(_)), Ok(Ok(4))]), "{each:?}");

    let (tell, told) = std::sync::mpsc::channel();
    let pending = pool.submit(once, (9, 0)).then(move |answer| {
        let _ = tell.send(*answer.as_ref().unwrap());
    });
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), 9);
    assert_eq!(pending.wait().unwrap(), 9);
    pool.close();
    pool.join_timeout(LIMIT).unwrap();
    assert!(matches!(pool.submit(once, (1, 0)).wait(), Err(TaskError::Closed)));
}

#[test]
fn what_cannot_leave_the_machine_is_refused_when_it_is_encoded() {
    let host = Host::start("one", 1);
    let node = client(&[host.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let error = pool.submit(keep, (Value::new(5_u64).unwrap(),)).wait().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, TaskError::Encode { .. }), "{text}");
    assert!(text.contains("argument `value`") && text.contains("another machine"), "{text}");
    // Too long, there and back; the pool goes on.
    let error = pool.submit(measure, (vec![0; 2 << 20],)).wait().unwrap_err();
    assert!(error.to_string().contains("2097156 bytes"), "{error}");
    let error = pool.submit(fill, (2 << 20,)).wait().unwrap_err();
    assert!(matches!(error, TaskError::Travel { .. }), "{error}");
    assert_eq!(pool.submit(measure, (vec![0; 1_000_000],)).wait().unwrap(), 1_000_000);
    assert_eq!(pool.submit(fill, (1_000_000,)).wait().unwrap().len(), 1_000_000);
    // Answers that together are more than go at a time.
    let all = pool.chunked(fill, (0..8).map(|_| (400_000,)), 8);
    assert!(all.into_iter().all(|answer| answer.unwrap().len() == 400_000));
}

#[test]
fn who_is_not_there_is_told_of() {
    let host = Host::start("one", 1);
    let node = client(&[host.port]);
    let nobody = RemotePool::builder(&node, "nothing").wait(Duration::from_millis(300)).connect();
    assert!(matches!(nobody, Err(BridgeError::Nobody { .. })), "{nobody:?}");
    assert!(matches!(RemotePool::connect(&node, "a/b"), Err(BridgeError::Name { .. })));
}

/// Every task is answered, and what was counted fits the answers.
fn settle(pending: Vec<RemotePending<u64>>, counts: &[&Counts]) -> (usize, usize) {
    let (mut done, mut gone) = (0, 0);
    for (n, mut pending) in pending.into_iter().enumerate() {
        let runs: u64 = counts.iter().map(|counts| counts.of(n)).sum();
        match pending.wait_timeout(LIMIT) {
            Ok(answer) => {
                assert_eq!(answer, n as u64);
                done += 1;
            }
            Err(TaskError::HostDied { .. }) => gone += 1,
            Err(error) => panic!("task {n}, which has run {runs} times: {error}"),
        }
        assert!(matches!(pending.try_wait(), Err(TaskError::Taken)), "answered once");
    }
    (done, gone)
}

#[test]
fn of_two_gateways_one_is_killed_with_a_thousand_tasks_under_way_and_none_runs_twice() {
    let (mut one, two) = (Host::start("one", 8), Host::start("two", 8));
    let node = client(&[one.port, two.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    wait_until("both have come", || pool.hosts().len() == 2);
    let pending = thread::scope(|scope| {
        let given =
            scope.spawn(|| (0..1000).map(|n| pool.submit(once, (n, 3000))).collect::<Vec<_>>());
        // Each host is given 512 at most: all of them are under way when the last one is given.
        let pending: Vec<_> = given.join().unwrap();
        wait_until("some have run", || one.counts.sum() > 20);
        let killed = Instant::now();
        one.kill();
        wait_until("it is known", || pool.hosts() == ["two"]);
        println!("it was known {:?} after the kill had been asked for", killed.elapsed());
        pending
    });
    let (done, gone) = settle(pending, &[&one.counts, &two.counts]);
    assert!(done + gone == 1000 && gone > 100 && done > 100, "{done} done, {gone} not known");
    for n in 0..1000 {
        let (first, second) = (one.counts.of(n), two.counts.of(n));
        assert!(first + second <= 1, "task {n} has run {first} and {second} times");
    }
    println!("{done} of 1,000 were done; of {gone} nobody knows");
    // The pool goes on.
    assert_eq!(pool.submit(once, (2000, 0)).wait().unwrap(), 2000);
}

#[test]
fn tasks_that_may_run_twice_are_all_done_by_the_host_that_is_left() {
    let (mut one, two) = (Host::start("one", 2), Host::start("two", 2));
    let node = client(&[one.port, two.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    wait_until("both have come", || pool.hosts().len() == 2);
    let all = thread::scope(|scope| {
        let given = scope.spawn(|| pool.chunked(again, (0..1000).map(|n| (n, 500)), 3));
        wait_until("some have run", || one.counts.sum() > 20);
        one.kill();
        given.join().unwrap()
    });
    assert!(all.into_iter().map(Result::unwrap).eq(0..1000));
    assert!((0..1000).all(|n| one.counts.of(n) + two.counts.of(n) >= 1));
}

#[test]
fn with_no_host_left_tasks_are_answered_and_one_that_comes_later_is_used() {
    let mut one = Host::start("one", 1);
    let port = one.port;
    let node = client(&[port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let running = pool.submit(once, (0, 60_000_000));
    wait_until("it runs", || one.counts.of(0) == 1);
    one.kill();
    let error = running.wait().unwrap_err();
    assert!(matches!(error, TaskError::HostDied { .. }), "{error}");
    assert!(error.to_string().contains("\"one\""), "{error}");
    wait_until("it is known", || pool.hosts().is_empty());
    assert!(matches!(pool.submit(once, (1, 0)).wait(), Err(TaskError::Broken(_))));
    let next = Host::start_at("next", 1, port, crate::support::at(port), None);
    wait_until("the next one has come", || pool.hosts() == ["next"]);
    assert_eq!(pool.submit(once, (2, 0)).wait().unwrap(), 2);
    assert_eq!(next.counts.of(2), 1);
}

/// Gives a pool many tasks, and says when it has.
#[task]
fn give(port: u16, tasks: u64, given: shmkit::Event) {
    let node = client(&[port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let pending: Vec<_> = (0..tasks).map(|n| pool.submit(once, (n, 100_000))).collect();
    given.set().unwrap();
    pending.into_iter().for_each(|pending| drop(pending.wait()));
}

#[test]
fn what_a_killed_client_had_given_and_nobody_has_begun_never_runs() {
    use shmkit::NewPlain;
    let host = Host::start("one", 2);
    let given = shmkit::Event::new().unwrap();
    let mut giver = Process::spawn(give, (host.port, 60, given.clone())).unwrap();
    given.wait_timeout(LIMIT).unwrap();
    wait_until("some run", || host.counts.sum() >= 2);
    giver.kill().unwrap();
    let _ = giver.join_timeout(LIMIT);
    // Another client's turn comes at once.
    let node = client(&[host.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let (start, before) = (Instant::now(), host.counts.sum());
    assert_eq!(pool.submit(once, (100, 0)).wait().unwrap(), 100);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    thread::sleep(Duration::from_millis(300));
    let ran: u64 = (0..60).map(|n| host.counts.of(n)).sum();
    assert!(ran <= before + 4, "{ran} of 60 have run, {before} when it was killed");
}

#[test]
fn a_task_that_is_called_off_before_it_begins_never_runs() {
    let host = Host::start("one", 1);
    let node = client(&[host.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let first = pool.submit(once, (0, 200_000));
    wait_until("it runs", || host.counts.of(0) == 1);
    let second = pool.submit(once, (1, 0));
    let third = pool.submit(once, (2, 0));
    second.cancel();
    drop(third);
    assert!(matches!(second.wait(), Err(TaskError::Cancelled)));
    assert_eq!(first.wait().unwrap(), 0);
    assert_eq!(pool.submit(once, (3, 0)).wait().unwrap(), 3);
    assert_eq!((host.counts.of(1), host.counts.of(2)), (0, 0));
}

#[test]
fn more_tasks_than_there_is_room_for_wait() {
    let host = Host::start("one", 2);
    // Each has as much room as the host has; together they have more.
    let nodes: Vec<_> = (0..3).map(|_| client(&[host.port])).collect();
    let pools: Vec<_> =
        nodes.iter().map(|node| RemotePool::connect(node, "test").unwrap()).collect();
    thread::scope(|scope| {
        for (at, pool) in pools.iter().enumerate() {
            scope.spawn(move || {
                let all = pool.chunked(once, (0..800).map(|n| (at as u64 * 800 + n, 0)), 1);
                assert!(
                    all.into_iter().map(Result::unwrap).eq((0..800).map(|n| at as u64 * 800 + n))
                );
            });
        }
    });
    assert!((0..2400).all(|n| host.counts.of(n) == 1));
}

#[test]
fn a_host_that_is_stopped_for_a_moment_is_alive() {
    let host = Host::start("one", 1);
    let node = client(&[host.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let pid = nix::unistd::Pid::from_raw(host.process.pid() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGSTOP).unwrap();
    let mut pending = pool.submit(once, (1, 0));
    let early = pending.wait_timeout(Duration::from_millis(1500));
    assert!(matches!(early, Err(TaskError::TimedOut)), "{early:?}");
    nix::sys::signal::kill(pid, nix::sys::signal::SIGCONT).unwrap();
    assert_eq!(pending.wait_timeout(LIMIT).unwrap(), 1);
    assert_eq!(host.counts.of(1), 1);
}

#[test]
fn a_slow_link_brings_everything_in_order() {
    let host = Host::start("one", 2);
    let proxy = Proxy::start(host.port, Duration::from_millis(5));
    let node = client(&[proxy.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let all = pool.chunked(once, (0..300).map(|n| (n, 0)), 1);
    assert!(all.into_iter().map(Result::unwrap).eq(0..300));
    assert!((0..300).all(|n| host.counts.of(n) == 1));
}
