//! Frames on the wire, one end being a bare socket.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use shmkit_connection::{Connection, ConnectionError};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

/// A connection, and the bare other end of its socket.
fn bare() -> (Connection, UnixStream) {
    let (here, there) = UnixStream::pair().unwrap();
    (here.into(), there)
}

/// The same over TCP.
fn tcp() -> (Connection, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0.into(), there)
}

#[test]
fn pip_19_frames_are_python_s() {
    // As Python 3.13 writes them.
    let all: Vec<u8> = (0..=255).collect();
    let golden: [(&[u8], &[u8]); 3] = [
        (b"", &[0, 0, 0, 0]),
        (b"hello", b"\0\0\0\x05hello"),
        (&all, &[&[0, 0, 1, 0], &*all].concat()),
    ];
    let (mut connection, mut bare) = bare();
    for (message, wire) in golden {
        connection.send_bytes(message).unwrap();
        let mut sent = vec![0; wire.len()];
        bare.read_exact(&mut sent).unwrap();
        assert_eq!(sent, wire);
        bare.write_all(wire).unwrap();
        assert_eq!(connection.recv_bytes().unwrap(), message);
    }
    assert!(matches!(connection.try_recv_bytes(), Err(ConnectionError::WouldBlock)));
}

#[test]
fn pip_20_the_long_form_of_a_length_is_read_as_well() {
    let (mut connection, mut bare) = bare();
    bare.write_all(b"\xFF\xFF\xFF\xFF\0\0\0\0\0\0\0\x05hello").unwrap();
    assert_eq!(connection.recv_bytes().unwrap(), b"hello");
}

#[test]
fn pip_26_a_negative_length_is_refused_for_good() {
    let (mut connection, mut bare) = bare();
    bare.write_all(b"\xFF\xFF\xFF\xFEhello\0\0\0\0").unwrap();
    for _ in 0..2 {
        let error = connection.recv_bytes().unwrap_err();
        assert!(matches!(error, ConnectionError::Malformed { length: -2 }), "{error}");
    }
}

#[test]
fn a_message_that_comes_byte_by_byte_is_one() {
    for at_once in [true, false] {
        let (mut connection, mut bare) = bare();
        let wire = b"\0\0\0\x05hello";
        for &byte in &wire[..wire.len() - 1] {
            bare.write_all(&[byte]).unwrap();
            assert!(connection.try_poll().unwrap());
            let mut to = [0; 5];
            let error = match at_once {
                true => connection.try_recv_bytes().unwrap_err(),
                false => connection.try_recv_bytes_into(&mut to).unwrap_err(),
            };
            assert!(matches!(error, ConnectionError::WouldBlock), "{error}");
            assert!(!connection.try_poll().unwrap());
        }
        bare.write_all(b"o").unwrap();
        assert_eq!(connection.try_recv_bytes().unwrap(), b"hello");
    }
}

#[test]
fn a_part_that_was_received_in_one_way_is_gone_on_with_in_the_other() {
    let (mut connection, mut bare) = bare();
    bare.write_all(b"\0\0\0\x05he").unwrap();
    assert!(connection.try_recv_bytes().is_err());
    bare.write_all(b"l").unwrap();
    let mut to = [7; 6];
    assert!(connection.try_recv_bytes_into(&mut to).is_err());
    bare.write_all(b"lo").unwrap();
    assert_eq!(connection.recv_bytes_into(&mut to).unwrap(), 5);
    assert_eq!(&to, b"hello\x07");
}

#[test]
fn pip_05_a_message_that_a_buffer_is_too_short_for_is_not_lost() {
    let (mut connection, mut bare) = bare();
    bare.write_all(&[&110_u32.to_be_bytes()[..], &[9; 110], b"\0\0\0\x01x"].concat()).unwrap();
    let mut short = [0; 40];
    for _ in 0..2 {
        let error = connection.recv_bytes_into(&mut short).unwrap_err();
        assert!(matches!(error, ConnectionError::BufferTooShort { length: 110 }), "{error}");
    }
    assert_eq!(connection.recv_bytes().unwrap(), [9; 110]);
    assert_eq!(connection.recv_bytes().unwrap(), b"x");
}

#[test]
fn pip_21_a_length_beyond_the_cap_takes_no_memory_and_the_stream_stays_in_step() {
    let (mut connection, mut bare) = bare();
    assert_eq!(connection.max_len(), 16 << 20);
    connection.set_max_len(4);
    bare.write_all(b"\0\0\0\x0A0123456789\0\0\0\x01x").unwrap();
    for _ in 0..2 {
        let error = connection.recv_bytes().unwrap_err();
        assert!(matches!(error, ConnectionError::TooLong { length: 10, most: 4 }), "{error}");
        assert!(connection.try_poll().unwrap());
    }
    connection.send_bytes(b"sending goes on").unwrap();
    connection.set_max_len(10);
    assert_eq!(connection.recv_bytes().unwrap(), b"0123456789");
    assert_eq!(connection.recv_bytes().unwrap(), b"x");
    // A length that nobody has memory for.
    bare.write_all(&[&[0xFF; 4][..], &u64::MAX.to_be_bytes()].concat()).unwrap();
    connection.set_max_len(usize::MAX - 1);
    let error = connection.recv_bytes().unwrap_err();
    assert!(matches!(error, ConnectionError::TooLong { length: u64::MAX, .. }), "{error}");
    let mut to = [0; 8];
    let error = connection.recv_bytes_into(&mut to).unwrap_err();
    assert!(matches!(error, ConnectionError::BufferTooShort { length: u64::MAX }), "{error}");
}

