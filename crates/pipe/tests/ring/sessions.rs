//! A receiver that accepts one sender after the other.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;

use super::*;

#[test]
fn who_is_accepted_is_received_alone() {
    scene(8, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut server = c.receiver().unwrap();
        assert_eq!(server.try_accept(), Err(PipeError::TimedOut), "nobody has come");
        let mut first = a.sender().unwrap();
        first.send_all(&[1, 2]).unwrap();
        let accepted = server.try_accept().unwrap();
        assert_eq!((accepted.peer, accepted.skipped), (id(&judges[0]), 0));
        first.send(3).unwrap();
        first.close();
        let mut second = b.sender().unwrap();
        second.send_all(&[10, 11]).unwrap();
        let mut batch = [0; 8];
        assert_eq!(server.recv_batch(&mut batch), Ok(3));
        assert_eq!(batch[..3], [1, 2, 3]);
        assert_eq!(server.recv(), Err(PipeError::Closed), "and not the second one's items");
        assert_eq!(server.try_recv(), Err(PipeError::Closed), "as often as it is asked");
        let accepted = server.accept().unwrap();
        assert_eq!((accepted.peer, accepted.skipped), (id(&judges[1]), 0));
        assert_eq!([server.recv(), server.recv()], [Ok(10), Ok(11)]);
        assert_eq!(server.try_recv(), Err(PipeError::Empty));
        assert_eq!(server.try_accept(), Err(PipeError::TimedOut), "the same one twice");
    });
}

#[test]
fn what_a_sender_has_left_is_not_met_by_who_accepts_the_next() {
    scene(8, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut server = c.receiver().unwrap();
        let mut first = a.sender().unwrap();
        first.send_all(&[1, 2, 3]).unwrap();
        server.accept().unwrap();
        assert_eq!(server.recv(), Ok(1));
        judges[0].die();
        std::mem::forget(first);
        let mut second = b.sender().unwrap();
        second.send(10).unwrap();
        // It is told of the death that it has not waited for, if it goes on.
        assert_eq!([server.recv(), server.recv()], [Ok(2), Ok(3)]);
        assert_eq!(server.recv(), Err(PipeError::PeerDied { peer: id(&judges[0]), left: 0 }));
        second.send_all(&[11, 12]).unwrap();
        assert_eq!(server.accept().unwrap().skipped, 0);
        assert_eq!(server.recv(), Ok(10));
        second.close();
        b.sender().unwrap().send(20).unwrap();
        assert_eq!(server.accept().unwrap().skipped, 2);
        assert_eq!(server.recv(), Ok(20));
        assert_eq!(server.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn many_that_come_while_one_is_served_do_not_move_its_end() {
    scene(8, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut server = c.receiver().unwrap();
        let mut first = a.sender().unwrap();
        first.send(1).unwrap();
        server.accept().unwrap();
        first.send(2).unwrap();
        first.close();
        for number in 10..15 {
            b.sender().unwrap().send(number).unwrap();
        }
        assert_eq!(server.iter().collect::<Vec<_>>(), [Ok(1), Ok(2)]);
        let accepted = server.accept().unwrap();
        assert_eq!(accepted.skipped, 4, "the last one is accepted");
        assert_eq!(server.iter().collect::<Vec<_>>(), [Ok(14)]);
        assert_eq!(server.try_accept(), Err(PipeError::TimedOut));
    });
}

#[test]
fn the_successor_of_a_dead_server_accepts_its_client_anew() {
    scene(8, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut server = b.receiver().unwrap();
        let mut client = a.sender().unwrap();
        client.send_all(&[1, 2]).unwrap();
        server.accept().unwrap();
        assert_eq!(server.recv(), Ok(1));
        judges[1].die();
        std::mem::forget(server);
        let mut server = c.receiver().unwrap();
        let accepted = server.accept().unwrap();
        assert_eq!((accepted.peer, accepted.skipped), (id(&judges[0]), 0));
        assert_eq!(server.recv(), Ok(2));
    });
}

#[test]
fn who_waits_for_a_client_is_woken_by_it_or_told_that_it_never_came() {
    scene(8, |region, judges| {
        let [a, c] = [0, 2].map(|i| attach(region, &judges[i]));
        let mut server = c.receiver().unwrap();
        assert_eq!(server.accept_timeout(Duration::from_millis(3)), Err(PipeError::TimedOut));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| server.accept());
            let _client = a.sender().unwrap();
            assert_eq!(waiting.join().unwrap().unwrap().peer, id(&judges[0]));
        });
        assert_eq!(server.recv(), Err(PipeError::Closed));
        drop(server);
        let mut server = c.receiver().unwrap();
        assert_eq!(server.try_accept(), Err(PipeError::TimedOut), "told before");
        server.expect(id(&judges[1]));
        judges[1].die();
        let never = PipeError::NeverCame { peer: id(&judges[1]) };
        assert_eq!(server.accept(), Err(never));
        assert_eq!(server.accept_deadline(Instant::now()), Err(never));
    });
}

#[test]
fn a_wrong_begin_of_a_session_is_noticed() {
    scene(8, |region, judges| {
        let [a, c] = [0, 2].map(|i| attach(region, &judges[i]));
        let mut server = c.receiver().unwrap();
        let _client = a.sender().unwrap();
        let begun = region.get::<AtomicU64>(Offset::new(48).unwrap()).unwrap();
        begun.fetch_add(5, Relaxed);
        assert!(matches!(
            server.try_accept(),
            Err(PipeError::Corrupt { field: "begin of a session", .. })
        ));
    });
}

#[test]
fn who_is_expected_next_may_never_come_though_others_have() {
    scene(8, |region, judges| {
        let mut server = attach(region, &judges[0]).receiver().unwrap();
        let pipe = attach(region, &judges[1]);
        pipe.sender().unwrap().send(1).unwrap();
        server.expect(id(&judges[1]));
        assert_eq!(server.accept().unwrap().peer, id(&judges[1]));
        assert_eq!([server.recv(), server.recv()], [Ok(1), Err(PipeError::Closed)]);
        let none = Err(PipeError::TimedOut);
        assert_eq!(server.try_accept(), none, "who was expected has come");
        let never = PipeError::NeverCame { peer: id(&judges[2]) };
        server.expect(id(&judges[2]));
        assert_eq!(server.try_accept(), none, "it may come");
        judges[2].die();
        assert_eq!(server.accept(), Err(never));
        assert_eq!(server.wait_for_peer(), Err(never));
        // Another one is as welcome, and that of an expected one goes first.
        pipe.sender().unwrap().send(2).unwrap();
        assert_eq!(server.accept().unwrap().peer, id(&judges[1]));
        assert_eq!([server.recv(), server.recv()], [Ok(2), Err(PipeError::Closed)]);
    });
}
