//! How an end waits is up to its holder.

use shmkit_pipe::Waiting;

use super::*;

/// Where the receiver sleeps, in bytes.
const BELL: u64 = 20;

/// Has a receiver wait in vain, and returns whether it has ever come to sleep.
fn slept(waiting: Waiting) -> bool {
    let mut slept = false;
    scene(8, |region, judges| {
        let _sender = attach(region, &judges[0]).sender().unwrap();
        let mut receiver = attach(region, &judges[1]).receiver().unwrap();
        assert_eq!(receiver.waiting(), Waiting::SpinThenSleep);
        receiver.set_waiting(waiting);
        let before = region.read::<u32>(Offset::new(BELL).unwrap()).unwrap();
        assert_eq!(receiver.recv_timeout(Duration::from_millis(5)), Err(PipeError::TimedOut));
        slept = region.read::<u32>(Offset::new(BELL).unwrap()).unwrap() != before;
    });
    slept
}

#[test]
fn who_spins_only_never_sleeps_and_the_others_do() {
    assert!(!slept(Waiting::Spin));
    assert!(slept(Waiting::SpinThenSleep));
    assert!(slept(Waiting::Sleep));
}

#[test]
fn however_an_end_waits_it_gets_what_comes_and_hears_of_a_death() {
    for waiting in [Waiting::Spin, Waiting::SpinThenSleep, Waiting::Sleep] {
        scene(2, |region, judges| {
            let mut sender = attach(region, &judges[0]).sender().unwrap();
            let mut receiver = attach(region, &judges[1]).receiver().unwrap();
            sender.set_waiting(waiting);
            receiver.set_waiting(waiting);
            thread::scope(|scope| {
                scope.spawn(|| {
                    (0..1000).for_each(|value| sender.send(value).unwrap());
                    judges[0].die();
                });
                (0..1000).for_each(|value| assert_eq!(receiver.recv(), Ok(value)));
                let died = PipeError::PeerDied { peer: id(&judges[0]), left: 0 };
                assert_eq!(receiver.recv(), Err(died), "{waiting:?}");
            });
        });
    }
}
