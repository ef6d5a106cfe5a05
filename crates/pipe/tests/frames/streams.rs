//! Messages that are larger than half of the pipe.

use std::thread;

use super::*;

#[test]
fn a_message_of_any_length_arrives_whole() {
    for len in [57, 58, 64, 120, 128, 129, 1000, 20_000] {
        both(SMALL, |mut sender, mut receiver| {
            thread::scope(|scope| {
                scope.spawn(|| {
                    for number in 0..20 {
                        sender.send(&message(number, len)).unwrap();
                        sender.send(&message(number, number)).unwrap();
                    }
                });
                for number in 0..20 {
                    let sent = message(number, len);
                    match number % 4 {
                        0 => assert_eq!(receiver.recv(), Ok(sent), "{len}"),
                        1 => {
                            let mut buffer = vec![0xee; len + 1];
                            assert_eq!(receiver.recv_into(&mut buffer), Ok(len));
                            assert_eq!((&buffer[..len], buffer[len]), (&sent[..], 0xee));
                        }
                        2 => {
                            assert_eq!(receiver.peek().unwrap().bytes(), sent);
                            let again = receiver.peek().unwrap();
                            assert_eq!((again.len(), again.bytes()), (len, &sent[..]));
                            again.release().unwrap();
                        }
                        _ => receiver.discard().unwrap(),
                    }
                    assert_eq!(receiver.recv(), Ok(message(number, number)));
                }
            });
        });
    }
}

/// Sends what there is room for of a message of `len` bytes.
fn begin(sender: &mut Sender<'_>, len: usize) {
    let sent = sender.send_timeout(&message(0, len), Duration::from_millis(1));
    assert_eq!(sent, Err(PipeError::TimedOut));
}

/// Takes what has come of a streamed message.
fn take_some(receiver: &mut Receiver<'_>) {
    assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
}

#[test]
fn a_wait_that_ends_in_the_middle_loses_nothing() {
    let sent = message(1, 1000);
    both(SMALL, |mut sender, mut receiver| {
        let (mut gone, mut buffer) = (0, vec![0; 1000]);
        for attempt in 0.. {
            assert!(attempt < 1000, "it has all been sent");
            if gone < sent.len() {
                gone = sender.try_send_part(&sent, gone).unwrap();
            }
            // By turns, so that it goes on where another form has stopped.
            let got = match attempt % 3 {
                0 => receiver.try_recv(),
                1 => receiver.try_peek().map(|message| message.bytes().to_vec()),
                _ => receiver.try_recv_into(&mut buffer).map(|len| buffer[..len].to_vec()),
            };
            match got {
                Ok(got) => {
                    assert_eq!(got, sent);
                    break;
                }
                Err(error) => assert_eq!(error, PipeError::Empty),
            }
        }
    });
}

#[test]
fn a_message_that_is_too_long_takes_no_memory_and_is_discarded_when_asked() {
    both(SMALL, |mut sender, mut receiver| {
        thread::scope(|scope| {
            scope.spawn(|| {
                sender.send(&message(0, 5000)).unwrap();
                sender.send(b"next").unwrap();
            });
            receiver.set_limit(4999);
            let refused = PipeError::TooLong { length: 5000, limit: 4999 };
            assert_eq!(receiver.recv(), Err(refused));
            assert_eq!(receiver.peek().err(), Some(refused));
            let short = PipeError::TooShort { length: 5000 };
            assert_eq!(receiver.recv_into(&mut [0; 100]), Err(short));
            receiver.discard().unwrap();
            assert_eq!(receiver.recv(), Ok(b"next".to_vec()));
        });
    });
}

#[test]
fn a_message_is_sent_by_parts_by_who_does_not_wait() {
    both(SMALL, |mut sender, mut receiver| {
        for number in 0..30 {
            let message = message(number, 40 * number);
            let mut sent = 0;
            let received = loop {
                match sender.try_send_part(&message, sent) {
                    Ok(now) => sent = now,
                    Err(error) => assert_eq!(error, PipeError::Full),
                }
                match receiver.try_recv() {
                    Ok(received) => break received,
                    Err(error) => assert_eq!(error, PipeError::Empty),
                }
            };
            assert_eq!((sent, received), (message.len(), message));
        }
        // Something else in between, and it begins anew.
        let long = message(1, 500);
        let sent = sender.try_send_part(&long, 0).unwrap();
        take_some(&mut receiver);
        sender.try_send(b"other").unwrap();
        assert_eq!(receiver.try_recv(), Ok(b"other".to_vec()));
        let again = sender.try_send_part(&long, sent).unwrap();
        assert!(0 < again && again <= 128, "{again}");
    });
}

