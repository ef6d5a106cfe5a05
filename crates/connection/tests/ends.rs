//! Two ends in one process: halves, descriptors, patience.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use shmkit_connection::{Connection, ConnectionError};
use shmkit_roster::{Expected, PeerId, Process};
use shmkit_sync::Patience;
use shmkit_wait::wait;

const LONG: Duration = Duration::from_secs(60);

#[test]
fn pip_16_18_messages_stay_apart_and_in_order() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let messages = ["hello", "", "a", "b", "", "bye", "", "lop"];
    for message in messages {
        one.send_bytes(message.as_bytes()).unwrap();
    }
    for message in messages {
        assert!(other.try_poll().unwrap() && other.try_poll().unwrap());
        assert_eq!(other.recv_bytes().unwrap(), message.as_bytes());
    }
    assert!(!other.try_poll().unwrap());
}

#[test]
fn pip_08_what_is_longer_than_any_buffer_goes_through() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let message: Vec<u8> = (0..16 << 20).map(|n| (n / 3) as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            let received = other.recv_bytes().unwrap();
            other.send_bytes(&received).unwrap();
        });
        one.send_bytes(&message).unwrap();
        let mut back = vec![0; message.len()];
        assert_eq!(one.recv_bytes_into(&mut back).unwrap(), message.len());
        assert!(back == message);
    });
}

#[test]
fn pip_14_what_goes_out_of_scope_is_closed() {
    let (here, mut there) = Connection::pair().unwrap();
    drop(here);
    assert!(matches!(there.recv_bytes(), Err(ConnectionError::Closed)));
}

#[test]
fn pip_10_one_end_only_receives_and_the_other_only_sends() {
    let (mut recv, mut send) = Connection::simplex().unwrap();
    send.send_bytes(b"x").unwrap();
    assert_eq!(recv.recv_bytes().unwrap(), b"x");
    drop(send);
    assert!(matches!(recv.recv_bytes(), Err(ConnectionError::Closed)));
    let (recv, mut send) = Connection::simplex().unwrap();
    drop(recv);
    assert!(matches!(send.send_bytes(b"x"), Err(ConnectionError::Closed)));
}

#[test]
fn halves_are_used_by_two_threads_and_put_together_again() {
    let (one, mut other) = Connection::pair().unwrap();
    let (mut recv, mut send) = one.split();
    thread::scope(|scope| {
        scope.spawn(|| (0..100).for_each(|n| send.send_bytes(&[n]).unwrap()));
        scope.spawn(|| {
            for _ in 0..100 {
                let message = other.recv_bytes().unwrap();
                other.send_bytes(&message).unwrap();
            }
        });
        (0..100).for_each(|n| assert_eq!(recv.recv_bytes().unwrap(), [n]));
    });
    let (stranger, _) = Connection::pair().unwrap().0.split();
    let (stranger, send) = Connection::join(stranger, send).unwrap_err();
    drop(stranger);
    let mut one = Connection::join(recv, send).unwrap();
    other.send_bytes(b"whole").unwrap();
    assert_eq!(one.recv_bytes().unwrap(), b"whole");
}

#[test]
fn a_half_that_finishes_is_the_end_for_one_direction() {
    let (one, mut other) = Connection::pair().unwrap();
    let (mut recv, send) = one.split();
    send.finish().unwrap();
    assert!(matches!(other.recv_bytes(), Err(ConnectionError::Closed)));
    other.send_bytes(b"still").unwrap();
    assert_eq!(recv.recv_bytes().unwrap(), b"still");
}

#[test]
fn fdp_01_06_descriptors_go_with_a_message_and_may_be_closed_at_once() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    let file = tempfile::tempfile().unwrap();
    one.send_message(b"two", &[writer.as_fd(), file.as_fd()]).unwrap();
    one.send_bytes(b"none").unwrap();
    drop(writer);
    let message = other.recv_message().unwrap();
    assert_eq!((&*message.bytes, message.descriptors.len()), (&b"two"[..], 2));
    assert!(!message.is_lacking);
    let mut descriptors = message.descriptors.into_iter().map(File::from);
    descriptors.next().unwrap().write_all(b"foo").unwrap();
    let mut sent = descriptors.next().unwrap();
    sent.write_all(b"bar").unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "foo", "and then its end: nobody has kept the pipe");
    let mut file = file;
    file.rewind().unwrap();
    text.clear();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bar");
    assert!(other.recv_message().unwrap().descriptors.is_empty());
}

