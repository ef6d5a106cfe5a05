//! Clients that are slow, silent, or say what makes no sense.

#![expect(missing_docs, reason = "what a manager serves is public, and nobody reads this")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_connection::{Connection, Listener};
use shmkit_manager::{Address, CallError, Manager, Ran, Remote, manager};

shmkit_process::early!();

const LONG: Duration = Duration::from_secs(20);

struct Hall {
    meeting: Barrier,
    inside: u32,
}

#[manager(crate = shmkit_manager)]
impl Hall {
    pub fn new(parties: usize) -> Self {
        Self { meeting: Barrier::new(parties), inside: 0 }
    }

    pub fn meet(&self) {
        self.meeting.wait();
    }

    pub fn alone(&mut self) -> u32 {
        self.inside += 1;
        thread::sleep(Duration::from_millis(2));
        let found = self.inside;
        self.inside -= 1;
        found
    }

    pub fn bytes(&self, len: usize) -> Vec<u8> {
        vec![7; len]
    }
}

#[test]
fn calls_that_look_run_together_and_calls_that_change_alone() {
    let manager = Manager::start().unwrap();
    let hall = HallProxy::new(&manager, 4).unwrap();
    thread::scope(|scope| {
        // Each waits for all others, in the manager.
        let met: Vec<_> = (0..4).map(|_| scope.spawn(|| hall.limited(LONG).meet())).collect();
        met.into_iter().for_each(|call| call.join().unwrap().unwrap());
        let alone: Vec<_> = (0..4).map(|_| scope.spawn(|| hall.alone())).collect();
        alone.into_iter().for_each(|call| assert_eq!(call.join().unwrap().unwrap(), 1));
    });
}

