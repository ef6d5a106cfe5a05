//! Waiting for several things in one process; with others, see the workspace's `tests/ipc`.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::ptr::NonNull;
use std::thread::scope;
use std::time::{Duration, Instant};

use memmap2::{MmapMut, MmapRaw};
use shmkit_layout::{Object, Region};
use shmkit_roster::Process;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::Event;
use shmkit_wait::{Pollable, Ready, WaitError, wait};

/// Longer than any machine takes.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

/// As many events as are asked for, and a judge for them.
fn events(count: usize) -> Vec<Event<&'static ModelJudge>> {
    let map = Box::leak(Box::new(MmapRaw::from(MmapMut::map_anon(count * 128).unwrap())));
    let base = NonNull::new(map.as_mut_ptr()).unwrap();
    // SAFETY: mapped for ever, and nobody else refers to its bytes.
    let region = unsafe { Region::from_raw_parts(base, map.len()) };
    let judge = &Box::leak(Box::new(ModelJudge::new(2)))[0];
    (0..count as u64)
        // SAFETY: the bytes are zero, and nobody else has seen them yet.
        .map(|i| unsafe { Event::init(region.sub(i * 128, 128).unwrap(), (), judge) }.unwrap())
        .collect()
}

/// Lets somebody sleep for these first.
fn when_asleep<K: shmkit_roster::Judge>(event: &Event<K>, work: impl FnOnce()) {
    let began = Instant::now();
    while !format!("{event:?}").contains("waiters: true") {
        assert!(began.elapsed() < LONG, "nobody has come to sleep");
        std::thread::yield_now();
    }
    work();
}

#[test]
fn wat_10_nothing_to_wait_for_is_an_error() {
    // WAT-10: CPython waits for ever.
    assert!(matches!(wait(&[], None), Err(WaitError::Nothing)));
    assert!(matches!(wait(&[], SHORT), Err(WaitError::Nothing)));
}

#[test]
fn wat_08_a_wait_of_no_time_only_looks() {
    // WAT-08
    let events = events(2);
    let [a, b] = [&events[0], &events[1]];
    assert_eq!(wait(&[a, b], Duration::ZERO).unwrap(), []);
    b.set().unwrap();
    assert_eq!(wait(&[a, b], Duration::ZERO).unwrap(), [1]);
}

#[test]
fn a_wait_ends_at_its_limit_and_not_before() {
    let events = events(1);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let lists: [&[&dyn Ready]; 3] = [&[&events[0]], &[&ours], &[&events[0], &ours]];
    for list in lists {
        let began = Instant::now();
        assert_eq!(wait(list, SHORT).unwrap(), []);
        assert!(began.elapsed() >= SHORT);
    }
}

#[test]
fn all_that_are_ready_are_told_and_one_that_is_given_twice_twice() {
    let events = events(3);
    let [a, b, c] = [&events[0], &events[1], &events[2]];
    a.set().unwrap();
    c.set().unwrap();
    assert_eq!(wait(&[a, b, c, a, b], LONG).unwrap(), [0, 2, 3]);
}

#[test]
fn an_event_that_is_set_ends_a_wait_for_several() {
    let events = events(3);
    scope(|scope| {
        let waits = scope.spawn(|| wait(&[&events[0], &events[1], &events[2]], LONG).unwrap());
        when_asleep(&events[2], || events[1].set().unwrap());
        assert_eq!(waits.join().unwrap(), [1]);
    });
}

#[test]
fn a_socket_ends_a_wait_beside_an_event_and_an_event_one_beside_a_socket() {
    let events = events(1);
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    for round in 0..20 {
        scope(|scope| {
            let waits = scope.spawn(|| wait(&[&events[0], &theirs], LONG).unwrap());
            when_asleep(&events[0], || match round % 2 {
                0 => ours.write_all(&[7]).unwrap(),
                _ => events[0].set().unwrap(),
            });
            assert_eq!(waits.join().unwrap(), [(round + 1) % 2]);
        });
        match round % 2 {
            0 => theirs.read_exact(&mut [0]).unwrap(),
            // It takes the mark away, too.
            _ => events[0].clear().unwrap(),
        }
        if round % 2 == 0 {
            events[0].set().unwrap();
            events[0].clear().unwrap();
        }
    }
}