#[test]
fn descriptors_that_nobody_asks_for_are_closed() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let (mut reader, writer) = io::pipe().unwrap();
    one.send_message(b"x", &[writer.as_fd()]).unwrap();
    drop(writer);
    assert_eq!(other.recv_bytes().unwrap(), b"x");
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn descriptors_survive_a_receive_that_gave_up() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    one.send_message(&[1; 10], &[file.as_fd()]).unwrap();
    let error = other.recv_bytes_into(&mut [0; 4]).unwrap_err();
    assert!(matches!(error, ConnectionError::BufferTooShort { length: 10 }));
    assert!(matches!(other.recv_descriptor(), Err(ConnectionError::MidMessage)));
    assert_eq!(other.recv_message().unwrap().descriptors.len(), 1);
}

#[test]
fn as_many_descriptors_as_the_kernel_takes_go_and_no_more() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    one.send_message(b"x", &[file.as_fd(); 253]).unwrap();
    let message = other.recv_message().unwrap();
    assert_eq!((message.descriptors.len(), message.is_lacking), (253, false));
    let error = one.send_message(b"x", &[file.as_fd(); 254]).unwrap_err();
    assert!(matches!(error, ConnectionError::TooManyDescriptors { found: 254, most: 253 }));
}

#[test]
fn fdp_03_05_a_descriptor_comes_with_a_byte_or_is_missed() {
    let (mut one, mut other) = Connection::pair().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    one.send_descriptor(stream.as_fd()).unwrap();
    drop(stream);
    let received = other.recv_descriptor().unwrap();
    TcpStream::from(received).write_all(b"data").unwrap();
    let mut text = String::new();
    listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "data", "and then the end");

    let (bare, there) = UnixStream::pair().unwrap();
    (&bare).write_all(&[1]).unwrap();
    let error = Connection::from(there).recv_descriptor().unwrap_err();
    assert!(matches!(error, ConnectionError::NoDescriptor), "{error}");
}

#[test]
fn through_tcp_no_descriptor_travels() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut connection = Connection::try_from(OwnedFd::from(stream)).unwrap();
    let error = connection.send_message(b"x", &[listener.as_fd()]).unwrap_err();
    assert!(matches!(error, ConnectionError::CannotTravel));
    assert!(matches!(connection.recv_descriptor(), Err(ConnectionError::CannotTravel)));
}

#[test]
fn pip_25_what_is_no_stream_socket_is_refused() {
    assert!(Connection::try_from(OwnedFd::from(tempfile::tempfile().unwrap())).is_err());
    assert!(Connection::try_from(OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap())).is_err());
    assert!(Connection::try_from(OwnedFd::from(UnixStream::pair().unwrap().0)).is_ok());
}

#[test]
fn a_patience_ends_a_wait_by_its_hook_and_by_the_end_of_a_process() {
    let (mut one, _other) = Connection::pair().unwrap();
    let asked = std::cell::Cell::new(0);
    let hook = || {
        asked.set(asked.get() + 1);
        if asked.get() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let error = one.recv_bytes_deadline(Patience::ENDLESS.interruptible(&hook)).unwrap_err();
    assert!(matches!(error, ConnectionError::Interrupted));
    assert_eq!(io::Error::from(error).kind(), ErrorKind::ConnectionAborted);

    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let expected: [Expected; 1] = [Process::of_child(&mut child).unwrap().into()];
    let patience = Patience::from(LONG).while_all_alive(&expected);
    drop(child.stdin.take());
    let error = one.poll_deadline(patience).unwrap_err();
    let told = matches!(error, ConnectionError::PeerDied { peer: PeerId::Process(pid) } if pid == child.id());
    assert!(told, "{error}");
    child.wait().unwrap();
}

#[test]
fn wat_05_a_connection_is_waited_for_among_others() {
    let (mut one, other) = Connection::pair().unwrap();
    let (mut b, quiet) = Connection::pair().unwrap();
    assert_eq!(wait(&[&other, &quiet], Duration::ZERO).unwrap(), []);
    one.send_bytes(b"x").unwrap();
    assert_eq!(wait(&[&quiet, &other, &other], LONG).unwrap(), [1, 2], "given twice, ready twice");
    b.send_bytes(b"y").unwrap();
    assert_eq!(wait(&[&quiet, &other], LONG).unwrap(), [0, 1]);
    // One whose message was refused has something to tell, whatever is in its socket.
    let (mut quiet, mut other) = (quiet, other);
    quiet.set_max_len(0);
    assert!(matches!(quiet.recv_bytes(), Err(ConnectionError::TooLong { .. })));
    assert_eq!(other.recv_bytes().unwrap(), b"x");
    assert_eq!(wait(&[&quiet, &other], LONG).unwrap(), [0]);
}

#[test]
fn every_error_says_what_it_is() {
    let (one, other) = Connection::pair().unwrap();
    assert!(format!("{one:?} {:?}", other.split()).contains("socket"));
    let error = io::Error::from(ConnectionError::Closed);
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("closed"));
}
