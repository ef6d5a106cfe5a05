//! Queues and broadcasts of another host.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use shmkit::{
    BroadcastSpec, Event, MessageSpec, New, NewPlain, Objects, Options, Overrun, Pool, Queue,
    Segment, task,
};
use shmkit_bridge::{
    BridgeError, Config, Node, RemoteError, RemotePool, RemoteQueue, RemoteSubscriber,
};
use shmkit_process::Process;

use crate::support::{LIMIT, Proxy, at, client, once, port, wait_until};

/// A node that serves, in this process: the other side is what is killed.
fn server(port: u16) -> Node {
    Node::open(&Config::new().host("server").listen(at(port))).unwrap()
}

#[test]
fn what_is_put_on_one_host_is_got_on_another() {
    let (port, queue) = (port(), Queue::<u64>::new(64).unwrap());
    let server = server(port);
    let served = server.serve_queue("jobs", &queue).unwrap();
    assert!(matches!(server.serve_queue("jobs", &queue), Err(BridgeError::Taken { .. })));
    let node = client(&[port]);
    let remote = RemoteQueue::<u64>::connect(&node, "jobs").unwrap();
    assert_eq!((remote.host(), remote.capacity().unwrap()), ("server".to_owned(), 64));
    remote.put(&1).unwrap();
    remote.put_all(&[2, 3, 4]).unwrap();
    assert_eq!((queue.get().unwrap(), remote.len().unwrap()), (1, 3));
    assert_eq!(remote.get().unwrap(), 2);
    assert_eq!(remote.get_batch(10).unwrap(), [3, 4]);
    assert_eq!(remote.try_get(), Err(RemoteError::Empty));
    assert_eq!(remote.get_timeout(Duration::from_millis(30)), Err(RemoteError::TimedOut));
    // Who waits is woken by who puts, here and there.
    thread::scope(|scope| {
        let waits = scope.spawn(|| remote.get().unwrap());
        thread::sleep(Duration::from_millis(30));
        queue.put(9).unwrap();
        assert_eq!(waits.join().unwrap(), 9);
        (0..64).for_each(|n| queue.put(n).unwrap());
        assert_eq!(remote.try_put(&7), Err(RemoteError::Full));
        let waits = scope.spawn(|| remote.put(&64).unwrap());
        assert!((0..65).all(|n| queue.get().unwrap() == n));
        waits.join().unwrap();
    });
    // A lease that is dropped goes back.
    queue.put(5).unwrap();
    let lease = remote.take().unwrap();
    assert_eq!((*lease, queue.try_get().is_err()), (5, true));
    lease.give_back();
    let lease = remote.take().unwrap();
    lease.done().unwrap();
    queue.join_timeout(LIMIT).unwrap();
    remote.close().unwrap();
    assert_eq!(remote.get(), Err(RemoteError::Closed));
    assert_eq!(remote.put(&1), Err(RemoteError::Closed));
    // Of another type; served no more.
    let other = RemoteQueue::<i64>::connect(&node, "jobs");
    assert!(other.unwrap_err().to_string().contains("u64 (8 bytes)"));
    drop(served);
    assert!(matches!(remote.len(), Err(RemoteError::Refused(_))));
}

#[test]
fn a_callback_that_asks_a_queue_is_refused_and_waits_for_nobody() {
    let (port, queue) = (port(), Queue::<u64>::new(8).unwrap());
    let (server, pool) = (server(port), Arc::new(Pool::new(1).unwrap()));
    let _served =
        (server.serve_queue("jobs", &queue).unwrap(), server.serve_pool("calls", &pool).unwrap());
    let node = client(&[port]);
    let remote = RemoteQueue::<u64>::connect(&node, "jobs").unwrap();
    let calls = RemotePool::connect(&node, "calls").unwrap();
    let (tell, told) = channel();
    let long = calls.submit(once, (0, 600_000_000));
    let long = long.then(move |_| tell.send(remote.put(&1)).unwrap());
    wait_until("it runs", || long.is_running());
    assert!(long.kill());
    let said = told.recv_timeout(LIMIT).unwrap().unwrap_err();
    assert!(matches!(said, RemoteError::Refused(_)), "{said}");
    assert_eq!(queue.len().unwrap(), 0);
}

#[test]
fn of_several_hosts_with_one_name_it_is_to_be_said_which() {
    let (ports, queues) = ([port(), port()], [1, 2].map(|n| Queue::<u64>::new(n * 8).unwrap()));
    let serve = |n: usize| {
        let node = Node::open(&Config::new().host(["one", "two"][n]).listen(at(ports[n]))).unwrap();
        let served = node.serve_queue("jobs", &queues[n]).unwrap();
        (node, served)
    };
    let _both = [serve(0), serve(1)];
    let node = client(&ports);
    wait_until("both are there", || {
        matches!(
            RemoteQueue::<u64>::connect(&node, "jobs"),
            Err(BridgeError::Several { hosts, .. }) if hosts == ["one", "two"]
        )
    });
    let two = RemoteQueue::<u64>::connect(&node, "jobs@two").unwrap();
    assert_eq!((two.host(), two.capacity().unwrap()), ("two".to_owned(), 16));
}

