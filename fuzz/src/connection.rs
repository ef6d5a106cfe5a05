//! Any bytes from the other end of a connection: the messages that a plain reading of them finds, then the same error each
//! time, however the bytes are cut and received.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use shmkit::connection::{Connection, ConnectionError};

use super::input::Input;

/// What comes after the last message.
#[derive(Debug, PartialEq)]
enum End {
    Closed,
    CutShort(usize, Option<usize>),
    TooLong(u64),
    Malformed(i32),
}

/// The first bytes say how long a message may be, in which pieces the rest is sent, and by which calls it is received.
///
/// # Panics
///
/// If the connection does what it must not.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let most = usize::from(input.byte()) * 4;
    let piece = 1 + usize::from(input.byte() % 64);
    let mut ways = input.number();
    let wire = input.rest();
    let (mut there, here) = UnixStream::pair().expect("pair");
    let mut connection = Connection::from(here);
    connection.set_max_len(most);
    let (mut received, mut end) = (Vec::new(), None);
    for piece in wire.chunks(piece) {
        // What nobody reads any more fills the socket.
        if end.is_some() {
            break;
        }
        there.write_all(piece).expect("write");
        ways = ways.rotate_left(1);
        while end.is_none() {
            match receive(&mut connection, most, ways & 1 == 0) {
                Ok(message) => received.push(message),
                Err(ConnectionError::WouldBlock) => break,
                Err(error) => end = Some(told(error)),
            }
        }
    }
    // Not by its drop: a child that is forked meanwhile may have a copy.
    there.shutdown(Shutdown::Write).expect("shutdown");
    while end.is_none() {
        match receive(&mut connection, most, ways & 2 == 0) {
            Ok(message) => received.push(message),
            Err(error) => end = Some(told(error)),
        }
    }
    let again = receive(&mut connection, most, ways & 4 == 0).expect_err("it has ended");
    assert_eq!((received, end.as_ref()), (plain(wire, most).0, Some(&plain(wire, most).1)));
    assert_eq!(Some(told(again)), end, "the second time");
}

fn receive(
    connection: &mut Connection,
    most: usize,
    whole: bool,
) -> Result<Vec<u8>, ConnectionError> {
    if whole {
        return connection.try_recv_bytes();
    }
    let mut to = vec![0xA5; most + 1];
    let len = connection.try_recv_bytes_into(&mut to[..most])?;
    assert_eq!(to[most], 0xA5, "written behind the buffer");
    to.truncate(len);
    Ok(to)
}

fn told(error: ConnectionError) -> End {
    match error {
        ConnectionError::Closed => End::Closed,
        ConnectionError::CutShort { got, length } => End::CutShort(got, length),
        ConnectionError::TooLong { length, .. } | ConnectionError::BufferTooShort { length } => {
            End::TooLong(length)
        }
        ConnectionError::Malformed { length } => End::Malformed(length),
        error => panic!("{error}"),
    }
}

/// What the bytes say, all of them at hand.
fn plain(mut wire: &[u8], most: usize) -> (Vec<Vec<u8>>, End) {
    let mut messages = Vec::new();
    loop {
        let short = wire.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes));
        let long = wire.get(4..12).and_then(|bytes| bytes.first_chunk::<8>());
        let (head, length) = match (short, long) {
            (None, _) if wire.is_empty() => return (messages, End::Closed),
            (None, _) | (Some(-1), None) => {
                return (messages, End::CutShort(wire.len(), None));
            }
            (Some(-1), Some(long)) => (12, u64::from_be_bytes(*long)),
            (Some(short @ 0..), _) => (4, short as u64),
            (Some(short), _) => return (messages, End::Malformed(short)),
        };
        if length > most as u64 {
            return (messages, End::TooLong(length));
        }
        let (length, rest) = (length as usize, &wire[head..]);
        if rest.len() < length {
            return (messages, End::CutShort(rest.len(), Some(length)));
        }
        messages.push(rest[..length].to_vec());
        wire = &rest[length..];
    }
}