#[test]
fn more_words_are_waited_for_than_the_kernel_takes_at_once() {
    let events = events(300);
    let wait_all = || {
        let all: Vec<&dyn Ready> = events.iter().map(|event| event as &dyn Ready).collect();
        wait(&all, LONG).unwrap()
    };
    for which in [0, 127, 128, 255, 299] {
        scope(|scope| {
            let waits = scope.spawn(wait_all);
            when_asleep(&events[299], || events[which].set().unwrap());
            assert_eq!(waits.join().unwrap(), [which]);
        });
        events.iter().for_each(|event| {
            event.set().unwrap();
            event.clear().unwrap();
        });
    }
}

#[test]
fn the_end_of_a_process_ends_a_wait() {
    // WAT-06
    let events = events(1);
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let process = Process::of_child(&mut child).unwrap();
    assert_eq!(wait(&[&events[0], &process], SHORT).unwrap(), []);
    scope(|scope| {
        let waits = scope.spawn(|| wait(&[&events[0], &process], LONG).unwrap());
        when_asleep(&events[0], || child.kill().unwrap());
        assert_eq!(waits.join().unwrap(), [1]);
    });
    child.wait().unwrap();
    assert_eq!(wait(&[&process], None).unwrap(), [0], "and it stays so");
}

#[test]
fn the_end_of_the_other_side_is_ready() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    assert_eq!(wait(&[&theirs], LONG).unwrap(), [0]);
}

#[test]
fn tcp_streams_arrive_complete_and_in_order() {
    // WAT-03
    const EACH: u32 = 200;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                for n in 0..EACH {
                    stream.write_all(&n.to_be_bytes()).unwrap();
                }
            });
        }
        let mut streams: Vec<_> =
            (0..4).map(|_| (listener.accept().unwrap().0, Vec::new())).collect();
        let mut open: Vec<usize> = (0..4).collect();
        while !open.is_empty() {
            let things: Vec<&dyn Ready> =
                open.iter().map(|&i| &streams[i].0 as &dyn Ready).collect();
            let ready = wait(&things, LONG).unwrap();
            assert!(!ready.is_empty());
            let ready: Vec<usize> = ready.into_iter().map(|place| open[place]).collect();
            for i in ready {
                let mut bytes = [0; 100];
                let (stream, got) = &mut streams[i];
                match stream.read(&mut bytes).unwrap() {
                    0 => open.retain(|other| *other != i),
                    n => got.extend_from_slice(&bytes[..n]),
                }
            }
        }
        let all: Vec<u8> = (0..EACH).flat_map(u32::to_be_bytes).collect();
        assert!(streams.iter().all(|(_, got)| *got == all));
    });
}

#[test]
fn a_pollable_tells_once_and_is_armed_again() {
    let events = events(1);
    let mut pollable = Pollable::new().unwrap();
    for _ in 0..20 {
        assert!(!pollable.arm(&events[0]).unwrap());
        scope(|scope| {
            scope.spawn(|| events[0].set().unwrap());
            let began = Instant::now();
            while !pollable.arm(&events[0]).unwrap() {
                assert_eq!(wait(&[&pollable], LONG).unwrap(), [0]);
                assert!(began.elapsed() < LONG);
            }
        });
        assert_eq!(wait(&[&pollable], Duration::ZERO).unwrap(), [], "not armed: it tells nothing");
        events[0].clear().unwrap();
    }
}

#[test]
fn a_pollable_tells_for_nothing_now_and_then() {
    // Who would have rung may have been killed before: nobody sleeps for ever.
    let events = events(1);
    let mut pollable = Pollable::new().unwrap();
    for _ in 0..3 {
        assert!(!pollable.arm(&events[0]).unwrap());
        assert_eq!(wait(&[&pollable], LONG).unwrap(), [0]);
    }
}

#[test]
fn many_pollables_share_few_threads() {
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let events = events(400);
    let before = threads();
    let mut all: Vec<_> = events.iter().map(|_| Pollable::new().unwrap()).collect();
    for (pollable, event) in all.iter_mut().zip(&events) {
        assert!(!pollable.arm(event).unwrap());
    }
    // Other tests of this program have threads of their own.
    assert!(threads() < before + 40, "{before} before, {} now", threads());
    events[399].set().unwrap();
    assert_eq!(wait(&[&all[399]], LONG).unwrap(), [0]);
    drop(all);
}

#[test]
fn what_has_a_descriptor_needs_no_other() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let refused = Pollable::new().unwrap().arm(&ours.as_fd()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_descriptor_that_is_closed_is_no_wait_for_ever() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&ours);
    drop(ours);
    // SAFETY: not open, which is what is tested; it is used by a poll alone. (If another test has got the number meanwhile,
    // it may be one that is not ready: the limit ends it.)
    let closed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    let _ = wait(&[&closed], SHORT);
}
