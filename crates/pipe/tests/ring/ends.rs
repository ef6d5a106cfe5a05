//! Who holds an end, and what becomes of it when the other end dies, closes or leaves.

use super::*;

#[test]
fn an_end_has_one_holder() {
    scene(4, |region, judges| {
        let [a, b] = [attach(region, &judges[0]), attach(region, &judges[1])];
        let sender = a.sender().unwrap();
        let taken = ClaimError::Taken { holder: id(&judges[0]) };
        assert_eq!(a.sender().unwrap_err(), taken, "not even twice by one participant");
        assert_eq!(b.sender().unwrap_err(), taken);
        assert_eq!(b.sending(), Some(id(&judges[0])));
        assert_eq!(b.receiving(), None);
        drop(sender);
        assert_eq!(b.sending(), None);
        b.sender().unwrap();
    });
}

#[test]
fn who_comes_after_the_end_of_file_goes_on() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut receiver = b.receiver().unwrap();
        let mut first = a.sender().unwrap();
        first.send(1).unwrap();
        first.close();
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
        assert_eq!(receiver.try_recv(), Err(PipeError::Closed));
        let mut second = c.sender().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        second.send_all(&[2, 3]).unwrap();
        assert_eq!(receiver.recv(), Ok(2));
        // And at the other end: what was not received stays.
        drop(receiver);
        assert_eq!(second.try_send(4).unwrap_err().error, PipeError::Closed);
        assert_eq!(second.send(4).unwrap_err().error, PipeError::Closed);
        assert_eq!(second.reserve(1).unwrap_err(), PipeError::Closed);
        let mut receiver = a.receiver().unwrap();
        second.send(4).unwrap();
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(3), Ok(4)]);
    });
}

#[test]
fn a_dead_senders_items_come_before_the_news() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let died = PipeError::PeerDied { peer: id(&judges[0]), left: 0 };
        let mut sender = a.sender().unwrap();
        sender.send_all(&[1, 2]).unwrap();
        sender.reserve(2).unwrap().write(0, 99);
        judges[0].die();
        std::mem::forget(sender);
        let mut receiver = b.receiver().unwrap();
        let got: Vec<_> = receiver.iter().collect();
        assert_eq!(got, [Ok(1), Ok(2), Err(died)], "and then the iterator ends");
        assert_eq!(receiver.try_recv(), Err(died));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Err(died));
        let mut successor = c.sender().unwrap();
        successor.send(3).unwrap();
        assert_eq!(receiver.recv(), Ok(3));
    });
}

#[test]
fn a_sender_hears_of_a_death_when_there_is_no_room() {
    scene(2, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        let mut receiver = b.receiver().unwrap();
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1));
        judges[1].die();
        std::mem::forget(receiver);
        sender.send_all(&[2, 3]).unwrap();
        let died = PipeError::PeerDied { peer: id(&judges[1]), left: 2 };
        assert_eq!(sender.try_send(4).unwrap_err().error, died);
        assert_eq!(sender.send(4).unwrap_err().error, died);
        let mut successor = c.receiver().unwrap();
        assert_eq!(successor.recv(), Ok(2));
        sender.send(4).unwrap();
    });
}

#[test]
fn what_a_dead_receiver_had_received_does_not_come_again() {
    scene(16, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        let mut receiver = b.receiver().unwrap();
        sender.send_all(&(0..16).collect::<Vec<_>>()).unwrap();
        // Less than the quarter after which it returns the places.
        assert_eq!([receiver.recv(), receiver.recv(), receiver.recv()], [Ok(0), Ok(1), Ok(2)]);
        judges[1].die();
        std::mem::forget(receiver);
        // Meanwhile the sender finds their places, and the last of them is further from what was returned than the
        // pipe is long.
        sender.send_all(&[16, 17, 18]).unwrap();
        let mut successor = c.receiver().unwrap();
        for number in 3..19 {
            assert_eq!(successor.recv(), Ok(number));
        }
        sender.send(19).unwrap();
        assert_eq!(successor.recv(), Ok(19));
    });
}

#[test]
fn a_copy_that_the_dead_left_half_written_is_not_believed() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        let mut receiver = b.receiver().unwrap();
        for number in 0..5 {
            sender.send(number).unwrap();
            assert_eq!(receiver.recv(), Ok(number));
        }
        judges[0].die();
        std::mem::forget(sender);
        let (of, words) = (Offset::<u64>::new(264).unwrap(), Offset::<u64>::new(272).unwrap());
        assert_eq!(region.read(of), Ok(4_u64), "each item that comes alone is copied by now");
        assert_eq!(region.read(words), Ok(4_u64));
        region.write(of, 5_u64).unwrap();
        region.write(words, 99_u64).unwrap();
        // A batch is not copied.
        c.sender().unwrap().send_all(&[5]).unwrap();
        assert_eq!(receiver.recv(), Ok(5));
    });
}

