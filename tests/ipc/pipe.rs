//! Pipes between processes, freshly executed and forked.

mod sessions;

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use shmkit_pipe::{ClaimError, Pipe, PipeError, Receiver, Sender};
use shmkit_roster::{Judge, Participant, Verdict};
use shmkit_tests::pipe::{Place, play};

use crate::support::{Peer, wait_until};

/// How a peer comes to be.
#[derive(Clone, Copy, Debug)]
enum By {
    Exec,
    Fork,
}

/// A pipe, and what is needed to start peers at it.
struct Scene<'a> {
    by: By,
    place: &'a Place,
    me: &'a Participant<'a>,
    pipe: Pipe<u64, &'a Participant<'a>>,
}

impl<'a> Scene<'a> {
    #[track_caller]
    fn peer(&self, script: &str, args: &[&str]) -> Peer {
        match self.by {
            By::Exec => {
                let path = self.place.path();
                let args = [&[path.to_str().unwrap()], args].concat();
                Peer::execute(&format!("pipe/{script}"), &args, |_| ())
            }
            By::Fork => Peer::fork(script, |channel| {
                self.me.rejoin().unwrap();
                let args: Vec<String> = args.iter().map(ToString::to_string).collect();
                play(script, &args, self.pipe, channel);
            }),
        }
    }

    /// A peer that holds the sender's end.
    #[track_caller]
    fn sender(&self) -> Peer {
        let mut peer = self.peer("sender", &[]);
        peer.expect("ready");
        peer
    }

    /// A peer that holds the receiver's end.
    #[track_caller]
    fn receiver(&self) -> Peer {
        let mut peer = self.peer("receiver", &[]);
        peer.expect("ready");
        peer
    }

    /// The sender's end in this process.
    fn send(&self) -> Sender<u64, &'a Participant<'a>> {
        self.pipe.sender().unwrap()
    }

    /// The receiver's end in this process.
    fn recv(&self) -> Receiver<u64, &'a Participant<'a>> {
        self.pipe.receiver().unwrap()
    }
}

