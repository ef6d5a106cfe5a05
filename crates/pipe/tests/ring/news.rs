//! Who comes to the other end, what is news of who was there, and what becomes of who never came.

use super::*;

/// Two runs of a program: a sender sends `left` items more than are received, the receiver leaves, then the sender.
fn first_run(region: Region<'_>, judges: &[ModelJudge], left: u64) {
    let mut sender = attach(region, &judges[0]).sender().unwrap();
    let mut receiver = attach(region, &judges[1]).receiver().unwrap();
    sender.send(0).unwrap();
    assert_eq!(receiver.recv(), Ok(0));
    for number in 1..=left {
        sender.send(number).unwrap();
    }
    drop(receiver);
    drop(sender);
}

#[test]
fn an_end_of_file_of_a_former_run_is_old_news() {
    scene(4, |region, judges| {
        first_run(region, judges, 0);
        let mut receiver = attach(region, &judges[2]).receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        assert_eq!(receiver.try_wait_for_peer(), Err(PipeError::TimedOut));
        let mut sender = attach(region, &judges[1]).sender().unwrap();
        assert_eq!(receiver.wait_for_peer(), Ok(id(&judges[1])));
        sender.send(1).unwrap();
        sender.close();
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
        assert_eq!(receiver.recv(), Err(PipeError::Closed), "as often as it is asked");
    });
}

#[test]
fn what_was_left_in_the_pipe_comes_with_its_end_of_file() {
    scene(4, |region, judges| {
        first_run(region, judges, 2);
        let mut receiver = attach(region, &judges[2]).receiver().unwrap();
        let all: Vec<_> = receiver.iter().collect();
        assert_eq!(all, [Ok(1), Ok(2)]);
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
    });
}

/// The receiver hands its end over while the sender is at work; that one is killed before the successor has come.
#[test]
fn a_death_after_the_predecessor_has_left_is_told() {
    scene(4, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        drop(receiver);
        std::mem::forget(sender);
        judges[0].die();
        let mut receiver = attach(region, &judges[2]).receiver().unwrap();
        let told = Err(PipeError::PeerDied { peer: id(&judges[0]), left: 0 });
        assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), told);
        drop(receiver);
        // Once is enough.
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
    });
}

#[test]
fn one_name_may_come_twice() {
    scene(4, |region, judges| {
        first_run(region, judges, 0);
        let mut receiver = attach(region, &judges[2]).receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        // The word of its role is what it was, before the receiver looks again.
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        sender.send(5).unwrap();
        sender.close();
        assert_eq!(receiver.recv(), Ok(5));
        assert_eq!(receiver.try_recv(), Err(PipeError::Closed));
    });
}

