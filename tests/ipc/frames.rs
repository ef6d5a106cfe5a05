//! Pipes of messages between processes, freshly executed and forked.

use std::time::Duration;

use shmkit::wait::wait;
use shmkit::{FrameReceiver, FrameSender, Frames, Options, PipeError, Segment};
use shmkit_tests::frames::{CAPACITY, LONG, make, message};

use crate::support::{By, Peer, wait_until};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

struct Scene {
    segment: Segment,
    there: Frames,
    back: Frames,
    by: By,
}

impl Scene {
    #[track_caller]
    fn peer(&self, script: &str) -> Peer {
        self.by.peer(&format!("frames/{script}"), &[], &self.segment)
    }

    fn ends(&self) -> (FrameSender, FrameReceiver) {
        (self.there.sender().unwrap(), self.back.receiver().unwrap())
    }
}

fn both(play: impl Fn(&Scene)) {
    for by in By::ALL {
        let segment = Options::new(1 << 20).anonymous().unwrap();
        let [there, back] = make(&segment);
        play(&Scene { segment, there, back, by });
    }
}

#[test]
fn pip_02_and_15_messages_come_back_equal_empty_ones_too() {
    both(|scene| {
        let (mut sender, mut receiver) = scene.ends();
        let peer = scene.peer("echo");
        for len in (0..200).chain([4096, 20_000, CAPACITY as usize / 2 - 8]) {
            let sent = message(len, len);
            sender.send_timeout(&sent, LIMIT).unwrap();
            assert_eq!(receiver.recv_timeout(LIMIT), Ok(sent));
        }
        drop(sender);
        assert_eq!(receiver.recv_timeout(LIMIT), Err(PipeError::Closed)); // PIP-09
        assert_eq!(receiver.recv_timeout(LIMIT), Err(PipeError::Closed));
        peer.join();
    });
}

#[test]
fn pip_03_to_05_what_goes_into_a_buffer_leaves_the_rest_and_what_does_not_stays() {
    both(|scene| {
        let (mut sender, mut receiver) = scene.ends();
        let peer = scene.peer("echo");
        sender.send(&[1; 16]).unwrap();
        let mut buffer = [7; 40];
        assert_eq!(receiver.recv_into_timeout(&mut buffer[12..], LIMIT), Ok(16));
        assert_eq!(
            (&buffer[..12], &buffer[12..28], &buffer[28..]),
            (&[7; 12][..], &[1; 16][..], &[7; 12][..])
        );
        sender.send(&[2; 110]).unwrap();
        let short = PipeError::TooShort { length: 110 };
        assert_eq!(receiver.recv_into_timeout(&mut buffer, LIMIT), Err(short));
        assert_eq!(
            receiver.try_recv(),
            Ok(vec![2; 110]),
            "where CPython hands it over with the error"
        );
        drop(sender);
        peer.join();
    });
}

#[test]
fn pip_08_sixteen_mebibytes_come_back() {
    both(|scene| {
        let (mut sender, mut receiver) = scene.ends();
        let peer = scene.peer("echo");
        let sent = message(1, 16 << 20);
        std::thread::scope(|scope| {
            scope.spawn(|| sender.send(&sent).unwrap());
            assert!(receiver.recv_timeout(LIMIT) == Ok(sent.clone()), "another message came");
        });
        drop(sender);
        peer.join();
    });
}

#[test]
fn pip_16_and_18_messages_keep_their_boundaries_and_make_ready_until_they_are_taken() {
    both(|scene| {
        let (_, mut receiver) = scene.ends();
        let mut peer = scene.peer("say");
        peer.expect("ready");
        let all = ["hello", "", "a", "b", "", "bye", "", "lop"];
        for text in all {
            peer.say(&format!(">{text}"));
        }
        for text in all {
            for _ in 0..2 {
                assert_eq!(wait(&[&receiver], LIMIT).unwrap(), [0]);
            }
            assert_eq!(receiver.try_recv(), Ok(text.as_bytes().to_vec()));
        }
        assert!(wait(&[&receiver], Duration::ZERO).unwrap().is_empty());
        peer.say("");
        peer.join();
        assert_eq!(wait(&[&receiver], LIMIT).unwrap(), [0], "PIP-24: at the end of file");
        assert_eq!(receiver.try_recv(), Err(PipeError::Closed));
    });
}

#[test]
fn of_a_message_whose_sender_was_killed_the_receiver_is_told() {
    both(|scene| {
        let (_, mut receiver) = scene.ends();
        let mut peer = scene.peer("stream");
        peer.expect("ready");
        assert_eq!(receiver.recv(), Ok(b"short".to_vec()));
        assert!(receiver.recv_timeout(LIMIT) == Ok(message(1, LONG)), "another message came");
        // In the middle of the next one, since it does not fit.
        wait_until(|| receiver.used() > CAPACITY as usize / 2);
        peer.kill();
        let error = receiver.recv_timeout(LIMIT).unwrap_err();
        assert!(
            matches!(error, PipeError::Torn { discarded } if discarded < LONG as u64),
            "{error}"
        );
        assert!(matches!(receiver.recv_timeout(LIMIT), Err(PipeError::PeerDied { .. })));
    });
}

#[test]
fn a_successor_gets_what_a_killed_receiver_had_not_released() {
    both(|scene| {
        let mut sender = scene.there.sender().unwrap();
        let mut peer = scene.peer("take");
        sender.send(&[1; 10]).unwrap();
        sender.send(&[2; 20]).unwrap();
        peer.expect("10");
        peer.kill();
        let mut receiver = scene.there.receiver().unwrap();
        assert_eq!(receiver.recv(), Ok(vec![1; 10]));
        assert_eq!(receiver.recv(), Ok(vec![2; 20]));
    });
}

#[test]
fn a_successor_is_told_of_a_long_message_whose_beginning_a_killed_receiver_had() {
    both(|scene| {
        let mut sender = scene.there.sender().unwrap();
        let mut peer = scene.peer("take");
        sender.send(&[1; 10]).unwrap();
        peer.expect("10");
        peer.say("release");
        // It takes pieces as long as there are some; the rest of them never comes.
        let half = sender.try_send_part(&message(1, LONG), 0).unwrap();
        assert!(half < LONG);
        wait_until(|| sender.is_empty());
        peer.kill();
        let sent = sender.try_send_part(&message(1, LONG), half).unwrap();
        assert!(sent > half);
        let mut receiver = scene.there.receiver().unwrap();
        assert!(matches!(receiver.try_recv(), Err(PipeError::Torn { .. })));
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        sender.try_send(b"next").unwrap();
        assert_eq!(receiver.recv(), Ok(b"next".to_vec()));
    });
}
