//! How much of whom is put up with.

use std::io::{IoSlice, Read, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use shmkit_call::{CallErrorKind, Client, Server};

use super::{LONG, address, name, nothing, pool, raw, refused, served, until};

#[test]
fn silent_clients_hold_up_nobody_and_more_than_are_served_are_told() {
    let pool = pool(1);
    let (server, client) = served("silent", &pool);
    // Three are served at a time.
    let [one, other, third] = [0; 3].map(|_| raw(server.name()));
    let (kind, message) = refused(client.call::<u64>("square", &[12]));
    assert_eq!(kind, CallErrorKind::Busy);
    assert!(message.contains("serves 3 clients, and no more at a time"), "{message}");
    drop(third);
    until(|| client.call::<u64>("square", &[12]).is_ok_and(|answer| answer == 144));
    drop((one, other));
}

#[test]
fn a_crowd_is_refused_without_waiting_for_each_other() {
    let pool = pool(1);
    let (server, client) = served("crowd", &pool);
    let held = [0; 3].map(|_| raw(server.name()));
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(refused(client.call::<u64>("square", &[12])).0, CallErrorKind::Busy);
    }
    // The first one waits 50 ms for room; all of them would wait 5 s.
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    drop(held);
}

#[test]
fn a_client_that_comes_again_at_once_is_never_one_too_many() {
    let (pool, name) = (pool(1), name("again"));
    let _server = Server::builder(&name).task(nothing).connections(1).start(&pool).unwrap();
    let client = Client::new(name).unwrap().timeout(LONG);
    for _ in 0..500 {
        client.tasks().unwrap();
    }
}

#[test]
fn descriptors_that_a_client_sends_do_not_stay_with_the_program() {
    let pool = pool(1);
    let (server, _client) = served("descriptors", &pool);
    let request = br#"{"call": 1}"#;
    let length = u32::try_from(request.len()).unwrap().to_be_bytes();
    // Heard while the server still waits for the rest: on a busy machine it may have left.
    until(|| {
        let address = SocketAddr::from_abstract_name(address(server.name())).unwrap();
        let mut client = UnixStream::connect_addr(&address).unwrap();
        let (mut end, kept) = pipe().unwrap();
        let along = [kept.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&along)];
        let first = [IoSlice::new(&length[..1])];
        sendmsg::<()>(client.as_raw_fd(), &first, &rights, MsgFlags::empty(), None).unwrap();
        drop(kept);
        assert_eq!(end.read(&mut [0]).unwrap(), 0);
        let mut heard = Vec::new();
        let sent = client.write_all(&length[1..]).and_then(|()| client.write_all(request));
        sent.and_then(|()| client.read_to_end(&mut heard)).is_ok_and(|n| n > 0)
    });
}

#[test]
fn a_silent_client_is_left_after_a_while() {
    let pool = pool(1);
    let (server, _client) = served("left", &pool);
    let begun = Instant::now();
    let mut silent = raw(server.name());
    // A part of a request is none.
    silent.try_send_bytes(b"{").unwrap();
    let heard = silent.recv_bytes_timeout(LONG).unwrap();
    assert!(String::from_utf8(heard).unwrap().contains("not-spoken"));
    let mut silent = raw(server.name());
    assert!(silent.recv_bytes_timeout(LONG).is_err_and(|error| !error.is_timeout()));
    assert!(begun.elapsed() >= Duration::from_secs(5));
}

#[test]
fn requests_and_answers_are_as_long_as_was_said() {
    let pool = pool(1);
    let (server, client) = served("long", &pool);
    let long = "x".repeat(1 << 17);
    let (kind, message) = refused(client.call::<u8>("parse", &(long,)));
    assert_eq!(kind, CallErrorKind::TooLong);
    assert!(message.starts_with("the request has 131"), "{message}");
    let (kind, message) = refused(client.call::<Vec<u8>>("sevens", &(1 << 16,)));
    assert_eq!(kind, CallErrorKind::TooLong);
    assert!(message.starts_with("the answer has 131"), "{message}");
    let (kind, message) = refused(client.call::<()>("complains", &(1 << 16,)));
    assert_eq!(kind, CallErrorKind::Failed);
    let said = "… (cut: the error has 131072 bytes, and an answer 65536 at most, `max_len`)";
    assert!(message.starts_with("éé") && message.ends_with(said), "{message}");
    assert!((65_400..=65_536).contains(&message.len()), "{}", message.len());
    let (_, message) = refused(client.call::<()>("complains", &(1 << 14,)));
    assert_eq!(message.len(), 1 << 15, "as it is");
    // What is no request is told so.
    for (sent, told) in
        [("{}", "missing field"), ("[7", "no request"), (r#"{"call": 2}"#, "version 2")]
    {
        let mut client = raw(server.name());
        client.send_bytes(sent.as_bytes()).unwrap();
        let heard = String::from_utf8(client.recv_bytes_timeout(LONG).unwrap()).unwrap();
        assert!(heard.contains(r#""kind":"not-spoken""#) && heard.contains(told), "{heard}");
    }
}