#[test]
fn the_successor_of_a_dead_receiver_is_told_of_the_end_of_file() {
    scene(4, |region, judges| {
        let sender = attach(region, &judges[0]).sender().unwrap();
        let receiver = attach(region, &judges[1]).receiver().unwrap();
        judges[1].die();
        std::mem::forget(receiver);
        sender.close();
        let mut successor = attach(region, &judges[2]).receiver().unwrap();
        assert_eq!(successor.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn a_death_is_told_to_one_run_of_a_receiver() {
    scene(4, |region, judges| {
        let [b, c] = [1, 2].map(|i| attach(region, &judges[i]));
        let sender = attach(region, &judges[0]).sender().unwrap();
        judges[0].die();
        std::mem::forget(sender);
        let mut receiver = b.receiver().unwrap();
        let died = PipeError::PeerDied { peer: id(&judges[0]), left: 0 };
        assert_eq!(receiver.recv(), Err(died));
        drop(receiver);
        let mut receiver = b.receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        c.sender().unwrap().send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn a_second_run_of_a_sender_does_not_meet_the_receiver_that_has_left() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        b.receiver().unwrap().close();
        assert_eq!(sender.try_send(1).unwrap_err().error, PipeError::Closed);
        drop(sender);
        let mut sender = a.sender().unwrap();
        assert_eq!(sender.try_send(1), Ok(()));
        let mut receiver = c.receiver().unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        drop(receiver);
        assert_eq!(sender.try_send(2).unwrap_err().error, PipeError::Closed);
    });
}

#[test]
fn a_first_sender_hears_of_a_receiver_that_did_not_wait() {
    scene(4, |region, judges| {
        attach(region, &judges[1]).receiver().unwrap().close();
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        assert_eq!(sender.try_send(1).unwrap_err().error, PipeError::Closed);
        assert_eq!(sender.send(1).unwrap_err().error, PipeError::Closed);
    });
}

#[test]
fn who_was_expected_and_never_came_is_an_error() {
    scene(2, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let mut receiver = b.receiver().unwrap();
        receiver.expect(id(&judges[2]));
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        judges[2].die();
        let never = PipeError::NeverCame { peer: id(&judges[2]) };
        let long = Duration::from_secs(5);
        assert_eq!(receiver.recv_timeout(long), Err(never));
        assert_eq!(receiver.wait_for_peer_timeout(long), Err(never));
        assert!(never.to_string().ends_with("is gone, and nobody holds that end"));
        // A sender learns of it when there is no room.
        let mut sender = a.sender().unwrap();
        drop(receiver);
        let mut sender = {
            let _ = sender.try_send(0);
            drop(sender);
            a.sender().unwrap()
        };
        sender.expect(id(&judges[2]));
        sender.send_all(&[1, 2]).unwrap();
        assert_eq!(sender.send(3).unwrap_err().error, never);
    });
}

#[test]
fn who_was_expected_and_came_is_judged_as_anybody() {
    scene(2, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let mut receiver = b.receiver().unwrap();
        receiver.expect(id(&judges[0]));
        let mut sender = a.sender().unwrap();
        sender.send(1).unwrap();
        judges[0].die();
        std::mem::forget(sender);
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(PipeError::PeerDied { peer: id(&judges[0]), left: 0 }));
    });
}

#[test]
fn who_waits_for_the_other_end_is_woken_by_its_claim() {
    scene(2, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let mut receiver = b.receiver().unwrap();
        let wait = Duration::from_millis(3);
        assert_eq!(receiver.wait_for_peer_timeout(wait), Err(PipeError::TimedOut));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| receiver.wait_for_peer());
            let mut sender = a.sender().unwrap();
            assert_eq!(waiting.join().unwrap(), Ok(id(&judges[0])));
            assert_eq!(sender.wait_for_peer_deadline(Instant::now()), Ok(id(&judges[1])));
        });
    });
}

#[test]
fn a_poller_that_seldom_looks_hears_of_a_death_at_once() {
    scene(2, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let sender = a.sender().unwrap();
        let mut receiver = b.receiver().unwrap();
        for _ in 0..3 {
            assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
            thread::sleep(Duration::from_millis(20));
        }
        judges[0].die();
        std::mem::forget(sender);
        let died = Err(PipeError::PeerDied { peer: id(&judges[0]), left: 0 });
        assert_eq!(receiver.try_recv(), died, "the first time it looks");
    });
}

#[test]
fn an_end_that_was_forgotten_is_claimed_again() {
    scene(4, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        sender.send(1).unwrap();
        std::mem::forget(sender);
        let taken = ClaimError::Taken { holder: id(&judges[0]) };
        assert_eq!(a.sender().unwrap_err(), taken);
        // SAFETY: refused, and so no end is claimed.
        assert_eq!(unsafe { b.reclaim_sender() }.unwrap_err(), taken, "only its own");
        // SAFETY: the only sender was forgotten.
        let mut sender = unsafe { a.reclaim_sender() }.unwrap();
        sender.send(2).unwrap();
        std::mem::forget(b.receiver().unwrap());
        // SAFETY: as above.
        let mut receiver = unsafe { b.reclaim_receiver() }.unwrap();
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
    });
}
