//! The forms of sending and receiving beside the plain ones.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::ControlFlow;

use shmkit_pipe::Receiver;
use shmkit_sync::Patience;

use super::*;

const SOON: Duration = Duration::from_millis(2);
/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn values_are_copied_from_and_to_where_they_lie() {
    scene(2, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let mut value = 9;
        assert_eq!(receiver.try_recv_into(&mut value), Err(PipeError::Empty));
        assert_eq!(receiver.recv_into_timeout(&mut value, SOON), Err(PipeError::TimedOut));
        assert_eq!(
            receiver.recv_into_deadline(&mut value, Instant::now()),
            Err(PipeError::TimedOut)
        );
        assert_eq!(value, 9);
        sender.send_from(&1).unwrap();
        sender.try_send_from(&2).unwrap();
        assert_eq!(sender.try_send_from(&3), Err(PipeError::Full));
        assert_eq!(sender.send_from_timeout(&3, SOON), Err(PipeError::TimedOut));
        assert_eq!(sender.send_from_deadline(&3, Instant::now()), Err(PipeError::TimedOut));
        receiver.recv_into(&mut value).unwrap();
        assert_eq!((value, receiver.recv()), (1, Ok(2)));
    });
}

#[test]
fn a_batch_is_as_many_as_there_are() {
    scene(8, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        for value in 0..3 {
            sender.send(value).unwrap();
        }
        // It has looked, and found three.
        assert_eq!(receiver.recv(), Ok(0));
        for value in 3..7 {
            sender.send(value).unwrap();
        }
        let mut values = [0; 8];
        assert_eq!(receiver.recv_batch(&mut values), Ok(6), "what was sent since is there, too");
        assert_eq!(values[..6], [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn as_many_places_are_reserved_as_are_free() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        assert_eq!(sender.reserve_up_to(3).unwrap().len(), 3);
        assert_eq!(sender.reserve_up_to(9).unwrap().len(), 4);
        assert_eq!(sender.reserve_up_to(0).unwrap().len(), 0);
        assert_eq!(
            sender.reserve_up_to(4).unwrap().fill([1, 2, 3]),
            Ok(3),
            "no more than there are"
        );
        assert_eq!(
            sender.try_reserve_up_to(9).unwrap().fill(4..),
            Ok(1),
            "no more than there is room"
        );
        assert_eq!(sender.try_reserve_up_to(1).unwrap_err(), PipeError::Full);
        assert_eq!(sender.reserve_up_to_timeout(1, SOON).unwrap_err(), PipeError::TimedOut);
        let past = sender.reserve_up_to_deadline(1, Instant::now());
        assert_eq!(past.unwrap_err(), PipeError::TimedOut);
        let mut items = receiver.peek_deadline(Instant::now()).unwrap().into_iter();
        assert_eq!((items.next(), items.len()), (Some(1), 3));
        assert_eq!(items.by_ref().take(2).collect::<Vec<_>>(), [2, 3]);
        drop(items);
        assert_eq!(receiver.recv(), Ok(4), "what was not taken stays");
        let past = receiver.peek_deadline(Instant::now()).map(drop);
        assert_eq!(past, Err(PipeError::TimedOut));
    });
}

#[test]
fn ends_know_how_full_the_pipe_is() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        assert!(sender.is_empty() && receiver.is_empty() && !sender.is_full());
        sender.send_all(&[1, 2, 3]).unwrap();
        assert_eq!((sender.len(), sender.room()), (3, 1));
        assert_eq!((receiver.len(), receiver.room()), (3, 1));
        sender.send(4).unwrap();
        assert!(sender.is_full() && receiver.is_full());
        receiver.recv().unwrap();
        assert_eq!((sender.room(), receiver.len()), (1, 3));
        assert_eq!(sender.capacity(), 4);
    });
}

#[test]
fn bytes_are_a_stream() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    // SAFETY: the bytes are zero, and this test's alone.
    let pipe = unsafe { Pipe::<u8, _>::init(region, 16, &judges[0]) }.unwrap();
    // SAFETY: made above.
    let other = unsafe { Pipe::<u8, _>::attach(region, 16, &judges[1]) }.unwrap();
    let (mut sender, mut receiver) = (pipe.sender().unwrap(), other.receiver().unwrap());
    assert_eq!(sender.write(b"more than there is room").unwrap(), 16);
    let mut some = [0; 5];
    receiver.read_exact(&mut some).unwrap();
    assert_eq!(&some, b"more ");
    sender.write_all(b"room").unwrap();
    drop(sender);
    let mut rest = String::new();
    receiver.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "than there room");
    drop(receiver);
    let mut sender = pipe.sender().unwrap();
    other.receiver().unwrap().close();
    assert_eq!(sender.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    let mut receiver = other.receiver().unwrap();
    judges[0].die();
    std::mem::forget(sender);
    let error = receiver.read(&mut some).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "not an end of file");
}

/// A stream whose reads end when they are told to.
struct Patient<'r, 'p, 'j>(&'r mut Receiver<u8, &'j ModelJudge>, Patience<'p>);

impl Read for Patient<'_, '_, '_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(self.0.recv_batch_deadline(bytes, self.1)?)
    }
}

#[test]
fn a_stream_that_is_told_to_stop_is_not_asked_again() {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    // SAFETY: the bytes are zero, and this test's alone.
    let pipe = unsafe { Pipe::<u8, _>::init(bytes.region(), 16, &judges[0]) }.unwrap();
    let mut receiver = pipe.receiver().unwrap();
    let stop = || ControlFlow::Break(());
    // With an end of its own: who is asked again fails, and does not hang.
    let patience = Patience::from(Instant::now() + LIMIT).interruptible(&stop);
    let mut stream = Patient(&mut receiver, patience);
    let error = stream.read_exact(&mut [0; 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    let reason = error.get_ref().and_then(|reason| reason.downcast_ref::<PipeError>());
    assert_eq!(reason, Some(&PipeError::Interrupted));
}

#[test]
fn what_a_batch_has_sent_by_the_time_it_is_told_to_stop_is_said() {
    scene(2, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let stop = || ControlFlow::Break(());
        // With an end of its own: who is deaf to the hook fails, and does not hang.
        let patience = Patience::from(Instant::now() + LIMIT).interruptible(&stop);
        let error = sender.send_all_deadline(&[1, 2, 3], patience).unwrap_err();
        assert_eq!((error.sent, error.error), (2, PipeError::Interrupted));
        assert_eq!(sender.send_deadline(3, patience).unwrap_err().value, 3);
        assert_eq!((receiver.recv(), receiver.recv()), (Ok(1), Ok(2)));
        assert_eq!(receiver.recv_deadline(patience), Err(PipeError::Interrupted));
        sender.send(3).unwrap();
        assert_eq!(receiver.recv_deadline(patience), Ok(3), "who need not wait is not asked");
    });
}

#[test]
fn a_wait_lasts_no_longer_than_who_it_depends_on() {
    scene(2, |region, judges| {
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let third = id(&judges[2]);
        let patience = Patience::from(Instant::now() + LIMIT).while_alive(third);
        judges[2].die();
        assert_eq!(
            receiver.recv_deadline(patience),
            Err(PipeError::PeerDied { peer: third, left: 0 })
        );
        assert_eq!(
            receiver.accept_deadline(patience),
            Err(PipeError::PeerDied { peer: third, left: 0 })
        );
        // What has come by then is received nevertheless.
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv_deadline(patience), Ok(1));
    });
}
