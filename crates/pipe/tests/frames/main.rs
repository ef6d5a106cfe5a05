//! Messages between two ends in one process: what is sent is received, whole, and what is refused stays.
#![cfg(not(loom))]

#[cfg(feature = "rkyv")]
mod archives;
mod garbage;
mod streams;
#[cfg(feature = "serde")]
mod values;

use std::io::IoSlice;
use std::ptr::NonNull;
use std::time::Duration;

use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_pipe::{FrameReceiver, FrameSender, Frames, PipeError};
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;

/// Bytes of the smallest ring.
const SMALL: u64 = 128;

/// Aligned, zeroed bytes.
#[repr(C, align(128))]
struct Bytes([u8; 8192]);

type Pipe<'a> = Frames<&'a ModelJudge>;
type Sender<'a> = FrameSender<&'a ModelJudge>;
type Receiver<'a> = FrameReceiver<&'a ModelJudge>;

fn attach<'a>(region: Region<'a>, judge: &'a ModelJudge) -> Pipe<'a> {
    let len = region.read::<u64>(Offset::ZERO).unwrap();
    // SAFETY: made by `scene`.
    unsafe { Pipe::attach(region, len, judge) }.unwrap()
}

/// Runs `scene` with a region, a pipe of `capacity` bytes in it, and the judges of three participants.
fn scene(capacity: u64, scene: impl FnOnce(Region<'_>, &[ModelJudge])) {
    let judges = ModelJudge::new(3);
    let mut bytes = Box::new(Bytes([0; 8192]));
    // SAFETY: borrowed mutably for as long as the region.
    let region = unsafe { Region::from_raw_parts(NonNull::from(&mut bytes.0).cast(), 8192) };
    // SAFETY: the bytes are zero, and this test's alone.
    unsafe { Pipe::init(region, capacity, &judges[0]) }.unwrap();
    scene(region, &judges);
}

/// Runs `scene` with both ends of a pipe.
fn both(capacity: u64, body: impl FnOnce(Sender<'_>, Receiver<'_>)) {
    scene(capacity, |region, judges| {
        let sender = attach(region, &judges[0]).sender().unwrap();
        let receiver = attach(region, &judges[1]).receiver().unwrap();
        body(sender, receiver);
    });
}

/// A message that no other one is like.
fn message(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at * 7 + at / 256) as u8).collect()
}

#[test]
fn messages_of_all_lengths_arrive_whole_and_in_order() {
    for len in 0..=SMALL as usize / 2 - 8 {
        both(SMALL, |mut sender, mut receiver| {
            for number in 0..50 {
                // Of other lengths in between, so that each comes to lie everywhere.
                let other = message(number, number % 13);
                let sent = message(number, len);
                sender.try_send(&sent).unwrap();
                assert_eq!(receiver.try_recv(), Ok(sent), "{len}");
                sender.try_send(&other).unwrap();
                let mut buffer = [0xee; 16];
                assert_eq!(receiver.try_recv_into(&mut buffer), Ok(other.len()));
                assert_eq!(buffer[..other.len()], other);
                assert!(buffer[other.len()..].iter().all(|byte| *byte == 0xee), "more was written");
            }
        });
    }
}

#[test]
fn a_full_pipe_refuses_and_an_empty_one_has_nothing() {
    both(SMALL, |mut sender, mut receiver| {
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        let sent = (0..).find(|number| sender.try_send(&message(*number, 12)).is_err()).unwrap();
        assert_eq!(sent, 5);
        assert_eq!(sender.try_send(b""), Ok(()), "the last word");
        for number in 0..sent {
            assert_eq!(receiver.try_recv(), Ok(message(number, 12)));
        }
        assert_eq!(receiver.recv(), Ok(vec![]));
        let timeout = Duration::from_millis(2);
        assert_eq!(receiver.recv_timeout(timeout), Err(PipeError::TimedOut));
        assert!(receiver.is_empty() && sender.is_empty() && sender.used() == 0);
    });
}

#[test]
fn what_is_skipped_at_the_end_of_the_ring_takes_room_too() {
    both(SMALL, |mut sender, mut receiver| {
        (0..4).for_each(|number| sender.try_send(&message(number, 12)).unwrap());
        assert_eq!(receiver.try_recv(), Ok(message(0, 12)));
        // Seven words are free, of which it takes five, and the four before the end.
        assert_eq!(sender.try_send(&message(4, 32)), Err(PipeError::Full));
        (1..4).for_each(|number| assert_eq!(receiver.try_recv(), Ok(message(number, 12))));
        sender.try_send(&message(4, 32)).unwrap();
        assert_eq!(receiver.try_recv(), Ok(message(4, 32)));
    });
}

