//! Python's `multiprocessing.connection` at the other end.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use shmkit::connection::{
    Address, Client, Connection, ConnectionError, HandshakeError, Key, Listener,
};

use crate::support::python::Python;
use crate::support::unique;

const LONG: Duration = Duration::from_secs(60);

fn python() -> Option<Python> {
    let mut python = Python::start()?;
    python.run("from multiprocessing.connection import Client, Listener");
    python.run("from multiprocessing import AuthenticationError, BufferTooShort");
    python.run("from multiprocessing.reduction import send_handle, recv_handle");
    Some(python)
}

fn key() -> Key {
    Key::new("secret")
}

/// An address of each family, and as Python writes it; where Python listens, it chooses the port.
fn addresses(folder: &Path) -> [(Address, String); 3] {
    let path: PathBuf = folder.join("socket");
    let name = unique("python");
    [
        (path.clone().into(), format!("{path:?}")),
        (Address::abstract_name(name.clone()), format!(r"'\0{name}'")),
        (Address::Tcp(([127, 0, 0, 1], 0).into()), "('127.0.0.1', 0)".to_owned()),
    ]
}

/// `theirs` in Python, connected to what is returned.
fn connected(python: &mut Python) -> Connection {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut listener = Listener::options().key(key()).bind(&*path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| python.run(&format!("theirs = Client({path:?}, authkey=b'secret')")));
        listener.accept_timeout(LONG).unwrap()
    })
}

#[test]
fn lsn_05_aut_04_11_python_connects_to_a_listener_of_ours() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (address, theirs) in addresses(folder.path()) {
        for (key, authkey) in [(Some(key()), "b'secret'"), (None, "None")] {
            let mut listener = Listener::options().key(key).bind(&address).unwrap();
            let theirs = match listener.address() {
                Address::Tcp(address) => format!("('127.0.0.1', {})", address.port()),
                _ => theirs.clone(),
            };
            let mut connection = thread::scope(|scope| {
                scope
                    .spawn(|| python.run(&format!("theirs = Client({theirs}, authkey={authkey})")));
                listener.accept_timeout(LONG).unwrap()
            });
            python.run("theirs.send_bytes(b'hello')");
            assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"hello");
            connection.send_bytes(b"there").unwrap();
            python.expect("theirs.recv_bytes()", "b'there'");
            python.run("theirs.close()");
            assert!(matches!(connection.recv_bytes_timeout(LONG), Err(ConnectionError::Closed)));
        }
    }
    python.end();
}

#[test]
fn lsn_05_aut_04_11_a_client_of_ours_connects_to_python() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (address, theirs) in addresses(folder.path()) {
        for (key, authkey) in [(Some(key()), "b'secret'"), (None, "None")] {
            python.run(&format!("listener = Listener({theirs}, authkey={authkey})"));
            let address = match &address {
                Address::Tcp(_) => {
                    let port: u16 = python.ask("listener.address[1]").parse().unwrap();
                    Address::Tcp(([127, 0, 0, 1], port).into())
                }
                address => address.clone(),
            };
            let mut connection = thread::scope(|scope| {
                scope.spawn(|| python.run("theirs = listener.accept()"));
                Client::new().key(key).connect_timeout(address, LONG).unwrap()
            });
            python.run("theirs.send_bytes(b'hello')");
            assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"hello");
            drop(connection);
            let end = python.ask("theirs.recv_bytes()");
            assert!(end.starts_with("EOFError"), "{end}");
            python.run("listener.close()");
        }
    }
    python.end();
}

#[test]
fn aut_05_a_wrong_key_is_told_to_python_and_by_python() {
    let Some(mut python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let mut listener = Listener::options().key(key()).bind(&*path).unwrap();
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| python.ask(&format!("Client({path:?}, authkey=b'guess')")));
        while !asked.is_finished() {
            let error = listener.accept_timeout(Duration::from_millis(5)).unwrap_err();
            assert!(error.is_timeout(), "{error}");
        }
        asked.join().unwrap()
    });
    assert!(answer.starts_with("AuthenticationError: digest sent was rejected"), "{answer}");
    assert!(matches!(listener.refusals()[..], [HandshakeError::WrongDigest]));
    drop(listener);

    python.run(&format!("listener = Listener({path:?}, authkey=b'other')"));
    let (answer, error) = thread::scope(|scope| {
        let asked = scope.spawn(|| python.ask("listener.accept()"));
        let error = Client::new().key(key()).connect_timeout(&*path, LONG).unwrap_err();
        (asked.join().unwrap(), error)
    });
    assert!(answer.starts_with("AuthenticationError: digest received was wrong"), "{answer}");
    assert!(matches!(error, HandshakeError::Rejected), "{error}");
    python.end();
}