/// Plays a scene with freshly executed peers and with forked ones, each in a place of its own.
fn both(capacity: u64, play: impl Fn(&Scene<'_>)) {
    for by in [By::Exec, By::Fork] {
        let place = Place::new();
        let me = place.join();
        let pipe = place.make(capacity, &me);
        play(&Scene { by, place: &place, me: &me, pipe });
    }
}

const MANY: u64 = 100_000;

#[test]
fn a_peers_100_000_items_arrive_in_order_then_the_end_of_file() {
    both(64, |scene| {
        let peer = scene.peer("send-all", &[&MANY.to_string()]);
        let mut receiver = scene.recv();
        for value in 0..MANY {
            assert_eq!(receiver.recv(), Ok(value));
        }
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
        peer.join();
    });
}

#[test]
fn a_peer_gets_100_000_items_in_order_then_the_end_of_file() {
    both(64, |scene| {
        let mut peer = scene.peer("receive-all", &[&MANY.to_string()]);
        let mut sender = scene.send();
        for value in 0..MANY {
            sender.send(value).unwrap();
        }
        sender.close();
        peer.expect("Err(Closed)");
        peer.join();
    });
}

#[test]
fn batches_and_loans_arrive_in_order() {
    both(32, |scene| {
        let peer = scene.peer("echo", &[]);
        let mut sender = scene.send();
        let mut next = 0;
        while next < MANY {
            let len = (next % 50 + 1).min(MANY - next);
            if len > 32 {
                let batch: Vec<u64> = (next..next + len).collect();
                sender.send_all(&batch).unwrap();
            } else {
                let mut slots = sender.reserve(len as usize).unwrap();
                (0..len).for_each(|at| slots.write(at as usize, next + at));
                slots.commit(len as usize).unwrap();
            }
            next += len;
        }
        sender.close();
        peer.join();
    });
}

/// Returns the median of how long eleven wake-ups took, each of a peer that has slept for long: its slices have 32 ms
/// by then, so that one that nobody wakes takes 16 ms in the middle.
fn median_wake(peer: &mut Peer, mut wake: impl FnMut(&mut Peer)) -> Duration {
    let mut times: Vec<Duration> = (0..11)
        .map(|_| {
            peer.wait_until_in_futex();
            thread::sleep(Duration::from_millis(40));
            let start = Instant::now();
            wake(peer);
            start.elapsed()
        })
        .collect();
    times.sort();
    times[5]
}

#[test]
fn a_receiver_asleep_in_another_process_is_woken() {
    both(4, |scene| {
        let mut peer = scene.receiver();
        let mut sender = scene.send();
        peer.say("recv");
        let median = median_wake(&mut peer, |peer| {
            sender.send(7).unwrap();
            peer.expect("Ok(7)");
            peer.say("recv");
        });
        assert!(median < Duration::from_millis(5), "{median:?}: woken by the end of a slice");
        sender.close();
        peer.expect("Err(Closed)");
    });
}

#[test]
fn a_sender_asleep_in_another_process_is_woken() {
    both(1, |scene| {
        let mut peer = scene.sender();
        let mut receiver = scene.recv();
        peer.say("send 7");
        peer.expect("Ok(())");
        peer.say("send 7");
        let median = median_wake(&mut peer, |peer| {
            assert_eq!(receiver.recv(), Ok(7));
            peer.expect("Ok(())");
            peer.say("send 7");
        });
        assert!(median < Duration::from_millis(5), "{median:?}: woken by the end of a slice");
        // It waits for room again, and hears that there will be none.
        receiver.close();
        peer.expect("Err(Closed)");
    });
}

#[test]
fn a_wait_ends_in_time_also_beside_a_stopped_peer() {
    both(4, |scene| {
        let mut peer = scene.sender();
        let mut receiver = scene.recv();
        let mut wait = |millis| {
            let start = Instant::now();
            let wait = Duration::from_millis(millis);
            assert_eq!(receiver.recv_timeout(wait), Err(PipeError::TimedOut));
            assert!(start.elapsed() >= wait && start.elapsed() < Duration::from_secs(5));
        };
        wait(30);
        peer.stop();
        wait(100);
        peer.resume();
        peer.say("send 1");
        assert_eq!(receiver.recv(), Ok(1));
        peer.expect("Ok(())");
    });
}

#[test]
fn a_peers_wait_ends_in_time() {
    both(4, |scene| {
        let _sender = scene.send();
        let mut peer = scene.receiver();
        let start = Instant::now();
        peer.say("recv-for 30");
        peer.expect("Err(TimedOut)");
        assert!(start.elapsed() >= Duration::from_millis(30));
    });
}

/// Returns the id of the peer that holds the other end.
#[track_caller]
fn dead(error: PipeError, me: &Participant<'_>) {
    let PipeError::PeerDied { peer, .. } = error else { panic!("{error:?}") };
    assert_eq!(me.verdict(peer), Verdict::Dead);
}

#[test]
fn what_a_killed_sender_committed_comes_before_its_death() {
    both(8, |scene| {
        let mut peer = scene.sender();
        for _ in 0..3 {
            peer.say("send 7");
            peer.expect("Ok(())");
        }
        peer.kill();
        let mut receiver = scene.recv();
        let mut got: Vec<_> = receiver.iter().collect();
        dead(got.pop().unwrap().unwrap_err(), scene.me);
        assert_eq!(got, [Ok(7); 3]);
        dead(receiver.try_recv().unwrap_err(), scene.me);
    });
}

#[test]
fn a_sleeping_receiver_hears_of_a_killed_sender() {
    both(8, |scene| {
        let peer = scene.sender();
        let mut receiver = scene.recv();
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                wait_until(|| scene.pipe.receiving().is_some() && asleep_in_futex());
                peer.kill();
                Instant::now()
            });
            dead(receiver.recv().unwrap_err(), scene.me);
            let late = killer.join().unwrap().elapsed();
            assert!(late < Duration::from_secs(2), "{late:?} after the death");
        });
    });
}

#[test]
fn a_sleeping_sender_hears_of_a_killed_receiver() {
    both(2, |scene| {
        let peer = scene.receiver();
        let mut sender = scene.send();
        sender.send_all(&[1, 2]).unwrap();
        thread::scope(|scope| {
            let killer = scope.spawn(|| {
                wait_until(asleep_in_futex);
                peer.kill();
                Instant::now()
            });
            let refused = sender.send(3).unwrap_err();
            dead(refused.error, scene.me);
            assert_eq!(refused.value, 3);
            let late = killer.join().unwrap().elapsed();
            assert!(late < Duration::from_secs(2), "{late:?} after the death");
        });
        // What it had not received is there for a successor.
        let mut receiver = scene.recv();
        assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
    });
}