fn raw(manager: &Manager) -> UnixStream {
    let Address::Abstract(name) = manager.address() else { panic!("it is the usual one") };
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// A frame of these bytes.
fn frame(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn hello() -> Vec<u8> {
    frame(&[b"shmm".as_slice(), &[1], &[9; 16], &[0]].concat())
}

/// The memory that a process has, in KiB.
fn memory(manager: &Manager) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", manager.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Receives a frame; `None` at the end.
fn receive(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

#[test]
fn the_silent_and_the_slow_keep_nobody_waiting() {
    let manager = Manager::start().unwrap();
    let hall = HallProxy::new(&manager, 1).unwrap();
    let mut silent: Vec<_> = (0..20).map(|_| raw(&manager)).collect();
    let mut slow = raw(&manager);
    slow.write_all(&hello()).unwrap();
    receive(&mut slow).unwrap();
    slow.write_all(&[0, 0, 1]).unwrap(); // a part of a length
    // One that asks for much, and does not read it.
    let mut greedy = raw(&manager);
    greedy.write_all(&hello()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| hall.bytes(8 << 20).unwrap().len());
        let start = Instant::now();
        for n in 0..100 {
            assert_eq!(hall.bytes(n).unwrap().len(), n);
        }
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(waiting.join().unwrap(), 8 << 20);
    });
    // Who says nothing for five seconds is let go.
    assert_eq!(silent[0].read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn what_makes_no_sense_is_refused_in_words_and_costs_nothing() {
    let manager = Manager::start().unwrap();
    let counter = manager.counter(1).unwrap();
    let before = memory(&manager);
    // No hello, or one of another version, or of another manager.
    for (said, answer) in [
        (frame(b"GET / HTTP/1.1"), 4),
        (frame(&[]), 4),
        (frame(&[b"shmm".as_slice(), &[2], &[9; 16], &[0]].concat()), 2),
        (frame(&[b"shmm".as_slice(), &[1], &[9; 16], &[1, 7]].concat()), 3),
    ] {
        let mut stream = raw(&manager);
        stream.write_all(&said).unwrap();
        assert_eq!(receive(&mut stream).unwrap()[0], answer, "{said:?}");
        assert_eq!(receive(&mut stream), None);
    }
    // Lengths that are only said.
    for length in [i32::MIN as u32, i32::MAX as u32, 1 << 30, 300] {
        let mut stream = raw(&manager);
        // In one piece: it hangs up as soon as it has read the length.
        stream.write_all(&[length.to_be_bytes().as_slice(), &[0; 8]].concat()).unwrap();
        assert_eq!(receive(&mut stream), None);
    }
    let mut stream = raw(&manager);
    stream.write_all(&hello()).unwrap();
    assert_eq!(receive(&mut stream).unwrap()[0], 0);
    let mut ask = |bytes: &[u8]| {
        stream.write_all(&frame(bytes)).unwrap();
        receive(&mut stream).unwrap()
    };
    let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(ask(&[99])[0], 8, "a question that is none");
    assert_eq!(ask(&[])[0], 8);
    assert_eq!(ask(&[0, 1, 1])[0], 5, "no such method");
    assert_eq!(ask(&[0, 77, 1])[0], 6, "no such object");
    assert_eq!(ask(&[1, 5, 5])[0], 5, "no such type");
    assert_eq!(ask(&[2, 77])[0], 6, "no such object to hold");
    assert_eq!(ask(&[[3].as_slice(), &long].concat())[0], 8, "a list whose length is only said");
    assert_eq!(
        ask(&[[5].as_slice(), &long, b"name"].concat())[0],
        8,
        "a text whose length is only said"
    );
    // What it does not have it can release as often as it likes, and hold what it has for ever.
    for _ in 0..1000 {
        stream.write_all(&frame(&[3, 3, 1, 1, 77])).unwrap();
        stream.write_all(&frame(&[2, 1])).unwrap();
        assert_eq!(receive(&mut stream).unwrap()[0], 1);
    }
    for _ in 0..1000 {
        stream.write_all(&frame(&[4, 1])).unwrap();
        assert_eq!(receive(&mut stream).unwrap()[0], 3);
    }
    assert_eq!(counter.add(1).unwrap(), 2, "all goes on");
    let grown = memory(&manager).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB for nothing");
    drop(stream);
    drop(counter);
}

#[test]
fn a_manager_has_as_many_threads_as_it_may_and_says_so() {
    let manager = Manager::builder().connections(3).start().unwrap();
    let counter = manager.counter(0).unwrap();
    let mut two: Vec<_> = (0..2).map(|_| raw(&manager)).collect();
    for stream in &mut two {
        stream.write_all(&hello()).unwrap();
        receive(stream).unwrap();
    }
    let mut more = raw(&manager);
    assert_eq!(receive(&mut more).unwrap(), [1, 3], "busy, and how many are the most");
    assert_eq!(receive(&mut more), None);
    let threads = fs::read_dir(format!("/proc/{}/task", manager.pid().unwrap())).unwrap().count();
    assert!(threads <= 3 + 2, "{threads}");
    assert_eq!(counter.add(1).unwrap(), 1, "who is in is served");
    let other = UnixStream::pair().unwrap();
    drop((two, other));
    let start = Instant::now();
    let hall = loop {
        match Manager::connect(manager.address(), None)
            .and_then(|manager| HallProxy::new(&manager, 1))
        {
            Ok(hall) => break hall,
            Err(error) => assert!(
                matches!(error, CallError::Busy { .. }) && start.elapsed() < LONG,
                "{error}"
            ),
        }
    };
    hall.meet().unwrap();
}

#[test]
fn an_answer_that_is_too_long_says_so_and_a_call_that_is_as_well() {
    let manager = Manager::builder().max_len(1 << 16).start().unwrap();
    let hall = HallProxy::new(&manager, 1).unwrap();
    let error = hall.bytes(1 << 17).unwrap_err();
    assert!(
        matches!(&error, CallError::Decode { why, .. } if why.contains("longer than the manager sends")),
        "{error}"
    );
    let list = manager.list::<Vec<u8>>([]).unwrap();
    let error = list.push(vec![0; 1 << 17]).unwrap_err();
    assert!(matches!(error, CallError::TooLong { most: 65536, .. }), "{error}");
    list.push(vec![0; 1 << 15]).unwrap();
    assert_eq!(hall.bytes(1 << 15).unwrap().len(), 1 << 15);
}

/// Something that welcomes who comes, and ends the connection in the middle of its answer.
fn cut_off(answer: &'static [u8]) -> (Manager, thread::JoinHandle<()>) {
    let name = format!("shmkit-test-{}-{}", std::process::id(), answer.len());
    let mut listener = Listener::bind(Address::abstract_name(name.as_str())).unwrap();
    let there = thread::spawn(move || {
        let mut connection: Connection = listener.accept().unwrap();
        connection.recv_bytes().unwrap();
        connection.send_bytes(&[0, 7, 0x80, 0x80, 0x04]).unwrap();
        connection.recv_bytes().unwrap();
        let mut stream = UnixStream::from(connection.into_fd().unwrap());
        stream.write_all(answer).unwrap();
    });
    (Manager::connect(Address::abstract_name(name.as_str()), None).unwrap(), there)
}

#[test]
fn an_answer_that_was_cut_off_says_so() {
    for (answer, ran) in [(&[][..], Ran::Maybe), (&[0, 0, 0, 9, 1], Ran::Yes)] {
        let (manager, there) = cut_off(answer);
        let error = manager.counter(1).unwrap_err();
        there.join().unwrap();
        assert!(matches!(error, CallError::Disconnected { ran: found } if found == ran), "{error}");
        assert!(manager.counter(1).unwrap_err().is_gone());
    }
}

#[test]
fn over_tcp_nobody_is_let_in_without_the_key() {
    let address = Address::Tcp(([127, 0, 0, 1], 0).into());
    let manager = Manager::builder().address(address).start().unwrap();
    assert_eq!(manager.key().unwrap().bytes().len(), 32);
    let &Address::Tcp(address) = manager.address() else { panic!("it was asked for") };
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(&hello()).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert!(!said.windows(2).any(|two| two == [0, 7]), "no welcome");
    let counter = manager.counter(3).unwrap();
    assert_eq!(counter.get().unwrap(), 3);
}