#[test]
fn a_poller_hears_of_a_death_that_comes_later() {
    scene(2, |region, judges| {
        let [a, b] = [0, 1].map(|i| attach(region, &judges[i]));
        let sender = a.sender().unwrap();
        let mut receiver = b.receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
        judges[0].die();
        std::mem::forget(sender);
        let limit = Instant::now() + Duration::from_secs(5);
        while receiver.try_recv() == Err(PipeError::Empty) {
            assert!(Instant::now() < limit, "a poller never heard of the death");
        }
        let died = Err(PipeError::PeerDied { peer: id(&judges[0]), left: 0 });
        assert_eq!([receiver.try_recv(), receiver.try_recv()], [died; 2], "and is told every time");
    });
}

/// Says of everybody that nobody can tell.
struct Blind(ModelJudge);

// SAFETY: it calls nobody dead, or asks a judge that keeps the rules.
unsafe impl Judge for Blind {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }
}

#[test]
fn not_to_know_is_no_death() {
    scene(2, |region, judges| {
        let mut sender = attach(region, &judges[0]).sender().unwrap();
        let blind = Blind(judges[1].clone());
        let pipe = attach(region, &blind);
        let holder = id(&judges[0]);
        assert_eq!(pipe.sender().unwrap_err(), ClaimError::CannotJudge { holder });
        let mut receiver = pipe.receiver().unwrap();
        let error = PipeError::CannotJudge { peer: holder.into() };
        assert_eq!(receiver.recv_timeout(Duration::from_millis(5)), Err(error));
        sender.send(1).unwrap();
        assert_eq!(receiver.recv(), Ok(1), "what is there is there");
        let (late, began) = (Duration::from_secs(20), Instant::now());
        assert_eq!(receiver.recv_timeout(late), Err(error), "nobody waits for ever for an answer");
        assert_eq!(receiver.wait_for_peer_timeout(late), Err(error));
        assert!(began.elapsed() < late, "{:?}", began.elapsed());
    });
}

/// A participant that can become a forked child and back.
struct Forking {
    judge: ModelJudge,
    forked: std::sync::atomic::AtomicBool,
}

// SAFETY: it calls nobody dead, or asks a judge that keeps the rules.
unsafe impl Judge for Forking {
    fn me(&self) -> Option<OwnerId> {
        let forked = self.forked.load(std::sync::atomic::Ordering::Relaxed);
        if forked { None } else { self.judge.me() }
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.judge.verdict(owner)
    }
}

#[test]
fn a_forked_copy_is_refused_and_its_drop_does_nothing() {
    scene(4, |region, judges| {
        let child = Forking { judge: judges[0].clone(), forked: false.into() };
        let pipe = attach(region, &child);
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        let mut sender = pipe.sender().unwrap();
        sender.send(1).unwrap();
        let mut slots = sender.reserve(1).unwrap();
        slots.write(0, 2);
        child.forked.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(slots.commit(1), Err(PipeError::NotJoined));
        assert_eq!(sender.try_send(3).unwrap_err().error, PipeError::NotJoined);
        assert_eq!(sender.send_all(&[3]).unwrap_err().error, PipeError::NotJoined);
        assert_eq!(sender.try_send_batch(&[]), Err(PipeError::NotJoined));
        assert_eq!(sender.reserve(0).unwrap_err(), PipeError::NotJoined);
        assert_eq!(pipe.receiver().unwrap_err(), ClaimError::NotJoined);
        drop(sender);
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty), "not closed, nothing more sent");
        assert_eq!(pipe.sending(), Some(id(&judges[0])));
    });
}

#[test]
fn an_end_that_was_taken_over_is_refused() {
    scene(4, |region, judges| {
        let [a, c] = [0, 2].map(|i| attach(region, &judges[i]));
        let mut sender = a.sender().unwrap();
        // The kernel would not say so of a living process; a judge that is wrong would.
        judges[0].die();
        let mut thief = c.sender().unwrap();
        assert_eq!(sender.try_send(1).unwrap_err().error, PipeError::NotMine);
        drop(sender);
        assert_eq!(thief.try_send(2), Ok(()), "the late drop closed nothing");
    });
}