/// Returns whether a thread of this process sleeps in a futex call with the operation of ours: `FUTEX_WAIT_BITSET`,
/// not private.
fn asleep_in_futex() -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let syscall = std::fs::read_to_string(task.unwrap().path().join("syscall"));
        let syscall = syscall.unwrap_or_default();
        let mut words = syscall.split(' ');
        words.next() == Some(&libc::SYS_futex.to_string())
            && words.nth(1) == Some(&format!("{:#x}", libc::FUTEX_WAIT_BITSET))
    })
}

#[test]
fn a_sender_killed_between_fill_and_commit_sent_nothing() {
    both(8, |scene| {
        let mut peer = scene.sender();
        peer.say("send 1");
        peer.expect("Ok(())");
        peer.say("fill 5");
        peer.expect("filled");
        peer.kill();
        let mut receiver = scene.recv();
        assert_eq!(receiver.recv(), Ok(1));
        dead(receiver.recv().unwrap_err(), scene.me);
        // A successor writes to the same places.
        let mut successor = scene.sender();
        successor.say("send 2");
        assert_eq!(receiver.recv(), Ok(2));
        successor.expect("Ok(())");
        successor.say("close");
        assert_eq!(receiver.recv(), Err(PipeError::Closed));
        successor.join();
    });
}

#[test]
fn a_receiver_killed_before_it_released_leaves_the_items_to_its_successor() {
    both(8, |scene| {
        let mut sender = scene.send();
        sender.send_all(&[1, 2, 3]).unwrap();
        let mut peer = scene.receiver();
        peer.say("recv");
        peer.expect("Ok(1)");
        peer.say("peek");
        peer.expect("[2, 3]");
        peer.kill();
        let mut successor = scene.receiver();
        successor.say("recv");
        successor.expect("Ok(2)");
        sender.send(4).unwrap();
        for value in [3, 4] {
            successor.say("recv");
            successor.expect(&format!("Ok({value})"));
        }
    });
}

#[test]
fn an_end_is_claimed_by_one_living_participant() {
    both(8, |scene| {
        let peer = scene.sender();
        let holder = scene.pipe.sending().unwrap();
        assert_eq!(scene.pipe.sender().unwrap_err(), ClaimError::Taken { holder });
        let _receiver = scene.recv();
        let mut other = scene.peer("claims", &[]);
        other.expect(&format!("Err(Taken {{ holder: {holder:?} }})"));
        other.expect(&format!("Err(Taken {{ holder: {:?} }})", scene.me.me().unwrap()));
        other.join();
        // Stopped is not dead.
        peer.stop();
        assert_eq!(scene.pipe.sender().unwrap_err(), ClaimError::Taken { holder });
        peer.signal(Signal::SIGCONT);
        peer.kill();
        scene.send();
    });
}

#[test]
fn a_forked_copy_of_an_end_is_refused_and_closes_nothing() {
    let place = Place::new();
    let me = place.join();
    let pipe = place.make(4, &me);
    let mut sender = pipe.sender().unwrap();
    let mut receiver = pipe.receiver().unwrap();
    sender.send(1).unwrap();
    let mut slots = Some(sender.reserve(1).unwrap());
    let mut items = Some(receiver.peek().unwrap());
    Peer::fork("loans", |_| {
        assert_eq!(slots.take().unwrap().commit(1), Err(PipeError::NotJoined));
        assert_eq!(items.take().unwrap().release(1), Err(PipeError::NotJoined));
    })
    .join();
    let mut ends = Some((sender, receiver));
    Peer::fork("ends", |_| {
        let (sender, receiver) = ends.as_mut().unwrap();
        assert_eq!(sender.send(3).unwrap_err().error, PipeError::NotJoined);
        assert_eq!(receiver.recv(), Err(PipeError::NotJoined));
        assert_eq!(pipe.sender().unwrap_err(), ClaimError::NotJoined);
        me.rejoin().unwrap();
        assert_eq!(sender.send(3).unwrap_err().error, PipeError::NotMine);
        assert_eq!(receiver.recv(), Err(PipeError::NotMine));
        assert!(matches!(pipe.sender(), Err(ClaimError::Taken { .. })));
        drop(ends.take());
    })
    .join();
    assert_eq!(pipe.sending(), me.me());
    assert_eq!(pipe.receiving(), me.me());
    let (mut sender, mut receiver) = ends.unwrap();
    sender.send(2).unwrap();
    assert_eq!([receiver.recv(), receiver.recv()], [Ok(1), Ok(2)]);
    assert_eq!(receiver.try_recv(), Err(PipeError::Empty));
}
