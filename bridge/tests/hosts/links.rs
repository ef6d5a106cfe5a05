//! Links that are cut: who waits is told, nothing runs twice, and the next link is another one.

use std::thread;
use std::time::Duration;

use shmkit::TaskError;
use shmkit_bridge::RemotePool;

use crate::support::{Host, LIMIT, Proxy, again, client, once, wait_until};

#[test]
fn a_link_that_is_cut_tells_who_waits_and_nothing_runs_twice() {
    let host = Host::start("one", 2);
    let proxy = Proxy::start(host.port, Duration::ZERO);
    let node = client(&[proxy.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let (mut done, mut gone) = (0, 0);
    for round in 0..3_u64 {
        let first = round * 300;
        let pending = thread::scope(|scope| {
            let given = scope.spawn(|| {
                (first..first + 300).map(|n| pool.submit(once, (n, 300))).collect::<Vec<_>>()
            });
            wait_until("some have run", || host.counts.of(first as usize + 5) == 1);
            proxy.cut();
            given.join().unwrap()
        });
        for (n, mut pending) in (first..).zip(pending) {
            match pending.wait_timeout(LIMIT) {
                Ok(answer) => {
                    assert_eq!(answer, n);
                    done += 1;
                }
                Err(TaskError::HostDied { .. } | TaskError::Broken(_)) => gone += 1,
                Err(error) => panic!("task {n}: {error}"),
            }
        }
        proxy.mend();
        wait_until("it is connected again", || pool.hosts() == ["one"]);
    }
    assert!(done + gone == 900 && gone > 0, "{done} done, {gone} not known");
    assert!((0..900).all(|n| host.counts.of(n) <= 1));
    assert_eq!(pool.submit(once, (1000, 0)).wait().unwrap(), 1000);
}

#[test]
fn what_comes_of_a_past_link_is_dropped() {
    let host = Host::start("one", 1);
    let proxy = Proxy::start(host.port, Duration::ZERO);
    let node = client(&[proxy.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let slow = pool.submit(once, (0, 400_000));
    wait_until("it runs", || host.counts.of(0) == 1);
    proxy.cut();
    assert!(matches!(slow.wait(), Err(TaskError::HostDied { .. })));
    proxy.mend();
    wait_until("it is connected again", || pool.hosts() == ["one"]);
    // Behind the first one, whose answer goes nowhere.
    assert_eq!(pool.submit(once, (1, 0)).wait().unwrap(), 1);
    assert_eq!((host.counts.of(0), host.counts.of(1)), (1, 1));
}

#[test]
fn of_five_hosts_at_different_distances_one_is_killed_and_one_cut_off_and_every_task_is_answered() {
    const TASKS: usize = 1500;
    const TWICE: usize = 600;
    let mut hosts: Vec<_> = (0..5).map(|n| Host::start(&format!("host-{n}"), 2)).collect();
    // Every 40th piece is late.
    let far = |n: u64| Duration::from_millis(n);
    let proxies =
        hosts.iter().zip(0..).map(|(host, n)| Proxy::start_lossy(host.port, far(n), Some(40)));
    let proxies: Vec<_> = proxies.collect();
    let node = client(&proxies.iter().map(|proxy| proxy.port).collect::<Vec<_>>());
    let pool = RemotePool::connect(&node, "test").unwrap();
    wait_until("all have come", || pool.hosts().len() == 5);
    let (pending, twice) = thread::scope(|scope| {
        let twice = scope
            .spawn(|| pool.chunked(again, (TASKS..TASKS + TWICE).map(|n| (n as u64, 1000)), 3));
        let given = scope
            .spawn(|| (0..TASKS as u64).map(|n| pool.submit(once, (n, 1000))).collect::<Vec<_>>());
        wait_until("all have run some", || hosts.iter().all(|host| host.counts.sum() >= 10));
        hosts[0].kill();
        proxies[1].cut();
        (given.join().unwrap(), twice.join().unwrap())
    });
    let (mut done, mut gone) = (0, 0);
    for (n, mut pending) in (0..).zip(pending) {
        match pending.wait_timeout(LIMIT) {
            Ok(answer) => {
                assert_eq!(answer, n);
                done += 1;
            }
            Err(TaskError::HostDied { .. }) => gone += 1,
            Err(error) => panic!("task {n}: {error}"),
        }
    }
    assert!(done + gone == TASKS && gone > 0, "{done} done, {gone} not known");
    assert!(twice.into_iter().map(Result::unwrap).eq((TASKS..TASKS + TWICE).map(|n| n as u64)));
    let of = |n| hosts.iter().map(|host| host.counts.of(n)).sum::<u64>();
    assert!((0..TASKS).all(|n| of(n) <= 1), "none runs twice");
    assert!((TASKS..TASKS + TWICE).all(|n| of(n) >= 1));
    println!("{done} of {TASKS} were done, of {gone} nobody knows");
    assert_eq!(pool.hosts().len(), 3);
}
