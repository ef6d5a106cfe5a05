//! Who comes, who never came, and one client after the other, with real deaths.

use shmkit_roster::{OwnerId, Process};

use super::*;

impl Scene<'_> {
    /// A peer that has joined, and claims nothing; and its name.
    fn bystander(&self) -> (Peer, OwnerId) {
        let mut peer = match self.by {
            By::Exec => self.peer("stays", &[]),
            By::Fork => Peer::fork("stays", |channel| {
                self.me.rejoin().unwrap();
                shmkit_tests::pipe::stay(self.me, channel);
            }),
        };
        let id = peer.hear().parse().unwrap();
        (peer, OwnerId::from_word(id).unwrap())
    }
}

#[test]
fn a_server_takes_one_client_after_the_other_and_meets_nothing_of_the_dead() {
    both(8, |scene| {
        let mut server = scene.recv();
        for round in 0..5 {
            let [one, two] = [10 * round + 1, 10 * round + 2];
            let mut first = scene.sender();
            for value in [one, two, 99] {
                first.say(&format!("send {value}"));
                first.expect("Ok(())");
            }
            let accepted = server.accept().unwrap();
            assert_eq!(Some(accepted.peer), scene.pipe.sending());
            assert_eq!(
                accepted.skipped,
                u64::from(round > 0),
                "what the last one's successor left"
            );
            assert_eq!(server.recv(), Ok(one));
            first.kill();
            // Its successor is there before the server has heard of the death.
            let mut second = scene.sender();
            second.say(&format!("send {}", one + 5));
            second.expect("Ok(())");
            assert_eq!([server.recv(), server.recv()], [Ok(two), Ok(99)]);
            dead(server.recv().unwrap_err(), scene.me);
            assert_eq!(server.accept().unwrap().skipped, 0);
            assert_eq!(server.recv(), Ok(one + 5));
            second.say("send 98");
            second.expect("Ok(())");
            second.say("close");
            second.join();
        }
    });
}

#[test]
fn a_client_that_comes_wakes_a_server_that_sleeps_for_one() {
    both(8, |scene| {
        let mut server = scene.recv();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| server.accept());
            wait_until(asleep_in_futex);
            let client = scene.sender();
            assert_eq!(Some(waiting.join().unwrap().unwrap().peer), scene.pipe.sending());
            client.kill();
        });
        dead(server.recv().unwrap_err(), scene.me);
        assert_eq!(server.try_accept(), Err(PipeError::TimedOut), "it was told of that one");
    });
}

#[test]
fn the_successor_of_a_killed_server_goes_on_with_its_client() {
    both(8, |scene| {
        let mut client = scene.send();
        client.send_all(&[1, 2, 3]).unwrap();
        let mut server = scene.receiver();
        server.say("accept");
        server.expect("0 were left");
        server.say("recv");
        server.expect("Ok(1)");
        server.kill();
        let mut successor = scene.receiver();
        successor.say("accept");
        successor.expect("0 were left");
        for value in [2, 3] {
            successor.say("recv");
            successor.expect(&format!("Ok({value})"));
        }
        drop(client);
        successor.say("recv");
        successor.expect("Err(Closed)");
    });
}

#[test]
fn who_was_expected_and_was_killed_before_it_came_is_an_error() {
    both(8, |scene| {
        let (peer, id) = scene.bystander();
        let mut receiver = scene.recv();
        receiver.expect(id);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| receiver.recv());
            wait_until(asleep_in_futex);
            peer.kill();
            assert_eq!(waiting.join().unwrap(), Err(PipeError::NeverCame { peer: id }));
        });
        assert_eq!(receiver.wait_for_peer(), Err(PipeError::NeverCame { peer: id }));
        assert_eq!(receiver.accept(), Err(PipeError::NeverCame { peer: id }));
    });
}

#[test]
fn who_waits_for_the_next_peer_meets_it_after_the_death_of_the_last() {
    both(8, |scene| {
        let mut receiver = scene.recv();
        let peer = scene.sender();
        assert_eq!(Some(receiver.wait_for_peer().unwrap()), scene.pipe.sending());
        peer.kill();
        dead(receiver.recv().unwrap_err(), scene.me);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| receiver.wait_for_peer());
            wait_until(asleep_in_futex);
            let _next = scene.sender();
            assert_eq!(Some(waiting.join().unwrap().unwrap()), scene.pipe.sending());
        });
    });
}

#[test]
fn a_process_that_ends_and_never_came_is_an_error() {
    both(8, |scene| {
        let (mut peer, _) = scene.bystander();
        let pid = peer.pid().as_raw().unsigned_abs();
        let mut receiver = scene.recv();
        receiver.expect(Process::of_pid(pid).unwrap());
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty), "it may come");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| receiver.recv());
            wait_until(asleep_in_futex);
            peer.say("leave, in good order");
            assert_eq!(waiting.join().unwrap(), Err(PipeError::ProcessEnded { pid }));
        });
        assert_eq!(receiver.wait_for_peer(), Err(PipeError::ProcessEnded { pid }));
        assert_eq!(receiver.accept(), Err(PipeError::ProcessEnded { pid }));
        peer.join();
    });
}

#[test]
fn a_process_that_came_and_ended_is_no_missing_one() {
    both(8, |scene| {
        let mut peer = scene.sender();
        let mut receiver = scene.recv();
        receiver.expect(Process::of_pid(peer.pid().as_raw().unsigned_abs()).unwrap());
        peer.say("send 1");
        peer.expect("Ok(())");
        peer.kill();
        assert_eq!(receiver.recv(), Ok(1));
        dead(receiver.recv().unwrap_err(), scene.me);
    });
}