#[test]
fn messages_of_any_length_go_and_those_too_long_stay() {
    let segment = Options::new(8 << 20).anonymous().unwrap();
    let queue = segment.message_queue("m", MessageSpec::new(16, 6 << 20)).unwrap();
    let port = port();
    let server = server(port);
    let _served = server.serve_messages("m", &queue).unwrap();
    let node = client(&[port]);
    let remote = RemoteQueue::<[u8]>::connect(&node, "m").unwrap();
    remote.put(b"burger").unwrap();
    remote.put(&vec![3; 900_000]).unwrap();
    assert_eq!(queue.get().unwrap(), b"burger");
    assert_eq!(remote.get().unwrap(), vec![3; 900_000]);
    assert!(matches!(remote.put(&vec![3; 2 << 20]), Err(RemoteError::TooLong { .. })));
    queue.put(&vec![4; 2 << 20]).unwrap();
    assert!(matches!(remote.get(), Err(RemoteError::TooLong { .. })));
    assert_eq!(queue.get().unwrap().len(), 2 << 20, "it stayed");
}

/// Takes one item of a queue, says so, and does nothing with it.
#[task]
fn hold(port: u16, taken: Event) {
    let node = client(&[port]);
    let queue = RemoteQueue::<u64>::connect(&node, "jobs").unwrap();
    let lease = queue.take().unwrap();
    taken.set().unwrap();
    thread::sleep(Duration::from_secs(100));
    lease.done().unwrap();
}

#[test]
fn what_a_killed_host_had_taken_goes_to_another() {
    let (port, queue) = (port(), Queue::<u64>::new(8).unwrap());
    let server = server(port);
    let _served = server.serve_queue("jobs", &queue).unwrap();
    queue.put_all(&[1, 2]).unwrap();
    let taken = Event::new().unwrap();
    let holder = Process::spawn(hold, (port, taken.clone())).unwrap();
    taken.wait_timeout(LIMIT).unwrap();
    assert_eq!(queue.get().unwrap(), 2);
    assert!(queue.try_get().is_err());
    holder.kill().unwrap();
    let node = client(&[port]);
    let remote = RemoteQueue::<u64>::connect(&node, "jobs").unwrap();
    assert_eq!(remote.get_timeout(LIMIT).unwrap(), 1);
    queue.join_timeout(LIMIT).unwrap();
}

#[test]
fn a_link_that_is_cut_loses_nothing_that_was_taken() {
    let (port, queue) = (port(), Queue::<u64>::new(512).unwrap());
    let server = server(port);
    let _served = server.serve_queue("jobs", &queue).unwrap();
    let proxy = Proxy::start(port, Duration::ZERO);
    let node = client(&[proxy.port]);
    (0..500).for_each(|n| queue.put(n).unwrap());
    let mut seen = vec![0; 500];
    for _ in 0..3 {
        let remote = RemoteQueue::<u64>::connect(&node, "jobs").unwrap();
        for _ in 0..100 {
            seen[remote.get().unwrap() as usize] += 1;
        }
        proxy.cut();
        let error = remote.get().unwrap_err();
        assert!(matches!(error, RemoteError::Gone(_)), "{error}");
        proxy.mend();
    }
    while let Ok(n) = queue.get_timeout(Duration::from_millis(300)) {
        seen[n as usize] += 1;
    }
    // Got twice is what was got last before a cut, at most.
    assert!(seen.iter().all(|times| *times >= 1), "nothing is lost");
    assert!(seen.iter().filter(|times| **times > 1).count() <= 3, "{seen:?}");
}

#[test]
fn a_broadcast_is_received_on_another_host_in_order() {
    let segment = Options::new(1 << 20).anonymous().unwrap();
    let prices = segment.broadcast::<[u64; 2]>("prices", 64).unwrap();
    let port = port();
    let server = server(port);
    let _served = server.serve_broadcast("prices", &prices).unwrap();
    let node = client(&[port]);
    let mut one = RemoteSubscriber::<[u64; 2]>::connect(&node, "prices").unwrap();
    let mut two = RemoteSubscriber::<[u64; 2]>::connect(&node, "prices@server").unwrap();
    assert_eq!(prices.subscribers(), 2);
    assert_eq!(one.try_recv(), Err(RemoteError::Empty), "nobody publishes yet");
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut publisher = prices.publisher().unwrap();
            (0..5000).for_each(|n| publisher.send([n, n + 1]).unwrap());
        });
        for subscriber in [&mut one, &mut two] {
            scope.spawn(move || {
                for n in 0..5000 {
                    assert_eq!(subscriber.recv(), Ok([n, n + 1]));
                }
            });
        }
    });
    assert_eq!(one.recv(), Err(RemoteError::Closed));
    drop(one);
    wait_until("its place is free", || prices.subscribers() == 1);
}

