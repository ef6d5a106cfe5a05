//! Segments that are passed through a socket, where both ends are one process's. Between two of them: in the workspace's
//! `tests/ipc`.

use std::io::{IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use shmkit_segment::{ErrorKind, LocateError, Located, Options, Segment};
use shmkit_sync::{Event, Mutex};

use crate::{Name, refused, small};

#[test]
fn who_receives_what_it_has_shares_it() {
    let (here, there) = UnixStream::pair().unwrap();
    let segment = Options::new(4096).anonymous().unwrap();
    segment.make::<Mutex<u64>>("total", 5).unwrap();
    segment.send(&here).unwrap();
    let received = Segment::receive(&there).unwrap();
    assert_eq!(received.participant().id(), segment.participant().id());
    assert_eq!(*received.find::<Mutex<u64>>("total").unwrap().lock().unwrap(), 5);
}

#[test]
fn an_object_of_a_segment_without_a_name_is_passed_with_it() {
    let (here, there) = UnixStream::pair().unwrap();
    let segment = Options::new(4096).anonymous().unwrap();
    segment.make::<Mutex<u64>>("total", 5).unwrap();
    let total = segment.located::<Mutex<u64>>("total").unwrap();
    for _ in 0..2 {
        total.send(&here).unwrap();
    }
    let received = Located::<Mutex<u64>>::receive(&there).unwrap();
    assert_eq!((*received.lock().unwrap(), received.name()), (5, "total"));
    let error = Located::<Event>::receive(&there).unwrap_err();
    assert!(matches!(error, LocateError::WrongType { .. }), "{error}");
    assert!(error.to_string().contains("\"total\" was sent as mutex"), "{error}");
    // One is not taken for the other.
    total.send(&here).unwrap();
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["an object"]);
    segment.send(&here).unwrap();
    let error = Located::<Mutex<u64>>::receive(&there).unwrap_err();
    assert!(matches!(error, LocateError::Segment(_)), "{error}");
}

#[test]
fn a_segment_that_everybody_has_left_meanwhile_is_refused() {
    let (here, there) = UnixStream::pair().unwrap();
    let name = Name::new("passed-and-left");
    let segment = name.create();
    segment.send(&here).unwrap();
    drop(segment);
    refused(Segment::receive(&there), ErrorKind::Unlinked, &["its name was removed"]);
    // Another one has the name by now: it is not the one that was sent.
    let segment = name.create();
    segment.send(&here).unwrap();
    drop(segment);
    let new = name.create();
    refused(Segment::receive(&there), ErrorKind::Unlinked, &["its name was removed"]);
    assert!(new.is_linked());
}

#[test]
fn a_message_and_a_descriptor_that_do_not_go_together_are_refused() {
    let (here, there) = UnixStream::pair().unwrap();
    let (segment, other) = (small().anonymous().unwrap(), small().anonymous().unwrap());
    segment.send(&here).unwrap();
    let mut message = [0; 40];
    // The descriptors that came with it are closed by the kernel.
    std::io::Read::read_exact(&mut &there, &mut message).unwrap();
    let send = |message: &[u8], segment: Option<&Segment>| {
        let files = segment.map(|segment| segment.file().unwrap().as_raw_fd());
        let files: Vec<_> = files.into_iter().collect();
        let rights = [ControlMessage::ScmRights(&files)];
        let rights = if files.is_empty() { &[][..] } else { &rights[..] };
        let bytes = [IoSlice::new(message)];
        let sent = sendmsg::<()>(here.as_raw_fd(), &bytes, rights, MsgFlags::empty(), None);
        assert_eq!(sent, Ok(message.len()));
    };
    send(&message, Some(&segment));
    Segment::receive(&there).unwrap();
    send(&message, Some(&other));
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["leads to another segment"]);
    send(&message, None);
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["no descriptor came"]);
    send(&[7; 40], Some(&segment));
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["is no segment"]);
    let mut long = message;
    long[32..].copy_from_slice(&u64::MAX.to_ne_bytes());
    send(&long, Some(&segment));
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["more of its object"]);
}

#[test]
fn what_does_not_come_is_an_error_in_time() {
    let (mut here, there) = UnixStream::pair().unwrap();
    there.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    refused(Segment::receive(there.as_fd()), ErrorKind::TimedOut, &["time-out"]);
    here.write_all(b"shmkit>\x01half").unwrap();
    drop(here);
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["closed the socket"]);
    refused(Segment::receive(&there), ErrorKind::NotInherited, &["closed the socket"]);
    let segment = small().anonymous().unwrap();
    refused(segment.send(&there), ErrorKind::NotInherited, &["closed the socket"]);
}
