//! A peer that says nonsense is refused, costs no more memory than what it sends, and harms nobody else.

use std::thread;
use std::time::Duration;

use shmkit::TaskError;
use shmkit_bridge::RemotePool;
use zenoh::Wait;

use crate::support::{Host, LIMIT, client, once, port, wait_until};

/// Memory of a process that is resident, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A session of zenoh's own, which is linked with a host, or to which others link themselves.
fn session(side: &str, port: u16) -> zenoh::Session {
    let other = if side == "listen" { "connect" } else { "listen" };
    let mut config = zenoh::Config::default();
    for (key, value) in [
        (&*format!("{other}/endpoints"), "[]".to_owned()),
        (&*format!("{side}/endpoints"), format!("[\"tcp/127.0.0.1:{port}\"]")),
        ("scouting/multicast/enabled", "false".into()),
    ] {
        config.insert_json5(key, &value).unwrap();
    }
    zenoh::open(config).wait().unwrap()
}

fn head(link: u64, seq: u64) -> Vec<u8> {
    [link, seq, 0].iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// As a node says it: an enum's number, and its fields as postcard writes them.
fn opening(protocol: u8) -> Vec<u8> {
    [&[0, protocol, 1, 64, 4][..], b"evil"].concat()
}

#[test]
fn nonsense_is_refused_and_everybody_else_is_served() {
    let host = Host::start("one", 1);
    let node = client(&[host.port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    let evil = session("connect", host.port);
    let me = evil.zid().to_string();
    // Whom it is to harm: the node that serves.
    let found = evil.liveliness().get("shmkit/1/serves/pool/test/*/*/*").wait().unwrap();
    let key = found.recv().unwrap().into_result().unwrap().key_expr().as_str().to_owned();
    let victim = key.split('/').nth(5).unwrap().to_owned();
    let replies = evil.declare_subscriber(format!("shmkit/1/to/{me}/*")).wait().unwrap();
    let _token = evil.liveliness().declare_token(format!("shmkit/1/node/{me}")).wait().unwrap();
    let send = |bytes: Vec<u8>| {
        evil.put(format!("shmkit/1/to/{victim}/{me}"), bytes)
            .congestion_control(zenoh::qos::CongestionControl::Block)
            .wait()
            .unwrap();
    };
    let answer = || {
        let sample = replies.recv_timeout(Duration::from_secs(10)).unwrap();
        sample.map(|sample| sample.payload().to_bytes().into_owned()).unwrap_or_default()
    };
    let says = |bytes: &[u8], text: &str| {
        let found = String::from_utf8_lossy(bytes).into_owned();
        assert!(found.contains(text), "{found:?} says {text:?}");
    };
    let before = resident(host.process.pid());

    // No message at all, and one of no link.
    send(vec![]);
    send(vec![1, 2, 3]);
    send([head(5, 7), vec![10]].concat());
    says(&answer(), "no such link");
    // Another version of the protocol.
    send([head(6, 0), opening(9)].concat());
    says(&answer(), "version 9");
    // A link, and on it, one after the other, what breaks it: no frame; a length that is not there; a gap.
    let bad_ask = [&[5, 1, 2, 0xff, 0xff, 0xff, 0xff, 0x7f][..], b"x"].concat();
    for (link, (seq, bad)) in (10..).zip([(1, vec![200, 1, 1]), (1, bad_ask), (3, vec![9])]) {
        send([head(link, 0), opening(1)].concat());
        says(&answer(), "one");
        send([head(link, seq), bad].concat());
        let broken = answer();
        let is_told = ["no frame", "was lost"]
            .iter()
            .any(|text| String::from_utf8_lossy(&broken).contains(text));
        assert!(is_told, "{:?}", String::from_utf8_lossy(&broken));
    }
    // A good link: sessions that there are not, tasks that there are not, orders that are none.
    send([head(20, 0), opening(1)].concat());
    says(&answer(), "one");
    let ask = |ticket: u8, body: &[u8]| [&[5, 9, ticket, body.len() as u8], body].concat();
    send([head(20, 1), ask(1, b"what")].concat());
    says(&answer(), "nothing was entered");
    // Enter: ticket 2, session 9, pool "test", no tag.
    send([head(20, 2), [&[3, 2, 9, 0, 4][..], b"test", &[0]].concat()].concat());
    answer();
    send([head(20, 3), ask(3, &[0xff; 20])].concat());
    says(&answer(), "no task");
    // A task of print 1, which nobody has, with one call.
    let run = |order: &[u8]| [&[0, 0, order.len() as u8], order].concat();
    send([head(20, 4), ask(4, &run(&[1, 1, 0, 0]))].concat());
    says(&answer(), "once");
    // A task that is there, with ends that are none.
    let print = <once as shmkit_process::Task>::PRINT;
    let mut order = Vec::new();
    let mut number = print;
    while number >= 0x80 {
        order.push(number as u8 | 0x80);
        number >>= 7;
    }
    order.push(number as u8);
    let cut = [&order[..], &[2, 9, 3, 2, 1, 1]].concat();
    send([head(20, 5), ask(5, &run(&cut))].concat());
    says(&answer(), "none");
    // With arguments that are none: the worker says so, and goes on.
    let bad = [&order[..], &[1, 1, 1, 0xff]].concat();
    send([head(20, 6), ask(6, &run(&bad))].concat());
    says(&answer(), "argument");
    // What is no order; tasks that are not under way; more workers than the pool was made for.
    send([head(20, 7), ask(7, &run(&[0xff; 12]))].concat());
    says(&answer(), "no task");
    for (seq, about) in (8..).zip([&[1, 99, 1][..], &[2, 99], &[3, 99, 5, 0]]) {
        send([head(20, seq), ask(seq as u8, about)].concat());
        let said = answer();
        assert!(said.ends_with(&[2, 0, 0]), "it is not so: {said:?}");
    }
    send([head(20, 11), ask(11, &[5, 100])].concat());
    says(&answer(), "100 workers");

    // Much of it, as fast as it goes: nothing grows.
    for link in 100..1100 {
        send([head(link, 0), opening(1)].concat());
        send([head(link, 1), vec![0xee; 20_000]].concat());
    }
    wait_until("it is through with it", || {
        let is_last = |bytes: Vec<u8>| bytes.get(..8) == Some(&1099_u64.to_le_bytes()[..]);
        while let Some(sample) = replies.try_recv().unwrap() {
            if is_last(sample.payload().to_bytes().into_owned()) {
                return true;
            }
        }
        false
    });
    let grown = resident(host.process.pid()).saturating_sub(before);
    assert!(grown < 64 << 20, "it has grown by {grown} bytes");
    assert_eq!(pool.submit(once, (1, 0)).wait().unwrap(), 1);
    assert_eq!(host.counts.sum(), 1);
}

type Heard = zenoh::pubsub::Subscriber<zenoh::handlers::FifoChannelHandler<zenoh::sample::Sample>>;

/// Breaks the link by which a client has said something last to a host.
fn break_link(evil: &zenoh::Session, heard: &Heard) {
    let sample = heard.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    let mut last = sample;
    while let Some(next) = heard.try_recv().unwrap() {
        last = next;
    }
    let (key, bytes) = (last.key_expr().as_str().to_owned(), last.payload().to_bytes());
    let mut parts = key.rsplit('/');
    let (from, to) = (parts.next().unwrap(), parts.next().unwrap());
    let link = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    // A gap in the host's numbers.
    let put = evil.put(format!("shmkit/1/to/{from}/{to}"), [head(link, 1 << 40), vec![9]].concat());
    put.congestion_control(zenoh::qos::CongestionControl::Block).wait().unwrap();
    // The client says that the link is broken (frame 2), and tells itself right after.
    wait_until("the link has broken", || {
        heard.try_recv().unwrap().is_some_and(|sample| {
            let bytes = sample.payload().to_bytes();
            bytes[..8] == link.to_le_bytes() && bytes.get(24) == Some(&2)
        })
    });
    thread::sleep(Duration::from_millis(50));
}

#[test]
fn a_host_whose_link_breaks_and_that_lives_is_linked_again_and_what_was_not_sent_is_done() {
    let (host, port) = (Host::start("one", 1), port());
    // It hears what the client says to the host, and says something in the host's name.
    let evil = session("listen", port);
    let heard = evil.declare_subscriber("shmkit/1/to/**").wait().unwrap();
    let node = client(&[host.port, port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    for n in 0..10 {
        let first = 10 * n;
        assert_eq!(pool.submit(once, (first, 0)).wait().unwrap(), first);
        break_link(&evil, &heard);
        // Nothing was on its way: nobody is told of anything.
        assert_eq!(pool.submit(once, (first + 1, 0)).wait().unwrap(), first + 1);
        assert_eq!(pool.hosts(), ["one"]);
    }
    assert!((0..10).all(|n| host.counts.of(10 * n) == 1 && host.counts.of(10 * n + 1) == 1));
}

#[test]
fn a_host_that_stands_still_for_longer_than_a_link_may_take_is_linked_again_when_it_goes_on() {
    let (host, port) = (Host::start("one", 1), port());
    let evil = session("listen", port);
    let heard = evil.declare_subscriber("shmkit/1/to/**").wait().unwrap();
    let node = client(&[host.port, port]);
    let pool = RemotePool::connect(&node, "test").unwrap();
    assert_eq!(pool.submit(once, (0, 0)).wait().unwrap(), 0);
    let pid = nix::unistd::Pid::from_raw(host.process.pid() as i32);
    break_link(&evil, &heard);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGSTOP).unwrap();
    // For so long it is waited for.
    let lost = pool.submit(once, (1, 0)).wait_timeout(LIMIT);
    nix::sys::signal::kill(pid, nix::sys::signal::SIGCONT).unwrap();
    assert!(matches!(lost, Err(TaskError::Broken(_))), "{lost:?}");
    wait_until("it is linked again", || pool.hosts() == ["one"]);
    assert_eq!(pool.submit(once, (2, 0)).wait().unwrap(), 2);
    assert_eq!((host.counts.of(1), host.counts.of(2)), (0, 1));
}
