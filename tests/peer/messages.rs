//! A peer at a queue of messages.

use shmkit::{MessageLease, MessageQueue, MessageSpec, ObjectError, Objects, Segment};

use crate::Channel;

/// Messages of the queue.
pub const CAPACITY: u64 = 6;
/// Bytes of its heap, tables included: room for one of the largest messages.
pub const BYTES: u64 = 256 << 10;
/// Of a message that leaves no room for a second one.
pub const LARGE: usize = 130_000;

/// Makes the queue, or finds it.
///
/// # Errors
///
/// Those of a segment.
pub fn make(segment: &Segment) -> Result<MessageQueue, ObjectError> {
    segment.message_queue("messages", MessageSpec::new(CAPACITY, BYTES))
}

/// The message of a number, with which it begins: of any length up to the largest, which the number says.
pub fn message(number: usize) -> Vec<u8> {
    let len = match number % 4 {
        0 => 4 + number % 100,
        1 => 100 + number % 300,
        2 => 4000 + number % 200,
        _ => 40_000,
    };
    let mut message: Vec<u8> = (0..len).map(|i| (number * 31 + i) as u8).collect();
    message[..4].copy_from_slice(&(number as u32).to_le_bytes());
    message
}

/// The scripts of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    let queue: MessageQueue = segment.find("messages").expect("made by the test");
    match script {
        "put" => {
            let [first, last] = [0, 1].map(|i| args[i].parse::<usize>().expect("a number"));
            for number in first..last {
                queue.put(&message(number)).expect("put");
            }
        }
        "obey" => obey(&queue, channel),
        _ => panic!("no script messages/{script}"),
    }
}

/// Does as it is told, and says what came of it.
fn obey(queue: &MessageQueue, channel: &mut Channel) {
    let mut lease: Option<MessageLease<'_>> = None;
    channel.say("ready");
    loop {
        let answer = match channel.hear().as_str() {
            "put" => format!("{:?}", queue.put(&vec![1; LARGE])),
            "take" => {
                lease = Some(queue.take().expect("take"));
                format!("{:?}", lease.as_deref().map(<[u8]>::len))
            }
            "done" => format!("{:?}", lease.take().expect("taken").done()),
            "end" => return,
            word => panic!("no command {word}"),
        };
        channel.say(&answer);
    }
}
