//! Two that meet, in one process.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use shmkit_connection::{Address, ConnectionError, HandshakeError, Key};
use shmkit_duplex::{Client, Duplex, Listener, MeetError, Options};
use shmkit_pipe::PipeError;
use shmkit_wait::wait;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

fn name(test: &str) -> String {
    format!("test-{}-{test}", std::process::id())
}

fn met(test: &str, options: &Options) -> (Duplex, Duplex) {
    let mut listener = options.bind(&name(test)).unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| options.connect(&name(test)).unwrap());
        (listener.accept_timeout(LONG).unwrap(), client.join().unwrap())
    })
}

#[test]
fn messages_of_all_lengths_go_both_ways() {
    let (mut one, mut other) = met("lengths", &Options::new().capacity(4096));
    for len in [0, 1, 100, 4096, 100_000] {
        let message: Vec<u8> = (0..len).map(|n| n as u8).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                let came = other.recv_bytes().unwrap();
                other.send_bytes(&came).unwrap();
            });
            one.send_bytes(&message).unwrap();
            assert!(one.recv_bytes().unwrap() == message, "{len} bytes");
        });
    }
    one.send_bytes(&[7; 10]).unwrap();
    let error = other.recv_bytes_into(&mut [0; 4]).unwrap_err();
    assert!(matches!(error, PipeError::TooShort { .. }), "{error}");
    let mut to = [0; 12];
    assert_eq!(other.recv_bytes_into(&mut to), Ok(10));
    assert_eq!(other.try_recv_bytes(), Err(PipeError::Empty));
    drop(one);
    assert_eq!(other.recv_bytes(), Err(PipeError::Closed));
}

#[test]
fn a_duplex_is_waited_for_among_others_and_descriptors_go_beside_it() {
    let (mut one, mut other) = met("wait", &Options::new());
    assert_eq!(wait(&[&one, &other], Duration::ZERO).unwrap(), []);
    one.send_bytes(b"x").unwrap();
    assert_eq!(wait(&[&one, &other], LONG).unwrap(), [1]);
    assert_eq!(other.try_recv_bytes().unwrap(), b"x");
    one.socket().send_descriptor(std::io::stdin().as_fd()).unwrap();
    other.socket().recv_descriptor_timeout(LONG).unwrap();
    assert_eq!(other.credentials().unwrap().pid, std::process::id());
}

#[test]
fn a_name_is_free_again_and_taken_once() {
    let listener = Listener::bind(&name("taken")).unwrap();
    let error = std::io::Error::from(Listener::bind(&name("taken")).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    drop(listener);
    let error = std::io::Error::from(Client::connect(&name("taken")).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    Listener::bind(&name("taken")).unwrap();
    for odd in ["", &"x".repeat(81)] {
        assert!(matches!(Listener::bind(odd), Err(MeetError::Name { .. })));
        assert!(matches!(Client::connect(odd), Err(MeetError::Name { .. })));
    }
}

#[test]
fn a_key_is_asked_for() {
    let options = Options::new().key(Key::new("secret"));
    let (mut one, mut other) = met("key", &options);
    one.send_bytes(b"x").unwrap();
    assert_eq!(other.recv_bytes().unwrap(), b"x");
    let mut listener = options.bind(&name("key")).unwrap();
    thread::scope(|scope| {
        let guess = Options::new().key(Key::new("guess"));
        let client = scope.spawn(move || guess.connect(&name("key")).unwrap_err());
        while !client.is_finished() {
            assert!(listener.accept_timeout(SHORT).unwrap_err().is_timeout());
        }
        let error = client.join().unwrap();
        assert!(matches!(error, MeetError::Handshake(HandshakeError::Rejected)), "{error}");
    });
    assert!(matches!(listener.refusals()[..], [MeetError::Handshake(HandshakeError::WrongDigest)]));
}

/// Where the listener of a name is, as the documentation says.
fn address(name: &str) -> Address {
    Address::abstract_name(format!("shmkit/{}/{name}", nix::unistd::geteuid()))
}

#[test]
fn who_does_not_do_its_part_holds_up_nobody() {
    let options = Options::new().limit(Duration::from_millis(200));
    let name = name("part");
    let mut listener = options.bind(&name).unwrap();
    let connect = || shmkit_connection::Client::new().connect(address(&name)).unwrap();
    // Silent; in another protocol; gone before it has joined; never joins.
    let _silent = connect();
    let mut foreign = connect();
    foreign.send_bytes(b"GET / HTTP/1.0").unwrap();
    let mut gone = connect();
    gone.send_bytes(b"shmkit duplex 1").unwrap();
    drop(gone);
    let mut half = connect();
    half.send_bytes(b"shmkit duplex 1").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| Options::new().connect(&name).unwrap().send_bytes(b"x"));
        assert_eq!(listener.accept().unwrap().recv_bytes().unwrap(), b"x");
    });
    assert_eq!(foreign.recv_bytes().unwrap(), b"-shmkit duplex 1 is spoken here\n");
    assert!(listener.accept_timeout(Duration::from_millis(400)).unwrap_err().is_timeout());
    let refusals = listener.refusals();
    assert_eq!(refusals.len(), 4, "{refusals:?}");
    assert_eq!(refusals.iter().filter(|error| error.is_timeout()).count(), 2, "{refusals:?}");
}

#[test]
fn a_client_gives_up_and_says_what_it_was_told() {
    let name = name("gives-up");
    let mut bare = shmkit_connection::Listener::bind(address(&name)).unwrap();
    let options = Options::new().limit(SHORT);
    let error = options.connect(&name).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    bare.accept().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for answer in [&b"-no memory"[..], b"+x", b"hello"] {
                let mut connection = bare.accept().unwrap();
                connection.recv_bytes().unwrap();
                connection.send_bytes(answer).unwrap();
            }
            // Sends no segment.
            let mut connection = bare.accept().unwrap();
            connection.recv_bytes().unwrap();
            connection.send_bytes(b"+").unwrap();
        });
        let refused = Client::connect(&name).unwrap_err();
        assert!(matches!(refused, MeetError::Refused(why) if why == "no memory"));
        for _ in 0..2 {
            assert!(matches!(Client::connect(&name), Err(MeetError::NotSpoken)));
        }
        assert!(matches!(Client::connect(&name), Err(MeetError::Segment(_))));
    });
    let error = ConnectionError::from(shmkit_sync::GivenUp::TimedOut);
    assert!(error.is_timeout());
}

#[test]
fn more_memory_than_there_is_is_refused_to_both() {
    let options = Options::new().capacity(1 << 34);
    let mut listener = options.bind(&name("memory")).unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| Client::connect(&name("memory")));
        while !client.is_finished() {
            assert!(listener.accept_timeout(SHORT).unwrap_err().is_timeout());
        }
        assert!(matches!(client.join().unwrap(), Err(MeetError::Refused(_))));
    });
    assert!(matches!(listener.refusals()[..], [MeetError::Segment(_)]));
}
