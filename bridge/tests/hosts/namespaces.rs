//! Two hosts with networks of their own, where the test may make them.

use std::fs::File;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use shmkit::{TaskError, task};
use shmkit_bridge::{Config, Node, RemotePool};
use shmkit_process::Process;

use crate::support::{Host, LIMIT, once, wait_until};

/// Has the threads that this one starts be in a network of its own.
pub(crate) fn enter(name: &str) {
    let file = File::open(format!("/var/run/netns/{name}")).unwrap();
    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
}

/// Two networks with a cable between them; removed when it is dropped.
struct Networks {
    names: [String; 2],
}

fn ip(args: &str) -> Result<(), String> {
    let output = Command::new("ip").args(args.split_whitespace()).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {args}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

impl Networks {
    fn new() -> Result<Self, String> {
        let id = std::process::id();
        let networks = Self { names: [format!("shmkit-a-{id}"), format!("shmkit-b-{id}")] };
        let [a, b] = &networks.names;
        for name in [a, b] {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        ip(&format!("-n {a} link add shm0 type veth peer name shm1"))?;
        ip(&format!("-n {a} link set shm1 netns {b}"))?;
        for (name, device, host) in [(a, "shm0", 1), (b, "shm1", 2)] {
            ip(&format!("-n {name} addr add 10.77.{}.{host}/24 dev {device}", id % 250))?;
            ip(&format!("-n {name} link set {device} up"))?;
        }
        Ok(networks)
    }

    fn address(&self) -> String {
        format!("tcp/10.77.{}.2:7447", std::process::id() % 250)
    }

    /// Delay and loss, if the kernel has them.
    fn disturb(&self) -> bool {
        let rule = "-n NAME qdisc add dev shm0 root netem delay 2ms loss 2%"
            .replace("NAME", &self.names[0]);
        Command::new("tc")
            .args(rule.split_whitespace())
            .output()
            .is_ok_and(|out| out.status.success())
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// A client in a network of its own: gives tasks while its host is killed, and counts what has become of them.
#[task]
fn give(namespace: String, address: String, tasks: u64) -> (u64, u64) {
    enter(&namespace);
    let node = Node::open(&Config::new().host("client").connect(address)).unwrap();
    let pool = RemotePool::connect(&node, "test").unwrap();
    let pending: Vec<_> = (0..tasks).map(|n| pool.submit(once, (n, 500))).collect();
    let (mut done, mut gone) = (0, 0);
    for (n, mut pending) in (0..).zip(pending) {
        match pending.wait_timeout(LIMIT) {
            Ok(answer) => {
                assert_eq!(answer, n);
                done += 1;
            }
            Err(TaskError::HostDied { .. } | TaskError::Broken(_)) => gone += 1,
            Err(error) => panic!("task {n}: {error}"),
        }
    }
    (done, gone)
}

#[test]
fn hosts_with_networks_of_their_own_find_each_other_and_hear_of_deaths() {
    let networks = match Networks::new() {
        Ok(networks) => networks,
        Err(why) => {
            eprintln!("\n*** NOT TESTED: no network namespaces here: {why} ***\n");
            return;
        }
    };
    let [a, b] = networks.names.clone();
    let address = networks.address();
    let mut host = Host::start_at("far", 2, 0, address.clone(), Some(b));
    if !networks.disturb() {
        eprintln!("the kernel has no netem: the cable is a perfect one");
    }
    // All done, by a cable that loses packets.
    let mut client = Process::spawn(give, (a.clone(), address.clone(), 300)).unwrap();
    assert_eq!(client.join_timeout(LIMIT).unwrap(), (300, 0));
    assert!((0..300).all(|n| host.counts.of(n) == 1));
    // And with the gateway killed meanwhile.
    let mut client = Process::spawn(give, (a, address, 1000)).unwrap();
    wait_until("some have run twice over", || (0..300).any(|n| host.counts.of(n) == 2));
    thread::sleep(Duration::from_millis(20));
    host.kill();
    let (done, gone) = client.join_timeout(LIMIT).unwrap();
    assert!(done + gone == 1000 && gone > 0, "{done} done, {gone} not known");
    assert!((300..1000).all(|n| host.counts.of(n) <= 1));
    assert!((0..300).all(|n| host.counts.of(n) <= 2));
}