/// Asked about its peer, it finds that something has happened meanwhile.
struct Meanwhile<'a>(ModelJudge, Mutex<Option<Box<dyn FnOnce() + Send + 'a>>>);

// SAFETY: as its model's.
unsafe impl Judge for Meanwhile<'_> {
    fn me(&self) -> Option<OwnerId> {
        self.0.me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        if let Some(happens) = self.1.lock().unwrap().take() {
            happens();
        }
        self.0.verdict(owner)
    }
}

#[test]
fn who_closes_and_leaves_between_two_looks_has_not_died() {
    scene(8, |region, judges| {
        let sender = attach(region, &judges[1]).sender().unwrap();
        let leaver = judges[1].clone();
        let happens = move || {
            drop(sender);
            leaver.die();
        };
        let judge = Meanwhile(judges[2].clone(), Mutex::new(Some(Box::new(happens))));
        let mut receiver = attach(region, &judge).receiver().unwrap();
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn an_end_that_is_handed_over_goes_on_without_an_end_of_file() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut receiver = b.receiver().unwrap();
        let mut first = a.sender().unwrap();
        first.send(1).unwrap();
        let ticket = first.hand_over().unwrap();
        assert_eq!((ticket.sending(), ticket.len()), (None, 1));
        assert_eq!(receiver.recv(), Ok(1));
        assert_eq!(
            receiver.try_recv(),
            Err(PipeError::Empty),
            "nobody is there, and nothing ended"
        );
        assert_eq!(receiver.try_wait_for_peer(), Err(PipeError::TimedOut));
        // Who gave it away is not missed.
        judges[0].die();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(30)), Err(PipeError::TimedOut));
        let mut second = c.sender().unwrap();
        assert_eq!(receiver.wait_for_peer(), Ok(id(&judges[2])));
        second.send(2).unwrap();
        // And at the other end.
        let ticket = receiver.hand_over().unwrap();
        assert_eq!(ticket.receiving(), None);
        second.send(3).unwrap();
        let mut receiver = b.receiver().unwrap();
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(2), Ok(3)]);
        drop(second);
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn who_has_heard_of_the_end_hands_that_over_too() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        drop(a.sender().unwrap());
        let mut receiver = b.receiver().unwrap();
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
        receiver.hand_over().unwrap();
        let mut receiver = c.receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty), "once is enough");
    });
}

#[test]
fn who_need_not_hear_of_the_end_hands_that_over_too() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let sender = a.sender().unwrap();
        // It leaves before the sender does, and in good order: of that one nobody has to be told any more.
        drop(b.receiver().unwrap());
        drop(sender);
        b.receiver().unwrap().hand_over().unwrap();
        let mut receiver = c.receiver().unwrap();
        assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
    });
}

#[test]
fn who_accepts_after_a_hand_over_gets_what_was_sent_before_it() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut first = a.sender().unwrap();
        first.send(1).unwrap();
        first.hand_over().unwrap();
        let mut second = c.sender().unwrap();
        second.send(2).unwrap();
        let mut receiver = b.receiver().unwrap();
        let accepted = receiver.accept().unwrap();
        assert_eq!((accepted.peer, accepted.skipped), (id(&judges[2]), 0));
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
    });
}

#[test]
fn who_has_been_accepted_hands_its_session_over() {
    scene(4, |region, judges| {
        let [a, b, c] = [0, 1, 2].map(|i| attach(region, &judges[i]));
        let mut receiver = b.receiver().unwrap();
        let mut first = a.sender().unwrap();
        assert_eq!(receiver.accept().unwrap().peer, id(&judges[0]));
        first.send(1).unwrap();
        first.hand_over().unwrap();
        let mut second = c.sender().unwrap();
        second.send(2).unwrap();
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
        second.close();
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
    });
}

#[test]
fn an_end_that_is_lost_cannot_be_handed_over() {
    scene(4, |region, judges| {
        let child = judges[0].forked();
        let sender = attach(region, &judges[0]).sender().unwrap();
        assert!(matches!(attach(region, &child).sender(), Err(ClaimError::NotJoined)));
        // SAFETY: the first one is not used again, but to be refused.
        let again = unsafe { attach(region, &judges[0]).reclaim_sender() }.unwrap();
        again.hand_over().unwrap();
        assert_eq!(sender.hand_over().map(drop), Err(PipeError::NotMine));
        attach(region, &judges[1]).sender().unwrap();
    });
}
