//! Connections with another process at the other end, which is killed in the middle of things.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use shmkit::connection::{
    Address, Client, Connection, ConnectionError, HandshakeError, Key, Listener,
};
use shmkit::wait::{Ready, wait};
use shmkit::{Objects, Options};
use shmkit_roster::Process;
use shmkit_tests::connection::{SECRET, message, run};
use tempfile::TempDir;

use crate::support::{By, Peer, unique, wait_until};

const LONG: Duration = Duration::from_secs(60);

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    (folder, path)
}

/// A peer that plays `connection/<script>` at this path.
#[track_caller]
fn peer(by: By, script: &str, path: &Path, more: &[&str]) -> Peer {
    let mut args = vec![path.to_str().unwrap()];
    args.extend(more);
    match by {
        By::Exec => Peer::execute(&format!("connection/{script}"), &args, |_| ()),
        By::Fork => {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            Peer::fork(script, |channel| run(script, &args, channel))
        }
    }
}

/// The same, connected.
#[track_caller]
fn connected(by: By, script: &str, more: &[&str]) -> (Connection, Peer) {
    let (_folder, path) = place();
    let mut listener = Listener::bind(&*path).unwrap();
    let peer = peer(by, script, &path, more);
    let connection = listener.accept_timeout(LONG).unwrap();
    (connection, peer)
}

#[test]
fn pip_01_to_04_08_what_another_process_sends_back_is_what_it_got() {
    for by in By::ALL {
        let (connection, echo) = connected(by, "echo", &[]);
        let (mut recv, mut send) = connection.split();
        for len in [0, 1, 11, 16_384, 16_385, 16 << 20] {
            let message: Vec<u8> = (0..len).map(|n| (n * 31) as u8).collect();
            thread::scope(|scope| {
                scope.spawn(|| send.send_bytes(&message).unwrap());
                let back = recv.recv_bytes_timeout(LONG).unwrap();
                assert!(back == message, "{len} bytes");
            });
        }
        send.send_bytes(&[1, 2, 3, 4]).unwrap();
        let mut ten = [9; 10];
        assert_eq!(recv.recv_bytes_into_timeout(&mut ten[3..], LONG).unwrap(), 4);
        assert_eq!(ten, [9, 9, 9, 1, 2, 3, 4, 9, 9, 9]);
        drop((recv, send));
        echo.join();
    }
}

#[test]
fn fdp_01_02_05_descriptors_of_any_number_go_to_another_process_and_back() {
    for by in By::ALL {
        let (mut connection, echo) = connected(by, "echo", &[]);
        let file = tempfile::tempfile().unwrap();
        // A number that a bit mask of 256 has no place for.
        let high = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(300)).unwrap();
        // SAFETY: it was just made, and is nobody else's.
        let high: File = unsafe { std::os::fd::FromRawFd::from_raw_fd(high) };
        connection.send_message(b"two", &[file.as_fd(), high.as_fd()]).unwrap();
        let back = connection.recv_message_timeout(LONG).unwrap();
        assert_eq!((&*back.bytes, back.descriptors.len()), (&b"two"[..], 2));
        for descriptor in back.descriptors {
            assert_ne!(descriptor.as_raw_fd(), file.as_raw_fd());
            File::from(descriptor).write_all(b"foo").unwrap();
        }
        let mut text = String::new();
        io::Seek::rewind(&mut &file).unwrap();
        (&file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "foofoo");
        drop(connection);
        echo.join();
    }
}

#[test]
fn pip_22_a_kill_in_the_middle_of_a_frame_is_told_after_what_is_whole() {
    for by in By::ALL {
        for part in [0, 2, 4, 9] {
            let (mut connection, mut halting) = connected(by, "halt", &[&part.to_string()]);
            halting.expect("halted");
            assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"whole");
            assert!(matches!(connection.try_recv_bytes(), Err(ConnectionError::WouldBlock)));
            let process = Process::of_pid(connection.credentials().unwrap().pid).unwrap();
            assert_eq!(wait(&[&process, &connection], Duration::ZERO).unwrap(), [0; 0]);
            halting.kill();
            assert_eq!(wait(&[&process, &connection], LONG).unwrap(), [0, 1]);
            let error = connection.recv_bytes_timeout(LONG).unwrap_err();
            let expected = match part {
                0 => matches!(error, ConnectionError::Closed),
                2 => matches!(error, ConnectionError::CutShort { got: 2, length: None }),
                _ => {
                    matches!(error, ConnectionError::CutShort { got, length: Some(10) } if got == part - 4)
                }
            };
            assert!(expected, "{part}: {error}");
        }
    }
}

