//! Links that are cut: who waits is told, nothing runs twice, and the next link is another one.

use std::thread;
use std::time::Duration;

use shmkit::TaskError;
use shmkit_bridge::RemotePool;

use crate::support::{Host, LIMIT, Proxy, client, once, wait_until};

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