#[test]
fn what_has_gone_is_told_before_the_death_of_who_was_to_receive_it() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let receiver = attach(region, &judges[1]).receiver().unwrap();
        judges[1].die();
        std::mem::forget(receiver);
        let long = message(1, 500);
        thread::sleep(Duration::from_millis(20)); // It asks about a peer once in a while only.
        let sent = sender.try_send_part(&long, 0).unwrap();
        assert!(0 < sent && sent <= 128, "{sent}");
        thread::sleep(Duration::from_millis(20));
        let dead = PipeError::PeerDied { peer: judges[1].me().unwrap(), left: 0 };
        assert_eq!(sender.try_send_part(&long, sent), Err(dead));
        let mut receiver = attach(region, &judges[2]).receiver().unwrap();
        take_some(&mut receiver);
        assert!(sender.try_send_part(&long, sent).unwrap() > sent, "a successor goes on");
    });
}

#[test]
fn a_message_that_was_given_up_is_nobodys() {
    for taken in [false, true] {
        both(SMALL, |mut sender, mut receiver| {
            begin(&mut sender, 500);
            if taken {
                take_some(&mut receiver);
            }
            thread::scope(|scope| {
                scope.spawn(|| sender.send(b"next").unwrap());
                assert_eq!(receiver.recv(), Ok(b"next".to_vec()));
            });
            begin(&mut sender, 500);
            drop(sender);
            assert_eq!(receiver.recv(), Err(PipeError::Closed));
        });
    }
}

#[test]
fn of_a_message_whose_sender_died_nothing_is_seen_and_all_is_told() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        sender.send(b"whole").unwrap();
        begin(&mut sender, 500);
        judges[0].die();
        assert_eq!(receiver.recv(), Ok(b"whole".to_vec()));
        let Err(PipeError::Torn { discarded }) = receiver.recv() else { panic!("not torn") };
        assert!(0 < discarded && discarded < 128, "{discarded}");
        let dead = PipeError::PeerDied { peer: judges[0].me().unwrap(), left: 0 };
        assert_eq!(receiver.recv(), Err(dead));

        let mut sender = attach(region, &judges[2]).sender().unwrap();
        sender.send(b"next").unwrap();
        assert_eq!(receiver.recv(), Ok(b"next".to_vec()));
    });
}

#[test]
fn a_successors_message_is_not_taken_for_the_rest_of_a_dead_ones() {
    for len in [4, 500] {
        scene(SMALL, |region, judges| {
            let mut sender = attach(region, &judges[0]).sender().unwrap();
            let mut receiver = attach(region, &judges[1]).receiver().unwrap();
            begin(&mut sender, 500);
            take_some(&mut receiver);
            judges[0].die();
            let mut sender = attach(region, &judges[2]).sender().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| sender.send(&message(2, len)).unwrap());
                assert!(matches!(receiver.recv(), Err(PipeError::Torn { .. })));
                assert_eq!(receiver.recv(), Ok(message(2, len)));
            });
        });
    }
}

#[test]
fn a_receiver_that_died_in_the_middle_is_told_to_its_successor() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let sent = message(0, 500);
        let mut gone = sender.try_send_part(&sent, 0).unwrap();
        take_some(&mut receiver);
        judges[1].die();
        let mut receiver = attach(region, &judges[2]).receiver().unwrap();
        gone = sender.try_send_part(&sent, gone).unwrap();
        let Err(PipeError::Torn { discarded }) = receiver.try_recv() else { panic!("not torn") };
        assert!(0 < discarded && discarded < 500, "{discarded}");
        while gone < sent.len() {
            take_some(&mut receiver);
            gone = sender.try_send_part(&sent, gone).unwrap();
        }
        take_some(&mut receiver);
        sender.try_send(b"next").unwrap();
        assert_eq!(receiver.try_recv(), Ok(b"next".to_vec()));
    });
}

#[test]
fn a_message_that_was_looked_at_only_is_told_to_a_successor() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| sender.send(&message(0, 500)).unwrap());
            assert_eq!(receiver.peek().unwrap().len(), 500);
            judges[1].die();
            let mut receiver = attach(region, &judges[2]).receiver().unwrap();
            assert!(matches!(receiver.recv(), Err(PipeError::Torn { .. })));
            assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        });
    });
}

#[test]
fn of_a_receiver_that_died_it_is_told_how_many_messages_it_has_left() {
    scene(SMALL, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        // So that the last ones lie at the beginning of the ring, behind what is skipped.
        for len in [50, 9] {
            sender.send(&message(1, len)).unwrap();
            receiver.recv().unwrap();
        }
        for len in [0, 20, 33] {
            sender.send(&message(1, len)).unwrap();
        }
        judges[1].die();
        std::mem::forget(receiver);
        let dead = |left| Err(PipeError::PeerDied { peer: judges[1].me().unwrap(), left });
        assert_eq!(sender.send(&message(1, 60)), dead(3));
        // What was begun is no message.
        assert_eq!(sender.send(&message(1, 500)), dead(3));
        let mut successor = attach(region, &judges[2]).receiver().unwrap();
        assert_eq!(
            (0..3).map(|_| successor.recv().unwrap().len()).collect::<Vec<_>>(),
            [0, 20, 33]
        );
    });
}
