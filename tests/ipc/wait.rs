//! Waiting for several things at once, of which other processes make one ready, or die.

use std::time::Duration;

use nix::unistd::Pid;
use shmkit::roster::Process;
use shmkit::wait::{Pollable, Ready, wait};
use shmkit::{Delivery, Event, Objects, Options, PipeError, QueueError, Receiver, Segment};
use shmkit_tests::queue::make;

use crate::support::{By, Peer, wait_until};

const LONG: Duration = Duration::from_secs(60);

fn segment() -> Segment {
    let segment = Options::new(1 << 16).anonymous().unwrap();
    segment.event("event").unwrap();
    segment.pipe::<u64>("pipe", 4).unwrap();
    segment
}

#[track_caller]
fn peer(by: By, segment: &Segment, script: &str) -> Peer {
    by.peer(&format!("wait/{script}"), &[], segment)
}

/// What is waited for, and the peer that makes it ready.
fn rung(by: By) -> (Event, Receiver<u64>, Peer) {
    let segment = segment();
    let event = segment.event("event").unwrap();
    let receiver = segment.pipe::<u64>("pipe", 4).unwrap().receiver().unwrap();
    let mut ringer = peer(by, &segment, "ring");
    ringer.expect("ready");
    (event, receiver, ringer)
}

#[test]
fn whatever_a_peer_makes_ready_ends_a_wait_for_all() {
    for by in By::ALL {
        let (event, mut receiver, mut ringer) = rung(by);
        for _ in 0..10 {
            ringer.say("pipe");
            assert_eq!(wait(&[&event, &receiver], LONG).unwrap(), [1]);
            assert_eq!(receiver.try_recv(), Ok(7));
            ringer.say("event");
            assert_eq!(wait(&[&event, &receiver], LONG).unwrap(), [0]);
            event.clear().unwrap();
        }
        ringer.say("end");
        ringer.join();
        assert_eq!(wait(&[&event, &receiver], LONG).unwrap(), [1], "it has closed its end");
        assert_eq!(receiver.try_recv(), Err(PipeError::Closed));
    }
}

#[test]
fn a_death_ends_a_wait_for_what_it_belongs_to() {
    for by in By::ALL {
        let (event, mut receiver, mut ringer) = rung(by);
        ringer.say("pipe");
        assert_eq!(wait(&[&event, &receiver], LONG).unwrap(), [1]);
        ringer.kill();
        assert_eq!(wait(&[&event, &receiver], LONG).unwrap(), [1], "what it had sent comes first");
        assert_eq!(receiver.try_recv(), Ok(7));
        assert_eq!(wait(&[&event, &receiver], LONG).unwrap(), [1]);
        // A try asks once a millisecond at most.
        wait_until(|| matches!(receiver.try_recv(), Err(PipeError::PeerDied { .. })));
    }
}

#[test]
fn the_end_of_a_process_and_its_message_are_told_together() {
    for by in By::ALL {
        let (_, receiver, mut ringer) = rung(by);
        let process = Process::of_pid(ringer.pid().as_raw() as u32).unwrap();
        assert_eq!(wait(&[&process, &receiver], Duration::ZERO).unwrap(), [0; 0]);
        ringer.say("pipe");
        assert_eq!(wait(&[&process, &receiver], LONG).unwrap(), [1]);
        let pid: Pid = ringer.pid();
        ringer.kill();
        assert_eq!(wait(&[&process, &receiver], LONG).unwrap(), [0, 1], "{pid}");
    }
}

#[test]
fn a_forked_child_waits_by_threads_of_its_own() {
    for by in By::ALL {
        let segment = segment();
        let event = segment.event("event").unwrap();
        // The parent has such a thread, which a forked child does not get.
        let mut pollable = Pollable::new().unwrap();
        assert!(!pollable.arm(&event).unwrap());
        let mut poller = peer(by, &segment, "poll");
        poller.expect("ready");
        event.set().unwrap();
        poller.expect("set");
        poller.join();
        event.clear().unwrap();
        let mut listener = peer(by, &segment, "listen");
        listener.expect("ready");
        let mut sender = segment.pipe::<u64>("pipe", 4).unwrap().sender().unwrap();
        for n in 0..10 {
            sender.send(n).unwrap();
            listener.expect("[1]");
            listener.expect(&n.to_string());
            event.set().unwrap();
            listener.expect("[0]");
            wait_until(|| !event.is_set());
        }
        drop(sender);
        listener.expect("[1]");
        listener.expect("Closed");
        listener.expect("end");
        listener.join();
    }
}