#[test]
fn an_empty_message_is_one_and_no_end_of_file() {
    both(SMALL, |mut sender, mut receiver| {
        for _ in 0..100 {
            sender.send(b"").unwrap();
            sender.send_vectored(&[]).unwrap();
            assert!(receiver.peek().unwrap().is_empty());
            assert_eq!((receiver.recv(), receiver.recv()), (Ok(vec![]), Ok(vec![])));
        }
        drop(sender);
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn parts_are_one_message() {
    both(SMALL, |mut sender, mut receiver| {
        let parts = [&b"one "[..], b"", b"two", b""].map(IoSlice::new);
        sender.try_send_vectored(&parts).unwrap();
        assert_eq!(receiver.recv(), Ok(b"one two".to_vec()));
    });
}

#[test]
fn a_draft_is_sent_when_it_is_committed_and_no_sooner() {
    both(SMALL, |mut sender, mut receiver| {
        for number in 0..30 {
            let mut draft = sender.reserve(40).unwrap();
            assert_eq!(draft.len(), 40);
            draft.bytes().fill(1);
            drop(draft);
            assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
            let sent = message(number, number % 41);
            let mut draft = sender.try_reserve(40).unwrap();
            draft.bytes()[..sent.len()].copy_from_slice(&sent);
            draft.commit(sent.len()).unwrap();
            assert_eq!(receiver.try_recv(), Ok(sent));
        }
        let refused = PipeError::TooMany { wanted: 57, capacity: 56 };
        assert_eq!(sender.reserve(57).err(), Some(refused));
        assert_eq!(sender.try_send(&[0; 57]), Err(refused), "it would have to be streamed");
    });
}

#[test]
fn a_message_is_there_until_it_is_released() {
    both(SMALL, |mut sender, mut receiver| {
        sender.send(b"burger").unwrap();
        for _ in 0..3 {
            assert_eq!(receiver.peek().unwrap().bytes(), b"burger");
        }
        receiver.peek().unwrap().release().unwrap();
        assert_eq!(receiver.try_peek().err(), Some(PipeError::Empty));
    });
}

#[test]
fn what_does_not_go_where_it_should_stays() {
    both(SMALL, |mut sender, mut receiver| {
        sender.send(b"burger").unwrap();
        assert_eq!(receiver.recv_into(&mut [0; 5]), Err(PipeError::TooShort { length: 6 }));
        receiver.set_limit(5);
        assert_eq!(receiver.recv(), Err(PipeError::TooLong { length: 6, limit: 5 }));
        assert_eq!(receiver.peek().err(), Some(PipeError::TooLong { length: 6, limit: 5 }));
        receiver.set_limit(6);
        assert_eq!(receiver.recv(), Ok(b"burger".to_vec()));
        sender.send(b"one").unwrap();
        sender.send(b"two").unwrap();
        receiver.discard().unwrap();
        assert_eq!(receiver.recv(), Ok(b"two".to_vec()));
        assert_eq!(receiver.try_discard(), Err(PipeError::Empty));
    });
}

#[test]
fn a_successor_goes_on_where_its_predecessor_stopped() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        sender.send(b"one").unwrap();
        sender.send(b"two").unwrap();
        drop(sender);
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        assert_eq!(receiver.recv(), Ok(b"one".to_vec()));
        assert_eq!(receiver.peek().unwrap().bytes(), b"two");
        judges[1].die();
        let mut sender = attach(region, &judges[2]).sender().unwrap();
        sender.send(b"three").unwrap();
        let mut receiver = attach(region, &judges[0]).receiver().unwrap();
        assert_eq!(receiver.recv(), Ok(b"two".to_vec()));
        assert_eq!(receiver.recv(), Ok(b"three".to_vec()));
    });
}

#[test]
fn a_server_takes_one_client_after_the_other() {
    scene(SMALL, |region, judges| {
        let mut server = attach(region, &judges[0]).receiver().unwrap();
        for client in 0..20 {
            let mut sender = attach(region, &judges[1]).sender().unwrap();
            sender.send(&message(client, 3)).unwrap();
            sender.send(&message(client, 9)).unwrap();
            let accepted = server.accept().unwrap();
            assert_eq!(accepted.peer, judges[1].me().unwrap());
            assert_eq!(accepted.skipped > 0, client > 0);
            assert_eq!(server.recv(), Ok(message(client, 3)));
        }
    });
}

#[test]
fn a_pipe_is_as_large_as_was_asked_for_at_least() {
    type Judged<'a> = &'a ModelJudge;
    let words = |bytes: u64| <Pipe<'_> as Object<Judged<'_>>>::shape(&bytes, 8).map(|s| s.len);
    assert_eq!((words(1), words(128), words(129), words(4096)), (Ok(16), Ok(16), Ok(32), Ok(512)));
    assert!(matches!(words(0), Err(ShapeError::Length { .. })));
    assert!(matches!(words((1 << 35) + 1), Err(ShapeError::Length { .. })));
}
