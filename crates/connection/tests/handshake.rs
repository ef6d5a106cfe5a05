//! Listeners and clients, one of the two a bare socket that speaks Python's protocol, or does not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::Sha256;
use shmkit_connection::{
    Address, Client, Connection, ConnectionError, HandshakeError, Key, Listener,
};
use shmkit_wait::wait;
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

fn key() -> Key {
    Key::new("secret")
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    (folder, path)
}

fn port(listener: &Listener) -> SocketAddr {
    match listener.address() {
        Address::Tcp(address) => *address,
        other => panic!("{other}"),
    }
}

fn tcp() -> Address {
    Address::Tcp(([127, 0, 0, 1], 0).into())
}

/// A name in the abstract namespace of this test alone.
fn name(test: &str) -> Address {
    Address::abstract_name(format!("shmkit-test-{}-{test}", std::process::id()))
}

/// What a bare socket says and hears.
struct Bare<S>(S);

impl<S: Read + Write> Bare<S> {
    fn say(&mut self, bytes: &[u8]) {
        // In one piece: who refuses the length may be gone before the rest.
        let length = (bytes.len() as u32).to_be_bytes();
        self.0.write_all(&[length.as_slice(), bytes].concat()).unwrap();
    }

    fn hear(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// What comes after this is the end.
    fn hear_end(&mut self) {
        let read = self.0.read(&mut [0]);
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

fn hmac_sha256(message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(message);
    [b"{sha256}", &*mac.finalize().into_bytes()].concat()
}

fn hmac_md5(message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Md5>::new_from_slice(b"secret").unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Accepts nobody for a moment, which must not be refused either.
fn accepts_nobody(listener: &mut Listener) {
    let error = listener.accept_timeout(SHORT).unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[test]
fn lsn_02_04_05_06_one_of_each_family_meets_another() {
    let (_folder, path) = place();
    for address in [Address::from(path.clone()), name("family"), tcp()] {
        for key in [None, Some(key())] {
            let mut listener = Listener::options().key(key.clone()).bind(&address).unwrap();
            let address = listener.address().clone();
            thread::scope(|scope| {
                let client = scope.spawn(|| {
                    let client = Client::new().key(key.clone());
                    let mut connection = client.connect(&address).unwrap();
                    connection.send_bytes(b"hello").unwrap();
                    assert_eq!(connection.max_len(), 16 << 20);
                });
                let mut accepted = listener.accept().unwrap();
                client.join().unwrap();
                // What was sent and closed before anybody asked for it is there.
                assert_eq!(accepted.recv_bytes().unwrap(), b"hello");
                assert!(matches!(accepted.recv_bytes(), Err(ConnectionError::Closed)));
                assert_eq!(accepted.max_len(), 16 << 20);
            });
            assert!(listener.refusals().is_empty());
        }
    }
    assert!(!path.exists(), "the listener was dropped");
}

#[test]
fn lsn_07_what_the_accepted_side_sends_first_is_there() {
    let mut listener = Listener::options().bind(tcp()).unwrap();
    let address = listener.address().clone();
    thread::scope(|scope| {
        let client = scope.spawn(|| Client::new().connect(&address).unwrap());
        let mut accepted = listener.accept().unwrap();
        let mut client = client.join().unwrap();
        accepted.send_bytes(b"first").unwrap();
        assert!(client.poll_timeout(Duration::from_secs(20)).unwrap());
        assert_eq!(client.recv_bytes().unwrap(), b"first");
    });
}

#[test]
fn aut_04_09_the_bytes_are_those_of_python_3_12() {
    // Listening, as 3.12 does, with the nonce of the golden transcript.
    let (folder, path) = place();
    let golden: Vec<u8> = (0..40).collect();
    let theirs = UnixListener::bind(&path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut bare = Bare(theirs.accept().unwrap().0);
            let challenge = [b"#CHALLENGE#{sha256}", &*golden].concat();
            assert_eq!(challenge.len(), 59);
            bare.say(&challenge);
            let answer = bare.hear();
            assert_eq!(answer, hmac_sha256(&challenge[11..]));
            assert!(
                answer.starts_with(b"{sha256}\xfc\x57\xfb\xe6")
                    && answer.ends_with(b"\xfa\x69\x89")
            );
            bare.say(b"#WELCOME#");
            let challenge = bare.hear();
            assert!(challenge.starts_with(b"#CHALLENGE#{sha256}") && challenge.len() == 59);
            bare.say(&hmac_sha256(&challenge[11..]));
            assert_eq!(bare.hear(), b"#WELCOME#");
            bare.say(b"through");
        });
        let mut connection = Client::new().key(key()).connect(&*path).unwrap();
        assert_eq!(connection.recv_bytes().unwrap(), b"through");
    });
    // Connecting.
    let mut listener = Listener::options().key(key()).bind(folder.path().join("ours")).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut bare = Bare(UnixStream::connect(folder.path().join("ours")).unwrap());
            let challenge = bare.hear();
            bare.say(&hmac_sha256(&challenge[11..]));
            assert_eq!(bare.hear(), b"#WELCOME#");
            bare.say(&[b"#CHALLENGE#{sha256}", &*golden].concat());
            assert_eq!(bare.hear(), hmac_sha256(&[b"{sha256}", &*golden].concat()));
            bare.say(b"#WELCOME#");
            bare.say(b"through");
        });
        assert_eq!(listener.accept().unwrap().recv_bytes().unwrap(), b"through");
    });
}

