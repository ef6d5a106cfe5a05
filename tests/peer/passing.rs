//! Who receives segments through a socket, and who sends them.

use std::os::unix::net::UnixStream;
use std::path::Path;

use shmkit::{Located, Mutex, Objects, OpenOptions, Options};

use crate::Channel;

pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let socket = UnixStream::connect(&args[0]).expect("connect");
    match script {
        "lock" => lock(&socket, channel),
        "lock-as-nobody" => {
            crate::segment_faults::become_nobody();
            lock(&socket, channel);
        }
        "object" => {
            let total = Located::<Mutex<u64>>::receive(&socket).expect("receive");
            channel.say(&format!("{} is {}", total.name(), *total.lock().expect("lock")));
        }
        "send" => send(&socket, Path::new(&args[0]).parent().expect("a folder"), channel),
        _ => panic!("no script {script}"),
    }
}

/// Receives, changes under a lock, and waits for its end.
fn lock(socket: &UnixStream, channel: &mut Channel) {
    let segment = OpenOptions::new().owner(None).receive(socket).expect("receive");
    let total = segment.mutex("total", 0_u64).expect("find");
    let mut guard = total.lock().expect("lock");
    let found = *guard;
    *guard += 1;
    channel.say(&format!("locked, and {found}"));
    // Until it is killed.
    let _ = channel.try_hear(std::time::Duration::from_secs(60));
}

/// Sends one that has a name, and one that has none, and waits for its end.
fn send(socket: &UnixStream, directory: &Path, channel: &mut Channel) {
    let named = Options::new(64).directory(directory).create("dead").expect("create");
    named.send(socket).expect("send");
    let anonymous = Options::new(4096).anonymous().expect("create");
    anonymous.mutex("total", 7_u64).expect("make");
    anonymous.send(socket).expect("send");
    channel.say("sent");
    let _ = channel.try_hear(std::time::Duration::from_secs(60));
}