#[test]
fn who_is_too_slow_for_a_broadcast_that_overwrites_is_told() {
    let segment = Options::new(1 << 20).anonymous().unwrap();
    let spec = BroadcastSpec::new(64).overrun(Overrun::Skip);
    let prices = segment.broadcast::<u64>("prices", spec).unwrap();
    let port = port();
    let server = server(port);
    let _served = server.serve_broadcast("prices", &prices).unwrap();
    let node = client(&[port]);
    let mut slow = RemoteSubscriber::<u64>::connect(&node, "prices").unwrap();
    let mut publisher = prices.publisher().unwrap();
    (0..1000).for_each(|n| publisher.send(n).unwrap());
    let RemoteError::Lagged { missed } = slow.recv().unwrap_err() else { panic!("it was told") };
    assert_eq!(slow.recv().unwrap(), missed);
}

/// Publishes three items, says so, and is killed.
#[task]
fn publish(segment: String, done: Event) {
    let segment = Segment::open(&segment).unwrap();
    let mut publisher = segment.broadcast::<u64>("prices", 64).unwrap().publisher().unwrap();
    publisher.send_all(&[1, 2, 3]).unwrap();
    done.set().unwrap();
    thread::sleep(Duration::from_secs(100));
}

#[test]
fn a_publisher_that_is_killed_is_told_of_behind_what_it_had_published() {
    let name = format!("bridge-{}-prices", std::process::id());
    let segment = Options::new(1 << 20).create(&name).unwrap();
    let prices = segment.broadcast::<u64>("prices", 64).unwrap();
    let port = port();
    let server = server(port);
    let _served = server.serve_broadcast("prices", &prices).unwrap();
    let node = client(&[port]);
    let mut subscriber = RemoteSubscriber::<u64>::connect(&node, "prices").unwrap();
    let done = Event::new().unwrap();
    let mut publisher = Process::spawn(publish, (name, done.clone())).unwrap();
    done.wait_timeout(LIMIT).unwrap();
    publisher.kill().unwrap();
    let _ = publisher.join_timeout(LIMIT);
    let got: Vec<_> = (0..3).map(|_| subscriber.recv().unwrap()).collect();
    assert_eq!(got, [1, 2, 3]);
    assert_eq!(subscriber.recv(), Err(RemoteError::PublisherDied));
}

#[test]
fn the_program_serves_what_lies_in_a_named_segment() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let name = format!("bridge-{}-shop", std::process::id());
    let segment = Options::new(4 << 20).create(&name).unwrap();
    let jobs = segment.queue::<u64>("jobs", 8).unwrap();
    let stock = segment.map::<str, u64>("stock", 1 << 20).unwrap();
    stock.insert("apples", &3).unwrap();
    segment.queue::<[u64; 3]>("odd", 8).unwrap();
    let program = env!("CARGO_BIN_EXE_shmkit-bridge");
    let port = port();
    let serve = |queue: &str| {
        let mut command = Command::new(program);
        command.args(["serve", "--host", "shop", "--listen", &at(port)]);
        command.args(["--queue", &format!("{name}/{queue}"), "--map", &format!("{name}/stock=s")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    for (queue, says) in [("odd", "[u64; 3]"), ("none", "no object"), ("jobs=a/b", "no name")] {
        let refused = serve(queue).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains(says), "{text}");
    }
    let mut child = serve("jobs=orders").spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("2 things are served as host shop"), "{line}");
    let node = client(&[port]);
    let remote = RemoteQueue::<u64>::connect(&node, "orders@shop").unwrap();
    remote.put(&5).unwrap();
    assert_eq!(jobs.get().unwrap(), 5);
    let map = shmkit_bridge::RemoteMap::<str, u64>::connect(&node, "s").unwrap();
    assert_eq!(map.get("apples").unwrap(), Some(3));
    // What it had taken for others comes again when it is killed.
    jobs.put(6).unwrap();
    let lease = remote.take().unwrap();
    assert_eq!(*lease, 6);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(jobs.get_timeout(LIMIT).unwrap(), 6);
    assert!(matches!(lease.done(), Err(RemoteError::Gone(_))));
    let pool = Command::new(program).args(["serve", "--pool", "x"]).output().unwrap();
    assert!(String::from_utf8_lossy(&pool.stderr).contains("Node::serve_pool"));
}