#[test]
fn a_sender_that_is_killed_at_any_time_has_sent_whole_messages_in_order() {
    for (round, by) in By::ALL.into_iter().cycle().take(20).enumerate() {
        let (mut connection, mut stream) = connected(by, "stream", &[]);
        stream.expect("streaming");
        let mut received = 0;
        let pid = stream.pid();
        thread::scope(|scope| {
            scope.spawn(move || {
                // Wherever it is by then.
                thread::sleep(Duration::from_micros(300 * round as u64));
                kill(pid, Signal::SIGKILL).unwrap();
            });
            let error = loop {
                match connection.recv_bytes_timeout(LONG) {
                    Ok(bytes) => assert!(bytes == message(received), "message {received}"),
                    Err(error) => break error,
                }
                received += 1;
            };
            let expected =
                matches!(error, ConnectionError::Closed | ConnectionError::CutShort { .. });
            assert!(expected, "after {received}: {error}");
        });
    }
}

#[test]
fn pip_23_a_receiver_that_is_killed_at_any_time_is_told_to_who_sends() {
    for (round, by) in By::ALL.into_iter().cycle().take(10).enumerate() {
        let (mut connection, mut swallow) = connected(by, "swallow", &[]);
        swallow.expect("swallowing");
        let pid = swallow.pid();
        thread::scope(|scope| {
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(300 * round as u64));
                kill(pid, Signal::SIGKILL).unwrap();
            });
            let deadline = Instant::now() + LONG;
            let error = loop {
                match connection.send_bytes_deadline(&message(77), deadline) {
                    Ok(()) => {}
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, ConnectionError::Closed | ConnectionError::Reset), "{error}");
        });
    }
}

#[test]
fn a_killed_listener_leaves_a_file_that_the_next_one_replaces() {
    for by in By::ALL {
        let (_folder, path) = place();
        let mut listening = peer(by, "listen", &path, &[]);
        listening.expect("listening");
        let client = Client::new().key(Key::new(SECRET));
        let mut connection = client.connect_timeout(&*path, LONG).unwrap();
        listening.expect("accepted");
        connection.send_bytes(b"x").unwrap();
        assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"x");
        listening.kill();
        assert!(matches!(connection.recv_bytes_timeout(LONG), Err(ConnectionError::Closed)));
        assert!(path.exists() && client.connect(&*path).is_err());
        let mut next = peer(by, "listen", &path, &[]);
        next.expect("listening");
        client.connect_timeout(&*path, LONG).unwrap();
        next.expect("accepted");
    }
}

#[test]
fn a_client_that_is_killed_at_its_handshake_is_refused_and_holds_up_nobody() {
    for by in By::ALL {
        let (_folder, path) = place();
        let mut listener = Listener::options().key(Key::new(SECRET)).bind(&*path).unwrap();
        let mut silent = peer(by, "dawdle", &path, &[]);
        silent.expect("silent");
        thread::scope(|scope| {
            let client = Client::new().key(Key::new(SECRET));
            let path = &*path;
            scope.spawn(move || client.connect_timeout(path, LONG).unwrap());
            listener.accept_timeout(LONG).unwrap();
        });
        assert!(listener.refusals().is_empty());
        silent.kill();
        wait_until(|| {
            let error = listener.try_accept().unwrap_err();
            assert!(matches!(error, ConnectionError::WouldBlock), "{error}");
            match &listener.refusals()[..] {
                [] => false,
                [HandshakeError::Connection(ConnectionError::Closed | ConnectionError::Reset)] => {
                    true
                }
                refusals => panic!("{refusals:?}"),
            }
        });
    }
}

#[test]
fn a_forked_child_accepts_beside_its_parent_and_leaves_the_file() {
    let (_folder, path) = place();
    let mut listener = Listener::options().key(Key::new(SECRET)).bind(&*path).unwrap();
    // One is at its handshake: it stays the parent's.
    let mut silent = peer(By::Exec, "dawdle", &path, &[]);
    silent.expect("silent");
    assert!(listener.accept_timeout(Duration::from_millis(20)).unwrap_err().is_timeout());
    let inherited = std::cell::Cell::new(Some(listener));
    let mut child = Peer::fork("accepts", |channel| {
        let mut listener = inherited.take().unwrap();
        channel.say("ready");
        let mut connection = listener.accept_timeout(LONG).unwrap();
        connection.send_bytes(b"from the child").unwrap();
        drop(listener);
        channel.say("done");
    });
    child.expect("ready");
    let client = Client::new().key(Key::new(SECRET));
    let mut connection = client.connect_timeout(&*path, LONG).unwrap();
    assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"from the child");
    child.expect("done");
    child.join();
    assert!(path.exists());
    let mut listener = inherited.take().unwrap();
    silent.kill();
    wait_until(|| listener.try_accept().is_err() && !listener.refusals().is_empty());
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn lsn_09_a_signal_does_not_end_an_accept() {
    let mut child = Peer::fork("accepts", |channel| {
        extern "C" fn nothing(_: i32) {}
        let handler = nix::sys::signal::SigHandler::Handler(nothing);
        // SAFETY: the handler does nothing.
        unsafe { nix::sys::signal::signal(Signal::SIGUSR1, handler) }.unwrap();
        let mut listener = Listener::bind(Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        channel.say(&listener.address().to_string());
        let mut connection = listener.accept_timeout(LONG).unwrap();
        connection.send_bytes(b"welcome").unwrap();
    });
    let address: std::net::SocketAddr = child.hear().parse().unwrap();
    for _ in 0..10 {
        child.wait_until_in(nix::libc::SYS_ppoll);
        child.signal(Signal::SIGUSR1);
    }
    let mut connection = Client::new().connect_timeout(address, LONG).unwrap();
    assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"welcome");
    child.join();
}

