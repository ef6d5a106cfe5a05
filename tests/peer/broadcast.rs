//! A peer at a broadcast.

use std::time::Duration;

use shmkit::{
    Broadcast, BroadcastSpec, ObjectError, Objects, Overrun, Publisher, Segment, Start, Subscriber,
};

use crate::Channel;

/// Items of the ring.
pub const CAPACITY: u64 = 4;

/// Makes the broadcast, or finds it.
///
/// # Errors
///
/// Those of a segment.
pub fn make(segment: &Segment, overrun: Overrun) -> Result<Broadcast<u64>, ObjectError> {
    segment.broadcast("broadcast", BroadcastSpec::new(CAPACITY).overrun(overrun))
}

/// The scripts of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    let broadcast: Broadcast<u64> = segment.find("broadcast").expect("made by the test");
    match script {
        // Receives all up to the end, and says how many in order.
        "drain" => {
            let mut subscriber = broadcast.subscribe(Start::Newest).expect("subscribe");
            channel.say("ready");
            let mut next = args[0].parse::<u64>().expect("a number");
            while let Ok(value) = subscriber.recv() {
                assert_eq!(value, next);
                next += 1;
            }
            channel.say(&next.to_string());
        }
        "obey" => obey(&broadcast, channel),
        _ => panic!("no script broadcast/{script}"),
    }
}

/// Does as it is told, and says what came of it.
fn obey(broadcast: &Broadcast<u64>, channel: &mut Channel) {
    let mut publisher: Option<Publisher<u64>> = None;
    let mut subscriber: Option<Subscriber<u64>> = None;
    channel.say("ready");
    loop {
        let line = channel.hear();
        let (word, arg) = line.split_once(' ').unwrap_or((&line, "0"));
        let number = arg.parse::<u64>().unwrap_or(0);
        let answer = match word {
            "end" => return,
            "publisher" => {
                publisher = Some(broadcast.publisher().expect("publisher"));
                String::from("publisher")
            }
            "subscribe" => {
                let start = if arg == "oldest" { Start::Oldest } else { Start::Newest };
                subscriber = Some(broadcast.subscribe(start).expect("subscribe"));
                String::from("subscribed")
            }
            "leave" => {
                (publisher, subscriber) = (None, None);
                String::from("left")
            }
            "send" => {
                let publisher = publisher.as_mut().expect("a publisher");
                format!("{:?}", publisher.send(number).map_err(|e| e.error))
            }
            // Writes to the place of the next item, and publishes nothing.
            "draft" => {
                **publisher.as_mut().expect("a publisher").reserve().as_mut().expect("room") =
                    number;
                String::from("drafted")
            }
            other => {
                let subscriber = subscriber.as_mut().expect("a subscriber");
                match other {
                    "recv" => format!("{:?}", subscriber.recv()),
                    "recv-for" => {
                        format!("{:?}", subscriber.recv_timeout(Duration::from_millis(number)))
                    }
                    "try-recv" => format!("{:?}", subscriber.try_recv()),
                    "await" => format!("{}", subscriber.wait_for_publisher().is_ok()),
                    _ => panic!("no command {other}"),
                }
            }
        };
        channel.say(&answer);
    }
}