#[test]
fn a_length_that_is_only_said_takes_no_memory() {
    let (mut connection, mut bare) = bare();
    // More than any machine can map: who takes memory for it fails at once.
    connection.set_max_len(1 << 62);
    bare.write_all(&[&[0xFF; 4][..], &(1_u64 << 62).to_be_bytes(), b"a few bytes"].concat())
        .unwrap();
    let error = connection.recv_bytes_timeout(SHORT).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    drop(bare);
    let error = connection.recv_bytes().unwrap_err();
    let told = matches!(error, ConnectionError::CutShort { got: 11, length: Some(length) } if length == 1 << 62);
    assert!(told, "{error}");
}

#[test]
fn pip_09_15_24_an_end_is_no_empty_message() {
    let (mut connection, mut bare) = bare();
    bare.write_all(b"\0\0\0\0\0\0\0\0").unwrap();
    for _ in 0..3 {
        assert!(connection.try_poll().unwrap());
    }
    assert_eq!(connection.recv_bytes().unwrap(), b"");
    assert_eq!(connection.recv_bytes_into(&mut []).unwrap(), 0);
    assert!(!connection.try_poll().unwrap());
    drop(bare);
    for _ in 0..2 {
        assert!(connection.poll().unwrap());
        assert!(matches!(connection.recv_bytes(), Err(ConnectionError::Closed)));
        assert!(matches!(connection.recv_bytes_into(&mut []), Err(ConnectionError::Closed)));
    }
}

#[test]
fn pip_22_an_end_in_the_middle_is_told_each_time() {
    let cases: [(&[u8], usize, Option<usize>); 3] =
        [(b"\0\0", 2, None), (b"\0\0\0\x05", 0, Some(5)), (b"\0\0\0\x05hell", 4, Some(5))];
    for (wire, got, length) in cases {
        let (mut connection, mut bare) = bare();
        bare.write_all(wire).unwrap();
        drop(bare);
        for _ in 0..2 {
            let error = connection.recv_bytes().unwrap_err();
            let ConnectionError::CutShort { got: found, length: said } = error else {
                panic!("{error}")
            };
            assert_eq!((found, said), (got, length));
        }
        let mut to = [0; 8];
        assert!(matches!(
            connection.recv_bytes_into(&mut to),
            Err(ConnectionError::CutShort { .. })
        ));
    }
}

#[test]
fn pip_23_what_nobody_will_read_is_an_error_and_no_signal() {
    let (mut connection, unix) = bare();
    drop(unix);
    assert!(matches!(connection.send_bytes(b"x"), Err(ConnectionError::Closed)));
    let (mut connection, peer) = tcp();
    drop(peer);
    // TCP hears of it by the answer to the first one.
    let deadline = Instant::now() + LONG;
    while connection.send_bytes(b"x").is_ok() {
        assert!(Instant::now() < deadline);
    }
    assert!(matches!(connection.send_bytes(b"x"), Err(ConnectionError::Closed)));
}

#[test]
fn who_gives_up_in_the_middle_of_sending_goes_on_later() {
    for (mut connection, there) in [pair_of(bare()), pair_of(tcp())] {
        let mut there = there;
        let message: Vec<u8> = (0..8 << 20).map(|n| (n * 7) as u8).collect();
        let ConnectionError::Unfinished { left } = connection.try_send_bytes(&message).unwrap_err()
        else {
            panic!("8 MiB fit")
        };
        assert!(0 < left && left < message.len());
        // Nothing of the next one goes ahead of the rest.
        let error = connection.send_bytes_timeout(b"next", SHORT).unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert!(matches!(connection.try_flush(), Err(ConnectionError::WouldBlock)));
        let mut connection = connection.into_fd().map(|_| ()).unwrap_err();
        let expected = message.clone();
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut wire = vec![0; expected.len() + 4 + 8];
                there.read_exact(&mut wire).unwrap();
                assert_eq!(&wire[..4], &(expected.len() as u32).to_be_bytes());
                assert!(wire[4..4 + expected.len()] == expected);
                assert_eq!(&wire[4 + expected.len()..], b"\0\0\0\x04next");
            });
            connection.flush().unwrap();
            connection.send_bytes(b"next").unwrap();
            reader.join().unwrap();
        });
    }
}

/// Both kinds as one.
fn pair_of<S: Read + Write + Send + 'static>(
    (connection, there): (Connection, S),
) -> (Connection, Box<dyn Read + Send>) {
    (connection, Box::new(there))
}

#[test]
fn pip_06_07_a_poll_takes_as_long_as_it_says() {
    let (mut connection, mut bare) = bare();
    assert!(!connection.try_poll().unwrap());
    assert!(!connection.poll_timeout(Duration::ZERO).unwrap());
    let began = Instant::now();
    assert!(!connection.poll_timeout(SHORT).unwrap());
    assert!(began.elapsed() >= SHORT);
    assert!(!connection.poll_deadline(began).unwrap());
    bare.write_all(b"\0\0\0\x01x").unwrap();
    assert!(connection.poll_timeout(LONG).unwrap());
    assert!(connection.poll_deadline(Instant::now() + LONG).unwrap());
    assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"x");
}

#[test]
fn a_non_blocking_socket_waits_as_any() {
    let (here, mut there) = UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    let mut connection = Connection::from(here);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            there.write_all(b"\0\0\0\x01x").unwrap();
        });
        assert_eq!(connection.recv_bytes().unwrap(), b"x");
    });
}