#[test]
fn an_inherited_descriptor_is_refused_and_stays_the_parents() {
    let segment = segment();
    let event = segment.event("event").unwrap();
    let mut pollable = Pollable::new().unwrap();
    assert!(!pollable.arm(&event).unwrap());
    let inherited = std::cell::Cell::new(Some(pollable));
    let mut child = Peer::fork("inherited", |channel| {
        let mut copy = inherited.take().unwrap();
        let refused = copy.arm(&event).unwrap_err();
        drop(copy);
        channel.say(&format!("{:?}", refused.kind()));
    });
    child.expect("InvalidInput");
    child.join();
    // What it has done to its copy, it has not done to ours.
    event.set().unwrap();
    let pollable = inherited.take().unwrap();
    assert_eq!(wait(&[&pollable], LONG).unwrap(), [0]);
}

#[test]
fn a_sender_is_ready_when_there_is_room() {
    let segment = segment();
    let pipe = segment.pipe::<u64>("pipe", 4).unwrap();
    let (mut sender, mut receiver) = (pipe.sender().unwrap(), pipe.receiver().unwrap());
    while sender.try_send(1).is_ok() {}
    assert_eq!(wait(&[&sender as &dyn Ready], Duration::ZERO).unwrap(), [0; 0]);
    for _ in 0..4 {
        receiver.recv().unwrap();
    }
    assert_eq!(wait(&[&sender as &dyn Ready], LONG).unwrap(), [0]);
    drop(receiver);
    assert_eq!(wait(&[&sender as &dyn Ready], LONG).unwrap(), [0], "there is something to be told");
}

#[test]
fn a_queue_is_ready_when_something_can_be_taken() {
    for by in By::ALL {
        let segment = segment();
        let event = segment.event("event").unwrap();
        let queue = make(&segment, Delivery::AtLeastOnce).unwrap();
        let mut other = by.peer("queue/obey", &[], &segment);
        other.expect("ready");
        assert_eq!(wait(&[&event, &queue], Duration::ZERO).unwrap(), [0; 0]);
        for value in 0..10 {
            other.say(&format!("put {value}"));
            assert_eq!(wait(&[&event, &queue], LONG).unwrap(), [1]);
            assert_eq!(queue.try_get(), Ok(value));
            other.expect("Ok(())");
        }
        queue.put(7).unwrap();
        other.say("take");
        other.expect("Some(7)");
        assert_eq!(wait(&[&event, &queue], Duration::ZERO).unwrap(), [0; 0], "it is another's");
        other.say("give-back");
        assert_eq!(wait(&[&event, &queue], LONG).unwrap(), [1]);
        other.expect("Ok(())");
        assert_eq!(queue.try_get(), Ok(7));
        other.say("close");
        assert_eq!(wait(&[&event, &queue], LONG).unwrap(), [1], "there is something to be told");
        assert_eq!(queue.try_get(), Err(QueueError::Closed));
        other.expect("Ok(())");
        other.say("end");
        other.join();
    }
}

#[test]
fn a_death_makes_ready_the_queue_that_its_item_comes_back_to() {
    for by in By::ALL {
        let segment = segment();
        let event = segment.event("event").unwrap();
        let queue = make(&segment, Delivery::AtLeastOnce).unwrap();
        let mut other = by.peer("queue/obey", &[], &segment);
        other.expect("ready");
        queue.put(7).unwrap();
        other.say("take");
        other.expect("Some(7)");
        other.kill();
        assert_eq!(wait(&[&event, &queue], LONG).unwrap(), [1]);
        assert_eq!(queue.try_get(), Ok(7));
    }
}

#[test]
fn the_room_of_a_queue_is_ready_when_something_can_be_put() {
    for by in By::ALL {
        let segment = segment();
        let event = segment.event("event").unwrap();
        let queue = make(&segment, Delivery::AtMostOnce).unwrap();
        let room = queue.room();
        assert_eq!(wait(&[&event, &room as &dyn Ready], Duration::ZERO).unwrap(), [1]);
        while queue.try_put(1).is_ok() {}
        let mut other = by.peer("queue/obey", &[], &segment);
        other.expect("ready");
        assert_eq!(wait(&[&event, &room as &dyn Ready], Duration::ZERO).unwrap(), [0; 0]);
        other.say("get");
        assert_eq!(wait(&[&event, &room as &dyn Ready], LONG).unwrap(), [1]);
        other.expect("Ok(1)");
        queue.put(1).unwrap();
        other.say("take");
        other.expect("Some(1)");
        assert_eq!(wait(&[&event, &room as &dyn Ready], Duration::ZERO).unwrap(), [0; 0]);
        other.kill();
        assert_eq!(wait(&[&event, &room as &dyn Ready], LONG).unwrap(), [1], "its place is free");
        queue.close().unwrap();
        assert_eq!(
            wait(&[&event, &room as &dyn Ready], LONG).unwrap(),
            [1],
            "something to be told"
        );
    }
}
