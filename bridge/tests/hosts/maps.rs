//! A map of one host, used and followed by others.

use std::thread;
use std::time::Duration;

use shmkit::{New, ShmMap};
use shmkit_bridge::{Config, Node, RemoteError, RemoteMap};

use crate::support::{LIMIT, Proxy, at, client, port, wait_until};

fn server(port: u16) -> Node {
    Node::open(&Config::new().host("server").listen(at(port))).unwrap()
}

#[test]
fn a_map_is_changed_from_another_host() {
    let (port, map) = (port(), ShmMap::<str, u64>::new(1 << 20).unwrap());
    let server = server(port);
    let _served = server.serve_map("stock", &map).unwrap();
    map.insert("apples", &3).unwrap();
    let node = client(&[port]);
    let remote = RemoteMap::<str, u64>::connect(&node, "stock").unwrap();
    assert_eq!((remote.get("apples"), remote.get("pears")), (Ok(Some(3)), Ok(None)));
    assert_eq!(remote.insert("apples", &4), Ok(Some(3)));
    assert_eq!(map.get("apples").unwrap(), Some(4));
    assert_eq!((remote.len(), remote.contains_key("apples")), (Ok(1), Ok(true)));
    assert_eq!((remote.remove("apples"), remote.is_empty()), (Ok(Some(4)), Ok(true)));
    let other = RemoteMap::<str, i64>::connect(&node, "stock");
    assert!(other.unwrap_err().to_string().contains("is of"));
}

#[test]
fn a_copy_follows_what_others_change_and_waits_for_it() {
    let (port, map) = (port(), ShmMap::<u64, [u8]>::new(8 << 20).unwrap());
    let server = server(port);
    let served = server.serve_map("m", &map).unwrap();
    (0..1000_u64).for_each(|n| drop(map.insert(&n, &n.to_le_bytes()).unwrap()));
    let node = client(&[port]);
    let remote = RemoteMap::<u64, [u8]>::connect(&node, "m").unwrap();
    let copy = remote.replica().unwrap();
    assert_eq!((copy.len(), copy.copies()), (1000, 1));
    assert_eq!(copy.get(&77).unwrap().unwrap(), 77_u64.to_le_bytes());
    let before = copy.version();
    map.insert(&5, b"new").unwrap();
    map.remove(&6).unwrap();
    remote.insert(&2000, b"remote").unwrap();
    let seen = |n: u64| copy.get(&n).unwrap();
    wait_until("it has followed", || {
        seen(5).as_deref() == Some(b"new") && seen(6).is_none() && seen(2000).is_some()
    });
    assert_eq!(copy.version(), before + 3);
    assert_eq!(copy.wait_beyond(before, LIMIT).unwrap(), before + 3);
    let late = copy.wait_beyond(before + 3, Duration::from_millis(30));
    assert_eq!(late, Err(RemoteError::TimedOut));
    // Changed by many at a time, it becomes the same.
    thread::scope(|scope| {
        for t in 0..4_u64 {
            let map = &map;
            scope.spawn(move || {
                for n in 0..2000_u64 {
                    map.insert(&(n % 500), &(n * 4 + t).to_le_bytes()).unwrap();
                }
            });
        }
    });
    let mut all = map.entries().unwrap();
    all.sort();
    wait_until("it has become the same", || {
        let mut found = copy.entries().unwrap();
        found.sort();
        found == all
    });
    assert_eq!(copy.copies(), 1, "{copy:?}");
    drop((served, server));
    wait_until("it knows", || copy.error().is_some());
    assert_eq!(seen(5).map(|value| value.len()), map.get(&5).unwrap().map(|value| value.len()));
}

#[test]
fn a_copy_that_has_missed_changes_is_made_anew() {
    let (port, map) = (port(), ShmMap::<u64, [u8]>::new(64 << 20).unwrap());
    let server = server(port);
    let _served = server.serve_map("m", &map).unwrap();
    let proxy = Proxy::start(port, Duration::ZERO);
    let node = client(&[proxy.port]);
    let remote = RemoteMap::<u64, [u8]>::connect(&node, "m").unwrap();
    map.insert(&0, b"first").unwrap();
    let copy = remote.replica().unwrap();
    // Held up, while there is more than is kept.
    proxy.hold(true);
    for round in 0..40_u64 {
        for n in 0..8_u64 {
            map.insert(&n, &vec![round as u8; 100_000]).unwrap();
        }
        thread::sleep(Duration::from_millis(20));
    }
    proxy.hold(false);
    wait_until("it is as new", || copy.get(&7).unwrap().is_some_and(|value| value[0] == 39));
    assert_eq!((copy.copies(), copy.len()), (2, 8));
}
