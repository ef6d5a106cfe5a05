//! Peers that make, join and leave segments, and do as they are told in between.

use std::path::Path;
use std::process::{Command, Stdio};

use shmkit_atomic::AtomicU8;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::Offset;
use shmkit_roster::Judge;
use shmkit_segment::{CommandExt, OpenOptions, Options, Segment, SegmentError};

use crate::Channel;

/// The scripts: how to come to the segment. Arguments: a directory and a name, or a key.
pub(crate) fn run(script: &str, args: &[String], channel: &mut Channel) {
    if script == "start" {
        // For whoever wants all peers to begin at once.
        channel.say("ready");
        channel.hear();
        return run(&args[0], &args[1..], channel);
    }
    let options = || small(Path::new(&args[0]));
    let segment = match script {
        "create" => options().create(&args[1]),
        "persist" => options().persistent(true).create(&args[1]),
        "open-or-create" => options().open_or_create(&args[1]),
        "open" => OpenOptions::new().directory(&args[0]).open(&args[1]),
        "open-as-nobody" => {
            let owner = nix::unistd::geteuid().as_raw();
            crate::segment_faults::become_nobody();
            let open = OpenOptions::new().directory(&args[0]).owner(owner).mode(0o666);
            open.open(&args[1])
        }
        "inherited" => Segment::inherited(&args[0]),
        "ticket" => return by_ticket(args, channel),
        _ => return crate::segment_faults::run(script, args),
    };
    obey(segment, channel);
}

/// The segments of these tests.
pub fn small(directory: &Path) -> Options {
    Options::new(512).participants(8).objects(4).directory(directory)
}

/// The last byte of a segment, which no object has.
pub fn last(segment: &Segment) -> &AtomicU8 {
    // SAFETY: only the last byte is used, and the tests that do so make no object so large.
    let region = unsafe { segment.region() };
    region.get(Offset::new(region.len() as u64 - 1).unwrap()).unwrap()
}

/// Says that it has joined, then does what it hears until it hears `end`.
pub fn obey(segment: Result<Segment, SegmentError>, channel: &mut Channel) {
    let segment = match segment {
        Ok(segment) => segment,
        Err(error) => return channel.say(&format!("{:?}", error.kind())),
    };
    channel.say("joined");
    loop {
        let line = channel.hear();
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb {
            "put" => {
                let byte: u8 = rest.parse().expect("a byte");
                last(&segment).store(byte, Relaxed);
                "put".to_owned()
            }
            "get" => last(&segment).load(Relaxed).to_string(),
            "cookie" => segment.header().cookie.to_string(),
            "name" => segment.name().unwrap_or("none").to_owned(),
            "linked" => segment.is_linked().to_string(),
            "again" => Segment::inherited(rest).map_or_else(
                |error| format!("{:?}", error.kind()),
                |again| (again.participant().me() == segment.participant().me()).to_string(),
            ),
            "pass" => pass_on(&segment, rest, channel),
            "leave" => {
                drop(segment);
                return channel.say("left");
            }
            _ => panic!("no verb {verb}"),
        };
        channel.say(&answer);
    }
}

/// Hands the segment to a grandchild, which puts a byte.
fn pass_on(segment: &Segment, byte: &str, channel: &mut Channel) -> String {
    let program = std::env::current_exe().expect("/proc");
    let mut command = Command::new(program);
    command.args(["segment/put", "passed", byte]).stdin(Stdio::null());
    command.share_segment("passed", segment).expect("share");
    let status = command.status().expect("start");
    channel.say("passed");
    status.code().unwrap_or(-1).to_string()
}

/// Joins by ticket, as a user who may not open the file.
fn by_ticket(args: &[String], channel: &mut Channel) {
    use std::os::fd::{FromRawFd, OwnedFd};

    crate::segment_faults::become_nobody();
    let [file, ticket] = [&args[0], &args[1]].map(|fd| {
        let fd = fd.parse().expect("a number");
        // SAFETY: the test has opened both for this process, which uses each once.
        unsafe { OwnedFd::from_raw_fd(fd) }
    });
    let open = OpenOptions::new().owner(None);
    let error = open.from_owned_fd(file.try_clone().expect("dup")).expect_err("it may not");
    channel.say(&error.to_string());
    let segment = open.from_ticket(file, ticket);
    if let Ok(segment) = &segment {
        channel.say(&segment.participant().me().expect("joined").get().to_string());
    }
    obey(segment, channel);
}
