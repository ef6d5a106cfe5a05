//! Machines with networks of their own, where the test may make them: cables that delay and lose, and are pulled out.

use std::fs::File;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use shmkit::{TaskError, task};
use shmkit_bridge::{Config, Node, RemotePool};
use shmkit_process::Process;

use crate::support::{COUNTS, Host, LIMIT, again, once, wait_until};

/// Has the threads that this one starts be in a network of its own.
pub(crate) fn enter(name: &str) {
    let file = File::open(format!("/var/run/netns/{name}")).unwrap();
    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
}

/// Machines, each with a cable to one switch; removed when it is dropped.
struct Rack {
    /// The last one is the switch's.
    names: Vec<String>,
    subnet: u32,
}

fn run(program: &str, args: &str) -> Result<String, String> {
    let output = Command::new(program).args(args.split_whitespace()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => {
            Err(format!("{program} {args}: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }
}

impl Rack {
    fn new(name: &str, machines: usize) -> Result<Self, String> {
        let id = std::process::id();
        let mut names: Vec<_> = (0..machines).map(|n| format!("shmkit-{name}{n}-{id}")).collect();
        names.push(format!("shmkit-{name}-{id}"));
        let rack = Self { names, subnet: id % 250 };
        for name in &rack.names {
            run("ip", &format!("netns add {name}"))?;
            run("ip", &format!("-n {name} link set lo up"))?;
        }
        let switch = rack.switch();
        run("ip", &format!("-n {switch} link add shm type bridge"))?;
        run("ip", &format!("-n {switch} link set shm up"))?;
        for (n, machine) in rack.names[..machines].iter().enumerate() {
            let peer = format!("shm0 netns {machine}");
            run("ip", &format!("-n {switch} link add shm{n} type veth peer name {peer}"))?;
            run("ip", &format!("-n {switch} link set shm{n} master shm up"))?;
            let address = format!("10.77.{}.{}/24", rack.subnet, n + 1);
            run("ip", &format!("-n {machine} addr add {address} dev shm0"))?;
            run("ip", &format!("-n {machine} link set shm0 up"))?;
        }
        Ok(rack)
    }

    fn switch(&self) -> &str {
        &self.names[self.names.len() - 1]
    }

    fn address(&self, machine: usize) -> String {
        format!("tcp/10.77.{}.{}:7447", self.subnet, machine + 1)
    }

    /// Has every cable delay and lose what is sent: by `netem`, or, where the kernel has none, by a queue that is slow and so short that
    /// bursts do not fit.
    fn disturb(&self) -> Result<&'static str, String> {
        let all = |rule: &str| {
            let mut machines = self.names[..self.names.len() - 1].iter();
            machines.try_for_each(|machine| {
                run("tc", &format!("-n {machine} qdisc add dev shm0 root {rule}")).map(drop)
            })
        };
        match all("netem delay 2ms loss 2%") {
            Ok(()) => Ok("netem, 2 ms and 2 %"),
            Err(_) => all("tbf rate 8mbit burst 4kb limit 8kb").map(|()| "tbf, 8 Mbit/s and 8 kB"),
        }
    }

    /// Returns how many packets the cables have lost.
    fn lost(&self) -> u64 {
        let lost = self.names[..self.names.len() - 1].iter().map(|machine| {
            let said = run("tc", &format!("-n {machine} -s qdisc show dev shm0")).unwrap();
            let (_, count) = said.split_once("dropped ").unwrap();
            count.split(',').next().unwrap().trim().parse::<u64>().unwrap()
        });
        lost.sum()
    }

    /// Pulls a cable out: nobody is told.
    fn pull(&self, machine: usize) {
        run("ip", &format!("-n {} link set shm{machine} down", self.switch())).unwrap();
    }

    fn host(&self, name: &str, workers: u32, machine: usize) -> Host {
        Host::start_at(name, workers, 0, self.address(machine), Some(self.names[machine].clone()))
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = run("ip", &format!("netns del {name}"));
        }
    }
}

/// What a client tells: how many tasks were done, of how many it is not known, and how many that may run twice were done.
type Counted = (u64, u64, u64);

/// A client in a network of its own: gives tasks while hosts are killed, and counts what has become of them. Those that may run twice are
/// the later numbers.
#[task]
fn give(namespace: String, addresses: Vec<String>, tasks: u64, twice: u64) -> Counted {
    enter(&namespace);
    let config = Config::new().host("client");
    let config = addresses.iter().fold(config, |config, address| config.connect(address));
    let node = Node::open(&config).unwrap();
    let pool = RemotePool::connect(&node, "test").unwrap();
    wait_until("all have come", || pool.hosts().len() == addresses.len());
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let answers = pool.chunked(again, (tasks..tasks + twice).map(|n| (n, 2000)), 2);
            answers.into_iter().filter(|answer| answer.is_ok()).count() as u64
        });
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
        (done, gone, others.join().unwrap())
    })
}

