//! A peer that waits for several things at once, or makes one of them ready.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use shmkit::wait::{Pollable, Ready, wait};
use shmkit::{Objects, Segment};

use crate::Channel;

/// Longer than any machine takes.
const LONG: Duration = Duration::from_secs(60);

/// Plays one script.
///
/// # Panics
///
/// If there is no such script, or it finds something wrong.
pub(crate) fn play(script: &str, segment: &Segment, channel: &mut Channel) {
    let event = segment.event("event").expect("event");
    let pipe = segment.pipe::<u64>("pipe", 4).expect("pipe");
    match script {
        // Makes ready what it is told to.
        "ring" => {
            let mut sender = pipe.sender().expect("sender");
            channel.say("ready");
            loop {
                match channel.hear().as_str() {
                    "event" => event.set().expect("set"),
                    "pipe" => sender.send(7).expect("send"),
                    _ => return,
                }
            }
        }
        // The same, for one of them by a descriptor.
        "poll" => {
            let mut pollable = Pollable::new().expect("pollable");
            // Before it says so: what is set already needs no thread.
            let mut is_set = pollable.arm(&event).expect("arm");
            assert!(!is_set, "nobody knows of us yet");
            channel.say("ready");
            while !is_set {
                assert_eq!(wait(&[&pollable], LONG).expect("wait"), [0]);
                is_set = pollable.arm(&event).expect("arm");
            }
            channel.say("set");
        }
        // Waits for what others make ready, beside a descriptor of its own, and says by which it was woken.
        "listen" => {
            let mut receiver = pipe.receiver().expect("receiver");
            let (mut ours, theirs) = UnixStream::pair().expect("pair");
            channel.say("ready");
            loop {
                let things: [&dyn Ready; 3] = [&event, &receiver, &theirs];
                let ready = wait(&things, LONG).expect("wait");
                channel.say(&format!("{ready:?}"));
                match ready.first() {
                    Some(0) => event.clear().expect("clear"),
                    Some(1) => match receiver.try_recv() {
                        Ok(item) => channel.say(&item.to_string()),
                        Err(error) => {
                            channel.say(&format!("{error:?}"));
                            ours.write_all(&[0]).expect("write");
                            drop(receiver);
                            assert_eq!(wait(&[&event, &theirs], LONG).expect("wait"), [1]);
                            return channel.say("end");
                        }
                    },
                    _ => unreachable!("nobody has written"),
                }
            }
        }
        _ => panic!("no script {script}"),
    }
}