/// PIP-17: who only polls takes nothing away from who reads.
#[test]
fn pip_17_a_process_that_polls_takes_nothing() {
    let (mut one, other) = Connection::pair().unwrap();
    let inherited = std::cell::Cell::new(Some(other));
    let mut poller = Peer::fork("polls", |channel| {
        let mut other = inherited.take().unwrap();
        channel.say("polling");
        assert!(other.poll_timeout(LONG).unwrap());
        channel.say("polled");
        channel.hear();
    });
    poller.expect("polling");
    one.send_bytes(b"first").unwrap();
    one.send_bytes(b"second").unwrap();
    poller.expect("polled");
    let mut other = inherited.take().unwrap();
    assert_eq!(other.recv_bytes_timeout(LONG).unwrap(), b"first");
    assert_eq!(other.recv_bytes_timeout(LONG).unwrap(), b"second");
    poller.say("end");
    poller.join();
}

/// PIP-29: a tree of processes that write to one end.
#[test]
fn pip_29_a_tree_of_processes_writes_to_one_connection() {
    fn visit(at: &mut Vec<u8>, end: &mut Connection) {
        end.send_bytes(at).unwrap();
        if at.len() == 2 {
            return;
        }
        for child in 0..2 {
            at.push(child);
            let (at, end) = (std::cell::RefCell::new(&mut *at), std::cell::RefCell::new(&mut *end));
            Peer::fork("visits", |_| visit(&mut at.borrow_mut(), &mut end.borrow_mut())).join();
            at.into_inner().pop();
        }
    }
    let (mut one, mut other) = Connection::pair().unwrap();
    visit(&mut Vec::new(), &mut one);
    let expected: [&[u8]; 7] = [&[], &[0], &[0, 0], &[0, 1], &[1], &[1, 0], &[1, 1]];
    for path in expected {
        assert_eq!(other.recv_bytes_timeout(LONG).unwrap(), path);
    }
}

/// WAT-05, WAT-06, WAT-10: descriptors, words and the end of a process, each of them alone and all together.
#[test]
fn wat_06_all_that_is_ready_is_told_whatever_it_is() {
    let segment = Options::new(1 << 16).anonymous().unwrap();
    let event = segment.event("event").unwrap();
    let queue = segment.queue::<u64>("queue", 4).unwrap();
    let listener = Listener::bind(Address::abstract_name(unique("all"))).unwrap();
    let (mut one, other) = Connection::pair().unwrap();
    let (mut bare, socket) = UnixStream::pair().unwrap();
    let mut peer = Peer::execute("channel/echo", &["up"], |_| ());
    peer.expect("up");
    let process = Process::of_pid(peer.pid().as_raw() as u32).unwrap();
    let things: [&dyn Ready; 7] = [&process, &event, &queue, &listener, &other, &socket, &other];
    assert_eq!(wait(&things, Duration::ZERO).unwrap(), [0; 0]);
    one.send_bytes(b"x").unwrap();
    assert_eq!(wait(&things, LONG).unwrap(), [4, 6], "given twice, told twice");
    queue.put(7).unwrap();
    assert_eq!(wait(&things, LONG).unwrap(), [2, 4, 6]);
    peer.kill();
    assert_eq!(wait(&things[..1], LONG).unwrap(), [0]);
    event.set().unwrap();
    bare.write_all(b"x").unwrap();
    let _client = Client::new().connect(listener.address()).unwrap();
    assert_eq!(wait(&things, LONG).unwrap(), [0, 1, 2, 3, 4, 5, 6]);
    assert!(matches!(wait(&[], Duration::ZERO), Err(shmkit::wait::WaitError::Nothing)));
}

/// WAT-03: bare sockets, of several processes, each stream complete and in order.
#[test]
fn wat_03_several_streams_are_waited_for_at_once() {
    let (_folder, path) = place();
    let mut listener = Listener::bind(&*path).unwrap();
    let mut streams = Vec::new();
    for by in By::ALL.into_iter().cycle().take(4) {
        let mut stream = peer(by, "stream", &path, &[]);
        let connection = listener.accept_timeout(LONG).unwrap();
        stream.expect("streaming");
        streams.push((connection, stream, 0));
    }
    while streams.iter().any(|(_, _, received)| *received < 100) {
        let things: Vec<&dyn Ready> =
            streams.iter().map(|(connection, ..)| connection as _).collect();
        for at in wait(&things, LONG).unwrap() {
            let (connection, _, received) = &mut streams[at];
            match connection.try_recv_bytes() {
                Ok(bytes) => {
                    assert!(bytes == message(*received), "message {received} of {at}");
                    *received += 1;
                }
                Err(ConnectionError::WouldBlock) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}