/// Makes machines whose cables are bad; or says why there are none.
fn bad_cables(name: &str, machines: usize) -> Option<Rack> {
    match Rack::new(name, machines).and_then(|rack| Ok((rack.disturb()?, rack))) {
        Ok((how, rack)) => {
            println!("cables delay and lose by {how}");
            Some(rack)
        }
        Err(why) => {
            eprintln!("\n*** NOT TESTED: no network namespaces here: {why} ***\n");
            None
        }
    }
}

#[test]
fn hosts_with_networks_of_their_own_find_each_other_and_hear_of_deaths() {
    let Some(rack) = bad_cables("a", 2) else { return };
    let client = &rack.names[0];
    let mut host = rack.host("far", 2, 1);
    // All done, by a cable that loses packets.
    let args = (client.clone(), vec![rack.address(1)], 300, 0);
    assert_eq!(Process::spawn(give, args).unwrap().join_timeout(LIMIT).unwrap(), (300, 0, 0));
    assert!((0..300).all(|n| host.counts.of(n) == 1));
    // And with the gateway killed meanwhile.
    let args = (client.clone(), vec![rack.address(1)], 1000, 0);
    let mut client = Process::spawn(give, args).unwrap();
    wait_until("some have run twice over", || (0..300).any(|n| host.counts.of(n) == 2));
    thread::sleep(Duration::from_millis(20));
    host.kill();
    let (done, gone, _) = client.join_timeout(LIMIT).unwrap();
    assert!(done + gone == 1000 && gone > 0, "{done} done, {gone} not known");
    assert!((300..1000).all(|n| host.counts.of(n) <= 1));
    assert!((0..300).all(|n| host.counts.of(n) <= 2));
}

#[test]
fn of_four_hosts_behind_bad_cables_one_is_killed_and_one_unplugged_and_every_task_is_answered() {
    const TASKS: usize = 2000;
    const TWICE: usize = 1000;
    let Some(rack) = bad_cables("b", 5) else { return };
    let mut hosts: Vec<_> = (0..4).map(|n| rack.host(&format!("host-{n}"), 2, n)).collect();
    let addresses = (0..4).map(|n| rack.address(n)).collect();
    let args = (rack.names[4].clone(), addresses, TASKS as u64, TWICE as u64);
    let mut client = Process::spawn(give, args).unwrap();
    let of = |hosts: &[Host], n| hosts.iter().map(|host| host.counts.of(n)).sum::<u64>();
    wait_until("all hosts have run some", || hosts.iter().all(|host| host.counts.sum() >= 20));
    hosts[0].kill();
    // Nobody hears of this one before zenoh's lease is over.
    rack.pull(1);
    let (done, gone, twice) = client.join_timeout(2 * LIMIT).unwrap();
    let shares: Vec<_> = hosts.iter().map(|host| host.counts.sum()).collect();
    println!(
        "{done} of {TASKS} were done, of {gone} nobody knows; {twice} of {TWICE} that may run twice; runs {shares:?}; {} packets were lost",
        rack.lost()
    );
    assert!(done + gone == TASKS as u64 && gone > 0, "{done} done, {gone} not known");
    assert_eq!(twice, TWICE as u64);
    assert!((0..TASKS).all(|n| of(&hosts, n) <= 1), "none runs twice");
    assert!((TASKS..TASKS + TWICE).all(|n| of(&hosts, n) >= 1));
    assert!(shares[2] > shares[0] && shares[3] > shares[0], "those that live do the work");
    assert!(rack.lost() > 0, "the cables lose");
    const { assert!(TASKS + TWICE <= COUNTS) };
}
