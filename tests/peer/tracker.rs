//! Peers that live in segments, or sweep them.

use std::time::Duration;

use shmkit_segment::{OpenOptions, Options};
use shmkit_tracker::{Fate, Kind, Sweep, Tracker};

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
        "client" => client(directory, channel),
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

/// A kind by its name.
///
/// # Panics
///
/// If there is no such kind.
pub fn kind(name: &str) -> Kind<'_> {
    match name {
        "semaphore" => Kind::Semaphore,
        "memory" => Kind::SharedMemory,
        "socket" => Kind::Socket,
        "file" => Kind::File,
        "folder" => Kind::Directory,
        "command" => Kind::Command,
        custom => Kind::Custom(custom),
    }
}

/// A program with a tracker, which does what it is told; names may have escapes (`\\xff`).
pub fn client(directory: &str, channel: &mut Channel) {
    let tracker = Tracker::in_directory(directory).expect("join the register");
    let mut segments = Vec::new();
    channel.say("ready");
    loop {
        let line = channel.hear();
        let words: Vec<_> = line.split(' ').collect();
        let answer = match words[..] {
            ["start"] => tracker.start().map(|watching| format!("{watching:?}")),
            ["register", of, name] => {
                tracker.register(kind(of), unescaped(name)).map(|()| "registered".to_owned())
            }
            ["announce", of, name] => {
                tracker.announce(kind(of), unescaped(name)).map(|()| "announced".to_owned())
            }
            ["unregister", of, name] => {
                tracker.unregister(kind(of), unescaped(name)).map(|was| was.to_string())
            }
            ["create", name] => {
                let options = Options::new(4096).directory(directory);
                segments.push(options.create(name).expect("create"));
                Ok("created".to_owned())
            }
            ["open", name] => {
                segments.push(OpenOptions::new().directory(directory).open(name).expect("open"));
                Ok("opened".to_owned())
            }
            ["leave"] => {
                segments.clear();
                Ok("left".to_owned())
            }
            ["end"] => return,
            _ => panic!("what is {line:?}?"),
        };
        channel.say(&answer.unwrap_or_else(|error| format!("{:?}", error.kind())));
    }
}

/// Bytes by their escapes.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match after {
            [b'x', a, b, after @ ..] if *first == b'\\' => {
                let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8;
                bytes.push(digit(*a) << 4 | digit(*b));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}
