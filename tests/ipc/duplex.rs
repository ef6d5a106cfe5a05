//! Two programs that meet by name and talk through shared memory, of which one is killed.

use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use shmkit::PipeError;
use shmkit::duplex::{Client, Duplex, Listener, Options};
use shmkit::wait::wait;
use shmkit_tests::connection::message;
use shmkit_tests::duplex::run;

use crate::support::{By, Peer, unique};

const LONG: Duration = Duration::from_secs(60);

#[track_caller]
fn peer(by: By, script: &str, name: &str) -> Peer {
    match by {
        By::Exec => Peer::execute(&format!("duplex/{script}"), &[name], |_| ()),
        By::Fork => Peer::fork(script, |channel| run(script, &[name.to_owned()], channel)),
    }
}

/// A peer that has connected.
#[track_caller]
fn met(by: By, script: &str, capacity: u64) -> (Duplex, Peer) {
    let name = unique(&format!("{script}-{by:?}"));
    let mut listener = Options::new().capacity(capacity).bind(&name).unwrap();
    let peer = peer(by, script, &name);
    (listener.accept_timeout(LONG).unwrap(), peer)
}

#[test]
fn what_a_stranger_sends_back_is_what_it_got() {
    for by in By::ALL {
        let (duplex, echo) = met(by, "echo", 1 << 16);
        assert_eq!(duplex.credentials().unwrap().pid, echo.pid().as_raw() as u32);
        let (mut send, mut recv, socket) = duplex.into_parts();
        for len in [0, 1, 11, 16_384, 1 << 20] {
            let message: Vec<u8> = (0..len).map(|n| (n * 31) as u8).collect();
            thread::scope(|scope| {
                scope.spawn(|| send.send(&message).unwrap());
                assert!(recv.recv_timeout(LONG).unwrap() == message, "{len} bytes");
            });
        }
        drop((send, recv, socket));
        echo.join();
    }
}

#[test]
fn a_client_that_is_killed_is_told_to_its_listener() {
    for by in By::ALL {
        let (mut duplex, mut sitting) = met(by, "sit", 4096);
        sitting.expect("sitting");
        assert_eq!(wait(&[&duplex], Duration::ZERO).unwrap(), [0; 0]);
        sitting.kill();
        assert_eq!(wait(&[&duplex], LONG).unwrap(), [0]);
        let end = duplex.recv_bytes_timeout(LONG);
        assert!(matches!(end, Err(PipeError::PeerDied { .. })), "{end:?}");
        // Who sends is told when there is no room any more.
        let end = loop {
            match duplex.send_bytes_timeout(&[7; 100], LONG) {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        assert!(matches!(end, PipeError::PeerDied { .. }), "{end}");
    }
}

#[test]
fn a_listener_that_is_killed_is_told_to_its_client_and_its_name_is_free() {
    for by in By::ALL {
        let name = unique(&format!("killed-{by:?}"));
        let mut listening = peer(by, "listen", &name);
        listening.expect("listening");
        let mut duplex = Client::connect(&name).unwrap();
        listening.expect("accepted");
        duplex.send_bytes(b"x").unwrap();
        assert_eq!(duplex.recv_bytes_timeout(LONG).unwrap(), b"x");
        listening.kill();
        let end = duplex.recv_bytes_timeout(LONG);
        assert!(matches!(end, Err(PipeError::PeerDied { .. })), "{end:?}");
        assert!(Client::connect(&name).is_err());
        Listener::bind(&name).unwrap();
    }
}

#[test]
fn a_stranger_that_is_killed_at_any_time_has_sent_whole_messages_in_order() {
    // Most messages are longer than the ring, and streamed.
    for (round, by) in By::ALL.into_iter().cycle().take(12).enumerate() {
        let (mut duplex, mut stream) = met(by, "stream", 1 << 16);
        stream.expect("streaming");
        let pid = stream.pid();
        thread::scope(|scope| {
            scope.spawn(move || {
                // Wherever it is by then.
                thread::sleep(Duration::from_micros(500 * round as u64));
                kill(pid, Signal::SIGKILL).unwrap();
            });
            let mut received = 0;
            let end = loop {
                match duplex.recv_bytes_timeout(LONG) {
                    Ok(bytes) => assert!(bytes == message(received), "message {received}"),
                    Err(PipeError::Torn { .. }) => continue,
                    Err(end) => break end,
                }
                received += 1;
            };
            assert!(matches!(end, PipeError::PeerDied { .. }), "after {received}: {end}");
        });
    }
}

#[test]
fn a_client_that_is_killed_before_it_has_joined_holds_up_nobody() {
    let name = unique("before");
    let mut listener = Listener::bind(&name).unwrap();
    // As a client that is killed then leaves it: it has come, and has gone.
    let mut waiting = Peer::fork("waits", |channel| {
        channel.say("ready");
        Client::connect(&name).unwrap();
    });
    waiting.expect("ready");
    waiting.wait_until_in(nix::libc::SYS_ppoll);
    waiting.kill();
    let echo = peer(By::Exec, "echo", &name);
    let mut duplex = listener.accept_timeout(LONG).unwrap();
    duplex.send_bytes(b"x").unwrap();
    assert_eq!(duplex.recv_bytes_timeout(LONG).unwrap(), b"x");
    assert_eq!(listener.refusals().len(), 1);
    drop(duplex);
    echo.join();
}