#[test]
fn aut_11_the_bytes_are_those_of_python_3_11() {
    let mut listener = Listener::options().key(key()).bind(tcp()).unwrap();
    let mut strict = Listener::options().key(key()).legacy(false).bind(tcp()).unwrap();
    for listener in [&mut listener, &mut strict] {
        let address = port(listener);
        let old = thread::spawn(move || {
            let mut bare = Bare(TcpStream::connect(address).unwrap());
            let challenge = bare.hear();
            bare.say(&hmac_md5(&challenge[11..]));
            let answer = bare.hear();
            if answer == b"#WELCOME#" {
                bare.say(&[b"#CHALLENGE#", &[7; 20][..]].concat());
                assert_eq!(bare.hear(), hmac_md5(&[7; 20]));
                bare.say(b"#WELCOME#");
            }
            answer
        });
        let accepted = listener.accept_timeout(Duration::from_secs(1));
        let answer = old.join().unwrap();
        assert_eq!(accepted.is_ok(), answer == b"#WELCOME#");
    }
    assert!(matches!(strict.refusals()[..], [HandshakeError::Legacy]));
}

#[test]
fn aut_05_a_wrong_key_is_told_to_both_sides() {
    let mut listener = Listener::options().key(key()).bind(name("wrong")).unwrap();
    let address = listener.address().clone();
    thread::scope(|scope| {
        let client = scope.spawn(|| Client::new().key(Key::new("guess")).connect(&address));
        let deadline = Instant::now() + LONG;
        let refusal = loop {
            assert!(Instant::now() < deadline);
            accepts_nobody(&mut listener);
            if let Some(refusal) = listener.refusals().pop() {
                break refusal;
            }
        };
        assert!(matches!(refusal, HandshakeError::WrongDigest), "{refusal}");
        let error = client.join().unwrap().unwrap_err();
        assert!(matches!(error, HandshakeError::Rejected), "{error}");
    });
}

#[test]
fn a_listener_that_knows_nothing_is_found_out() {
    let (_folder, path) = place();
    let theirs = UnixListener::bind(&path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Welcomes any answer, and does not know the key.
            let mut bare = Bare(theirs.accept().unwrap().0);
            bare.say(&[b"#CHALLENGE#{sha256}", &[1; 40][..]].concat());
            bare.hear();
            bare.say(b"#WELCOME#");
            let challenge = bare.hear();
            // Its own answer, mirrored.
            bare.say(&challenge[11..]);
            assert_eq!(bare.hear(), b"#FAILURE#");
        });
        let error = Client::new().key(key()).connect(&*path).unwrap_err();
        assert!(matches!(error, HandshakeError::WrongDigest), "{error}");
    });
}

#[test]
fn aut_06_08_who_is_silent_holds_up_nobody_and_is_refused_in_the_end() {
    let limit = Duration::from_millis(300);
    let mut listener = Listener::options().key(key()).handshake_limit(limit).bind(tcp()).unwrap();
    let address = port(&listener);
    // One says nothing, one has no key, one stops in the middle of its answer.
    let silent = TcpStream::connect(address).unwrap();
    let keyless = Client::new().connect(address).unwrap();
    let mut halting = TcpStream::connect(address).unwrap();
    halting.write_all(b"\0\0\0\x28{sha256}").unwrap();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| Client::new().key(key()).connect(address).unwrap().send_bytes(b"x"));
        assert_eq!(listener.accept().unwrap().recv_bytes().unwrap(), b"x");
    });
    while began.elapsed() < limit {
        accepts_nobody(&mut listener);
    }
    accepts_nobody(&mut listener);
    let refusals = listener.refusals();
    assert_eq!(refusals.len(), 3, "{refusals:?}");
    assert!(refusals.iter().all(HandshakeError::is_timeout), "{refusals:?}");
    for mut refused in [silent, halting] {
        refused.read_to_end(&mut Vec::new()).map(drop).unwrap_or_default();
    }
    drop(keyless);
}

