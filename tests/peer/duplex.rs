//! A peer that is met by name, and talks through shared memory.

use std::time::Duration;

use shmkit::PipeError;
use shmkit::duplex::{Client, Duplex, Listener};

use crate::Channel;
use crate::connection::message;

/// Plays one script; its argument is the name.
///
/// # Panics
///
/// If there is no such script, or it finds something wrong.
pub fn run(script: &str, args: &[String], channel: &mut Channel) {
    let name = &args[0];
    match script {
        "echo" => echo(&mut Client::connect(name).expect("connect")),
        "listen" => {
            let mut listener = Listener::bind(name).expect("bind");
            channel.say("listening");
            let mut duplex = listener.accept().expect("accept");
            channel.say("accepted");
            echo(&mut duplex);
            let _ = channel.try_hear(Duration::from_secs(60));
        }
        // Sends as fast as it can, until it is killed.
        "stream" => {
            let mut duplex = Client::connect(name).expect("connect");
            channel.say("streaming");
            for n in 0_u32.. {
                if duplex.send_bytes(&message(n)).is_err() {
                    return;
                }
            }
        }
        // Sends nothing, until it is killed.
        "sit" => {
            let _duplex = Client::connect(name).expect("connect");
            channel.say("sitting");
            let _ = channel.try_hear(Duration::from_secs(60));
        }
        _ => panic!("no script {script}"),
    }
}

fn echo(duplex: &mut Duplex) {
    loop {
        match duplex.recv_bytes() {
            Ok(message) => duplex.send_bytes(&message).expect("send"),
            Err(PipeError::Closed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
