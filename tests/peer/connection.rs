//! A peer at the other end of a connection.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use shmkit::connection::{Client, Connection, ConnectionError, Key, Listener};

use crate::Channel;

/// The key of both sides.
pub const SECRET: &[u8] = b"secret";

/// Plays one script; its argument is the path of a socket.
///
/// # Panics
///
/// If there is no such script, or it finds something wrong.
pub fn run(script: &str, args: &[String], channel: &mut Channel) {
    let path = Path::new(&args[0]);
    match script {
        "echo" => echo(&mut Client::new().connect(path).expect("connect")),
        // Listens, until it is killed.
        "listen" => {
            let options = Listener::options().key(Key::new(SECRET));
            let mut listener = options.bind(path).expect("bind");
            channel.say("listening");
            let mut connection = listener.accept().expect("accept");
            channel.say("accepted");
            echo(&mut connection);
            wait_for_the_end(channel);
        }
        // Sends a message, and a part of another one.
        "halt" => {
            let mut socket = UnixStream::connect(path).expect("connect");
            socket.write_all(b"\0\0\0\x05whole").expect("write");
            let part = args[1].parse::<usize>().expect("a number");
            socket.write_all(&b"\0\0\0\x0Ahalf of it"[..part]).expect("write");
            channel.say("halted");
            wait_for_the_end(channel);
        }
        // Sends as fast as it can, until it is killed.
        "stream" => {
            let mut connection = Client::new().connect(path).expect("connect");
            channel.say("streaming");
            for n in 0_u32.. {
                let message = message(n);
                if connection.send_bytes(&message).is_err() {
                    return;
                }
            }
        }
        // Receives as fast as it can, until it is killed.
        "swallow" => {
            let mut connection = Client::new().connect(path).expect("connect");
            channel.say("swallowing");
            while connection.recv_bytes().is_ok() {}
        }
        // Begins to authenticate, and goes no further.
        "dawdle" => {
            let _socket = UnixStream::connect(path).expect("connect");
            channel.say("silent");
            wait_for_the_end(channel);
        }
        _ => panic!("no script {script}"),
    }
}

/// Message `n` of a stream: told from every other one, and of many lengths.
pub fn message(n: u32) -> Vec<u8> {
    let len = 4 + (n as usize * 7919) % 300_000;
    let mut message = vec![n as u8; len];
    message[..4].copy_from_slice(&n.to_be_bytes());
    message
}

/// Sends everything back until the other side closes.
fn echo(connection: &mut Connection) {
    loop {
        match connection.recv_message() {
            Ok(message) => {
                let descriptors: Vec<_> =
                    message.descriptors.iter().map(std::os::fd::AsFd::as_fd).collect();
                connection.send_message(&message.bytes, &descriptors).expect("send");
            }
            Err(ConnectionError::Closed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn wait_for_the_end(channel: &mut Channel) {
    let _ = channel.try_hear(Duration::from_secs(60));
}