#[test]
fn a_client_does_not_wait_for_ever_either() {
    // Nobody accepts; and who listens without a key does not authenticate.
    let listener = Listener::bind(tcp()).unwrap();
    let limit = Duration::from_millis(50);
    let client = Client::new().key(key()).handshake_limit(limit);
    let error = client.connect(port(&listener)).unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let client = Client::new().key(key());
    let error = client.connect_timeout(port(&listener), limit).unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[test]
fn a_crowd_of_silent_ones_makes_room_for_who_comes_last() {
    let mut listener = Listener::options().key(key()).handshakes(4).bind(tcp()).unwrap();
    let address = port(&listener);
    let crowd: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    thread::scope(|scope| {
        scope.spawn(|| Client::new().key(key()).connect(address).unwrap().send_bytes(b"x"));
        assert_eq!(listener.accept().unwrap().recv_bytes().unwrap(), b"x");
    });
    let refusals = listener.refusals();
    assert!(refusals.len() >= 16 && refusals.len() <= 20, "{}", refusals.len());
    assert!(refusals.iter().all(|refusal| matches!(refusal, HandshakeError::Crowded)));
    drop(crowd);
}

#[test]
fn aut_02_10_12_what_is_no_answer_is_refused_at_once() {
    let (_folder, path) = place();
    let mut listener = Listener::options().key(key()).bind(&*path).unwrap();
    // A message of 257 bytes is refused before its body comes.
    let refused: [&[u8]; 6] = [
        b"\0\0\x01\x01",
        b"\xFF\xFF\xFF\xFE",
        b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
        b"\0\0\0\x0C{sha1}answer",
        b"\0\0\0\0",
        b"\0\0\0\x10sixteen bytes ok",
    ];
    for bytes in refused {
        let mut bare = Bare(UnixStream::connect(&path).unwrap());
        bare.0.write_all(bytes).unwrap();
        accepts_nobody(&mut listener);
        let challenge = bare.hear();
        assert!(challenge.starts_with(b"#CHALLENGE#{sha256}"));
        let refusals = listener.refusals();
        assert!(matches!(&refusals[..], [error] if !error.is_timeout()), "{bytes:?}: {refusals:?}");
        // Told, if it spoke the protocol so far.
        if bytes.len() > 12 || bytes.len() == 4 && bytes == b"\0\0\0\0" {
            assert_eq!(bare.hear(), b"#FAILURE#");
        }
        bare.hear_end();
    }
}

#[test]
fn a_client_refuses_what_is_no_challenge() {
    let (_folder, path) = place();
    let theirs = UnixListener::bind(&path).unwrap();
    type Case<'c> = (&'c [u8], fn(&HandshakeError) -> bool);
    let cases: [Case<'_>; 5] = [
        (b"#FAILURE#", |e| matches!(e, HandshakeError::Rejected)),
        (b"hello", |e| matches!(e, HandshakeError::NotSpoken)),
        (b"#CHALLENGE#short", |e| matches!(e, HandshakeError::NotSpoken)),
        (b"#CHALLENGE#{sha1}0123456789012345678901234", |e| {
            matches!(e, HandshakeError::UnsupportedDigest)
        }),
        (&[b'x'; 300], |e| {
            matches!(e, HandshakeError::Connection(ConnectionError::TooLong { length: 300, .. }))
        }),
    ];
    for (said, expected) in cases {
        thread::scope(|scope| {
            scope.spawn(|| Bare(theirs.accept().unwrap().0).say(said));
            let error = Client::new().key(key()).connect(&*path).unwrap_err();
            assert!(expected(&error), "{error}");
        });
    }
}

