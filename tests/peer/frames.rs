//! A peer at two pipes of messages, one there and one back.

use shmkit::{FrameReceiver, FrameSender, Frames, Objects, PipeError, Segment};

use crate::Channel;

/// Bytes of each pipe.
pub const CAPACITY: u64 = 1 << 16;
/// Bytes of a message that is many times as long.
pub const LONG: usize = 4 << 20;

/// Makes the pipes, or finds them: the one to the peer, and the one back.
pub fn make(segment: &Segment) -> [Frames; 2] {
    ["there", "back"].map(|name| segment.frames(name, CAPACITY).expect("there is room"))
}

/// Makes a message that no other one is like.
pub fn message(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at * 7 + at / 256) as u8).collect()
}

/// The scripts of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, segment: &Segment, channel: &mut Channel) {
    let [there, back] = make(segment);
    let receiver = || there.receiver().expect("nobody has it");
    let sender = || back.sender().expect("nobody has it");
    match script {
        "echo" => echo(receiver(), sender()),
        "stream" => stream(sender(), channel),
        "take" => take(receiver(), channel),
        "say" => say(sender(), channel),
        _ => panic!("no script frames/{script}"),
    }
}

/// Sends back what comes, up to its end.
fn echo(mut receiver: FrameReceiver, mut sender: FrameSender) {
    loop {
        match receiver.recv() {
            Ok(message) => sender.send(&message).expect("sent"),
            Err(error) => return assert_eq!(error, PipeError::Closed),
        }
    }
}

/// Sends a short message, and then long ones without end.
fn stream(mut sender: FrameSender, channel: &mut Channel) {
    sender.send(b"short").expect("sent");
    channel.say("ready");
    let message = message(1, LONG);
    while sender.send(&message).is_ok() {}
}

/// Takes messages, and says the length of each: the first one when it is told to release it.
fn take(mut receiver: FrameReceiver, channel: &mut Channel) {
    let first = receiver.peek().expect("a message");
    channel.say(&first.len().to_string());
    channel.hear();
    first.release().expect("ours");
    loop {
        let next = receiver.recv().expect("a message");
        channel.say(&next.len().to_string());
    }
}

/// Sends each line that it hears, but for its first character, and leaves at an empty one.
fn say(mut sender: FrameSender, channel: &mut Channel) {
    channel.say("ready");
    while let Some(line) = channel.hear().strip_prefix('>') {
        sender.send(line.as_bytes()).expect("sent");
    }
}
