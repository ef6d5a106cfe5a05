//! Peers that live in segments, or sweep them.

use std::time::Duration;

use shmkit_segment::{OpenOptions, Options};
use shmkit_tracker::{Fate, Sweep};

use crate::Channel;
use crate::directory::{Spec, Words};

/// The tracker's scripts; the first argument is the directory of the segments.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    let directory = &args[0];
    match script {
        "live" => live(directory, &args[1], channel),
        "persist" => {
            let options = Options::new(4096).persistent(true).directory(directory);
            let segment = options.create(&args[1]).expect("create");
            channel.say("made");
            channel.hear();
            drop(segment);
        }
        "join" => {
            let segment = OpenOptions::new().directory(directory).open(&args[1]).expect("open");
            channel.say("joined");
            channel.hear();
            drop(segment);
        }
        "sweep" => sweep(directory, channel),
        _ => panic!("no script {script}"),
    }
}

/// Makes a segment with an object in it, and lives in it until it hears something.
fn live(directory: &str, name: &str, channel: &mut Channel) {
    let options = Options::new(4096).content("test/1").directory(directory);
    let segment = options.create(name).expect("create");
    let _: Words = segment.make("hits", Spec::new(3, 1)).expect("make");
    channel.say("made");
    channel.hear();
}

/// Sweeps until it hears something, then says how many segments it removed.
fn sweep(directory: &str, channel: &mut Channel) {
    let mut removed = 0;
    channel.say("sweeping");
    while channel.try_hear(Duration::from_millis(2)).is_none() {
        for _ in 0..100 {
            for swept in Sweep::new().directory(directory).run().expect("sweep").files {
                match swept.fate {
                    Fate::Removed => removed += 1,
                    Fate::Failed(error) => panic!("{error}"),
                    Fate::Unreadable(error) => panic!("{error}"),
                    _ => {}
                }
            }
        }
    }
    channel.say(&removed.to_string());
}