#[test]
fn lsn_10_a_private_listener_leaves_neither_file_nor_folder() {
    let mut listener = Listener::options().bind_private().unwrap();
    let Address::Unix(path) = listener.address().clone() else { panic!() };
    let folder = path.parent().unwrap();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(folder).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o700);
    let _client = Client::new().connect(&*path).unwrap();
    listener.accept().unwrap();
    drop(listener);
    assert!(!folder.exists());
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_living_one_is_not() {
    let (_folder, path) = place();
    // As a killed listener leaves it.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut listener = Listener::bind(&*path).unwrap();
    let error = Listener::bind(&*path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    accepts_nobody(&mut listener);
    let _client = Client::new().connect(&*path).unwrap();
    listener.accept().unwrap();

    // Somebody else's file at the path is not ours to remove.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(listener);
    assert!(path.exists());
    drop(other);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "text").unwrap();
    let error = Listener::bind(&*path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(fs::read(&path).unwrap(), b"text");
}

#[test]
fn where_nobody_listens_nobody_is_met() {
    let (_folder, path) = place();
    let kind = |address: Address| match Client::new().connect(address).unwrap_err() {
        HandshakeError::Connection(ConnectionError::System(error)) => error.kind(),
        error => panic!("{error}"),
    };
    assert_eq!(kind(path.into()), std::io::ErrorKind::NotFound);
    assert_eq!(kind(name("nobody")), std::io::ErrorKind::ConnectionRefused);
    let free = port(&Listener::bind(tcp()).unwrap());
    assert_eq!(kind(free.into()), std::io::ErrorKind::ConnectionRefused);
    let long = Listener::bind(PathBuf::from("/tmp").join("x".repeat(200))).unwrap_err();
    assert_eq!(long.raw_os_error(), Some(nix_errno()));
}

/// `ENAMETOOLONG`.
fn nix_errno() -> i32 {
    36
}

#[test]
fn lsn_12_a_full_line_is_waited_for_as_long_as_it_is_said() {
    let mut listener = Listener::options().backlog(1).bind(name("full")).unwrap();
    let address = listener.address().clone();
    let mut inside = Vec::new();
    let error = loop {
        match Client::new().connect_timeout(&address, SHORT) {
            Ok(connection) => inside.push(connection),
            Err(error) => break error,
        }
        assert!(inside.len() < 10);
    };
    assert!(error.is_timeout(), "{error}");
    thread::scope(|scope| {
        let client = scope.spawn(|| Client::new().connect(&address).unwrap());
        sleep(SHORT);
        for _ in 0..=inside.len() {
            listener.accept().unwrap();
        }
        client.join().unwrap();
    });
}

#[test]
fn a_listener_is_waited_for_among_others() {
    let (_folder, path) = place();
    for key in [None, Some(key())] {
        let mut listener = Listener::options().key(key.clone()).bind(&*path).unwrap();
        let (quiet, _other) = Connection::pair().unwrap();
        assert_eq!(wait(&[&quiet, &listener], SHORT).unwrap(), []);
        thread::scope(|scope| {
            scope.spawn(|| Client::new().key(key.clone()).connect(&*path).unwrap());
            let accepted = loop {
                assert_eq!(wait(&[&quiet, &listener], LONG).unwrap(), [1]);
                match listener.try_accept() {
                    Err(ConnectionError::WouldBlock) => {}
                    other => break other,
                }
            };
            accepted.unwrap();
        });
        assert_eq!(wait(&[&quiet, &listener], SHORT).unwrap(), [], "nothing of it is left");
    }
}

#[test]
fn several_who_come_at_once_are_all_let_in() {
    let mut listener = Listener::options().key(key()).bind(name("many")).unwrap();
    let address = listener.address().clone();
    thread::scope(|scope| {
        for n in 0..20_u8 {
            let address = &address;
            scope.spawn(move || {
                Client::new().key(key()).connect(address).unwrap().send_bytes(&[n]).unwrap();
            });
        }
        let mut came: Vec<u8> =
            (0..20).map(|_| listener.accept().unwrap().recv_bytes().unwrap()[0]).collect();
        came.sort_unstable();
        assert!(came.into_iter().eq(0..20));
    });
    assert!(listener.refusals().is_empty());
}

#[test]
fn who_is_at_the_other_end_is_known() {
    let mut listener = Listener::bind(name("known")).unwrap();
    let client = Client::new().connect(listener.address()).unwrap();
    let accepted = listener.accept().unwrap();
    for credentials in [client.credentials().unwrap(), accepted.credentials().unwrap()] {
        assert_eq!(credentials.pid, std::process::id());
    }
    // A name that Python would write `"\0..."` is the same one to the standard library.
    let Address::Abstract(bytes) = listener.address() else { panic!() };
    let std = std::os::unix::net::SocketAddr::from_abstract_name(bytes).unwrap();
    let _client = UnixStream::connect_addr(&std).unwrap();
    assert!(listener.accept().unwrap().as_fd().as_raw_fd() >= 0);
}