#[test]
fn pip_02_05_08_15_messages_of_all_lengths_go_both_ways() {
    let Some(mut python) = python() else { return };
    let mut connection = connected(&mut python);
    for len in [0, 1, 16_384, 16_385, 1 << 20] {
        let message: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        thread::scope(|scope| {
            scope.spawn(|| python.run("came = theirs.recv_bytes(); theirs.send_bytes(came)"));
            connection.send_bytes_timeout(&message, LONG).unwrap();
            assert!(connection.recv_bytes_timeout(LONG).unwrap() == message, "{len} bytes");
        });
    }
    // PIP-01: what Python pickles is bytes here, and comes back as it was.
    python.run("theirs.send({'a': [1, 2.5, None]})");
    let pickled = connection.recv_bytes_timeout(LONG).unwrap();
    connection.send_bytes(&pickled).unwrap();
    python.expect("theirs.recv()", "{'a': [1, 2.5, None]}");
    // PIP-03, PIP-05.
    python.run("buffer = bytearray(8)");
    connection.send_bytes(b"four").unwrap();
    python.expect(
        "theirs.recv_bytes_into(buffer, 3), bytes(buffer)",
        r"(4, b'\x00\x00\x00four\x00')",
    );
    connection.send_bytes(b"nine byte").unwrap();
    let answer = python.ask("theirs.recv_bytes_into(buffer)");
    assert!(answer.contains("BufferTooShort"), "{answer}");
    // PIP-20: a header of the long form, which Python reads of small messages, too.
    python.run("import os, struct");
    python.expect("os.write(theirs.fileno(), struct.pack('!iQ', -1, 4) + b'long')", "16");
    assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"long");
    python.expect("theirs.poll(0)", "False");
    connection.send_bytes(b"").unwrap();
    python.expect("theirs.poll(10), theirs.recv_bytes()", "(True, b'')");
    python.end();
}

#[test]
fn fdp_01_03_descriptors_go_to_python_and_come_from_it() {
    let Some(mut python) = python() else { return };
    let mut connection = connected(&mut python);
    python.run("import os");
    let mut file = tempfile::tempfile().unwrap();
    connection.send_descriptor(file.as_fd()).unwrap();
    python.run("handle = recv_handle(theirs); os.write(handle, b'foo'); os.close(handle)");
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "foo");

    python.run("r, w = os.pipe(); send_handle(theirs, w, os.getpid()); os.close(w)");
    let mut writer: File = connection.recv_descriptor_timeout(LONG).unwrap().into();
    writer.write_all(b"bar").unwrap();
    drop(writer);
    python.expect("os.read(r, 10), os.read(r, 10)", "(b'bar', b'')");

    python.expect("os.write(theirs.fileno(), b'x')", "1");
    let error = connection.recv_descriptor_timeout(LONG).unwrap_err();
    assert!(matches!(error, ConnectionError::NoDescriptor), "{error}");
    python.end();
}

#[test]
fn pip_22_a_python_that_is_killed_in_the_middle_of_a_message_is_told_of() {
    let Some(mut python) = python() else { return };
    let mut connection = connected(&mut python);
    python.run("theirs.send_bytes(b'whole')");
    python.run("import os; os.write(theirs.fileno(), b'\\0\\0\\0\\x0ahalf')");
    python.kill();
    assert_eq!(connection.recv_bytes_timeout(LONG).unwrap(), b"whole");
    let error = connection.recv_bytes_timeout(LONG).unwrap_err();
    assert!(matches!(error, ConnectionError::CutShort { got: 4, length: Some(10) }), "{error}");
}
